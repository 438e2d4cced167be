"""A broker that grants everything, and then sends what a test wants it to send."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

_CONNACK = b"\x20\x02\x00\x00"


def packet(first: int, body: bytes) -> bytes:
    """Return an MQTT packet with this first byte (MQTT 3.1.1 section 2.2)."""
    left, length = len(body), b""
    while True:
        left, digit = left >> 7, left & 0x7F
        length += bytes([digit | 0x80 if left else digit])
        if not left:
            return bytes([first]) + length + body


def publish(topic: bytes, payload: bytes, flags: int = 0, packet_id: bytes = b"") -> bytes:
    """Return a PUBLISH. `flags` are the low bits of its first byte: DUP, QoS and RETAIN."""
    return packet(0x30 | flags, len(topic).to_bytes(2, "big") + topic + packet_id + payload)


class HostileMqtt:
    """A context manager with a broker on the loopback interface, at `port`.

    `script(send, number)` runs for each connection, from 0 on, when its subscription is granted. `send` sends bytes,
    and raises OSError when the client has gone. The connection is closed when the script returns True.
    """

    def __init__(self, script: Callable[[Callable[[bytes], None], int], bool], granted: int = 1) -> None:
        self._script, self._granted = script, granted
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HostileMqtt:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            with contextlib.suppress(OSError, IndexError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        number, self.connections = self.connections, self.connections + 1
        connection.recv(4096)
        connection.sendall(_CONNACK)
        subscribe = connection.recv(65536)
        # The packet identifier follows the length, which has one byte for the few topics of a test.
        connection.sendall(packet(0x90, subscribe[2:4] + bytes([self._granted])))
        if self._script(connection.sendall, number):
            connection.close()
