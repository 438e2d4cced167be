"""A proxy on loopback between boards and a broker, whose connections fail on demand.

A fault is a callable `fault(flow, data)`. It gets the bytes that arrive in one direction and decides what happens to
them, by calling `flow.forward`, `flow.fall_silent`, `flow.close` or `flow.reset`. The module `kinds` has all kinds of
faults.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from e4_tools.mqtt.embedded_broker import HOST, free_port
from faults.wire import Framer

_CHUNK = 4096
TO_BOARD, TO_BROKER = "to board", "to broker"

Fault = Callable[["Flow", bytes], None]
Script = Callable[[socket.socket], None]


class Flow:
    """One direction of a connection.

    `fault` may be set at any time; None passes everything on. `ends` has the places in the latest bytes behind which
    an MQTT packet ends. `ended` says that the connection is over.
    """

    def __init__(self, connection: Connection, source: socket.socket, sink: socket.socket, name: str) -> None:
        self.name = name
        self.fault: Fault | None = None
        self.ended = False
        self._connection, self._source, self._sink = connection, source, sink
        self._silent = False
        self._framer = Framer()
        self.ends: list[int] = []

    def start(self) -> None:
        threading.Thread(target=self._pump, name=f"proxy {self.name}", daemon=True).start()

    def forward(self, data: bytes) -> None:
        """Pass bytes on to the other side."""
        if data and not self.ended:
            try:
                self._sink.sendall(data)
            except OSError:
                self.close()

    def fall_silent(self) -> None:
        """Discard all bytes that arrive from now on, and keep the connection open."""
        self._silent = True

    def close(self) -> None:
        """Close the connection on both sides, as the end of a program would."""
        self._connection.close()

    def reset(self) -> None:
        """Reset the connection on both sides: TCP sends RST."""
        self._connection.reset()

    def _pump(self) -> None:
        while not self.ended:
            try:
                data = self._source.recv(_CHUNK)
            except OSError:
                data = b""
            if not data:
                break
            self._connection.record(self.name, data)
            self.ends = self._framer.ends(data)
            if self._silent:
                continue
            if self.fault is None:
                self.forward(data)
            else:
                self.fault(self, data)
        # A silent flow does not pass the end of a connection on either.
        if not self._silent:
            self.close()
        self.ended = True
        with contextlib.suppress(OSError):
            self._source.close()


class Connection:
    """A board's connection through the proxy to the broker."""

    def __init__(
        self, proxy: FaultProxy, board: socket.socket, broker: socket.socket, faults: dict[str, Fault]
    ) -> None:
        self._proxy = proxy
        self._sockets = (board, broker)
        self.flows = {
            TO_BROKER: Flow(self, board, broker, TO_BROKER),
            TO_BOARD: Flow(self, broker, board, TO_BOARD),
        }
        for direction, flow in self.flows.items():
            flow.fault = faults.get(direction)
            flow.start()

    @property
    def open(self) -> bool:
        return not any(flow.ended for flow in self.flows.values())

    def record(self, name: str, data: bytes) -> None:
        """Add what a board has sent to `FaultProxy.heard`, unless that is None."""
        if name == TO_BROKER and self._proxy.heard is not None:
            self._proxy.heard += data

    def half_open(self) -> None:
        """Pass nothing on any more. Both sides go on believing that the connection exists."""
        for flow in self.flows.values():
            flow.fall_silent()

    def close(self) -> None:
        self._end(linger=None)

    def reset(self) -> None:
        self._end(linger=struct.pack("ii", 1, 0))

    def _end(self, linger: bytes | None) -> None:
        for flow in self.flows.values():
            flow.ended = True
        for end in self._sockets:
            with contextlib.suppress(OSError):
                if linger is None:
                    end.shutdown(socket.SHUT_RDWR)
                else:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    # This wakes the thread that reads from the socket. While a thread reads, closing sends no RST.
                    end.shutdown(socket.SHUT_RD)
                end.close()


class FaultProxy:
    """Listens on `port` of 127.0.0.1. A context manager.

    `faults` counts by name the faults that have happened, and `connections` counts the connections through the proxy.
    If `heard` is set to a bytearray, everything that boards send is added to it.
    """

    def __init__(self, broker_port: int) -> None:
        self.port = free_port()
        self.broker_port = broker_port
        self.faults: Counter[str] = Counter()
        self.connections = 0
        self.heard: bytearray | None = None
        # The faults that the next connection has from its first byte on, by direction.
        self.with_next: dict[str, Fault] = {}
        self._script: Script | None = None
        self._current: list[Connection] = []
        self._resets = 0
        self._lock = threading.Lock()
        self._server: socket.socket | None = None

    def __enter__(self) -> FaultProxy:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse(count=False)
        self.reset(count=False)

    def listen(self) -> None:
        """Accept connections, also after `refuse`."""
        self._server = server = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(server,), name="proxy", daemon=True).start()

    def refuse(self, count: bool = True) -> None:
        """Refuse all connections until `listen` is called."""
        if self._server is not None:
            # Without this, the thread that waits in `accept` would keep the socket listening.
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        if count:
            self.faults["refuse"] += 1

    def divert(self, script: Script) -> None:
        """Let `script` serve the next connection instead of the broker."""
        with self._lock:
            self._script = script

    def apply(self, name: str, fault: Fault, direction: str) -> bool:
        """Give the present connection a fault in one direction. Return False if there is no connection."""
        present = self.present()
        if present is None:
            return False
        present.flows[direction].fault = fault
        self.faults[name] += 1
        return True

    def half_open(self) -> bool:
        """Make the present connection half-open: nothing is passed on. Return False if there is no connection."""
        present = self.present()
        if present is None:
            return False
        present.half_open()
        self.faults["half-open"] += 1
        return True

    def reset(self, count: bool = True) -> None:
        """Reset all connections, including those that are just being made."""
        with self._lock:
            self._resets += 1
            ending, self._current = self._current, []
        for connection in ending:
            connection.reset()
        if count and ending:
            self.faults["reset"] += 1

    def present(self) -> Connection | None:
        """Return the latest connection that is open, or None."""
        with self._lock:
            self._current = [connection for connection in self._current if connection.open]
            return self._current[-1] if self._current else None

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                board, _ = server.accept()
            except OSError:
                return
            board.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                script, self._script = self._script, None
                resets = self._resets
            if script is not None:
                threading.Thread(target=script, args=(board,), name="hostile broker", daemon=True).start()
            else:
                self._connect(board, resets)

    def _connect(self, board: socket.socket, resets: int) -> None:
        try:
            broker = socket.create_connection((HOST, self.broker_port), 5)
        except OSError:
            board.close()
            return
        broker.settimeout(None)
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        planned, self.with_next = self.with_next, {}
        connection = Connection(self, board, broker, planned)
        with self._lock:
            self.connections += 1
            late = resets != self._resets
            if not late:
                self._current.append(connection)
        if late:
            connection.reset()
