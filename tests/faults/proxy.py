"""A proxy on loopback between boards and a broker, whose connections fail on demand.

A fault is a callable `fault(flow, data)`: it gets what arrives in one direction and decides what becomes of it, by
`flow.forward`, `flow.fall_silent`, `flow.close` and `flow.reset`. The kinds there are, are in `kinds`.
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
    """One direction of a connection. `fault` may be set at any time; `ends` tells it where packets end in its data."""

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
        """Pass bytes on."""
        if data and not self.ended:
            try:
                self._sink.sendall(data)
            except OSError:
                self.close()

    def fall_silent(self) -> None:
        """Swallow everything from now on."""
        self._silent = True

    def close(self) -> None:
        """End the connection on both sides, as a program does that ends."""
        self._connection.close()

    def reset(self) -> None:
        """End the connection on both sides with RST."""
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
        if not self._silent:  # who is silent does not tell of an end either
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
        """Remember what a board said, if anybody wants to know."""
        if name == TO_BROKER and self._proxy.heard is not None:
            self._proxy.heard += data

    def half_open(self) -> None:
        """Let both sides believe that the connection is there."""
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
                    end.shutdown(socket.SHUT_RD)  # wakes the thread that reads; closed before, it would hold the RST
                end.close()


class FaultProxy:
    """Listens on `port` of 127.0.0.1. A context manager.

    `faults` counts what was done by name, `connections` the connections made through it. Set `heard` to a bytearray
    to have what boards send put there.
    """

    def __init__(self, broker_port: int) -> None:
        self.port = free_port()
        self.broker_port = broker_port
        self.faults: Counter[str] = Counter()
        self.connections = 0
        self.heard: bytearray | None = None
        self.with_next: dict[str, Fault] = {}  # what is to happen to the next connection, by direction
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
        """Accept connections (again)."""
        self._server = server = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(server,), name="proxy", daemon=True).start()

    def refuse(self, count: bool = True) -> None:
        """Refuse connections until `listen`."""
        if self._server is not None:
            self._server.shutdown(socket.SHUT_RDWR)  # or the thread in accept would keep it listening
            self._server.close()
            self._server = None
        if count:
            self.faults["refuse"] += 1

    def divert(self, script: Script) -> None:
        """Have a script serve the next connection in place of the broker."""
        with self._lock:
            self._script = script

    def apply(self, name: str, fault: Fault, direction: str) -> bool:
        """Let a fault happen to the connection there is; return whether there is one."""
        present = self.present()
        if present is None:
            return False
        present.flows[direction].fault = fault
        self.faults[name] += 1
        return True

    def half_open(self) -> bool:
        """Stop passing anything on, silently; return whether there was a connection."""
        present = self.present()
        if present is None:
            return False
        present.half_open()
        self.faults["half-open"] += 1
        return True

    def reset(self, count: bool = True) -> None:
        """Reset all connections, those included that are just being made."""
        with self._lock:
            self._resets += 1
            ending, self._current = self._current, []
        for connection in ending:
            connection.reset()
        if count and ending:
            self.faults["reset"] += 1

    def present(self) -> Connection | None:
        """The connection there is."""
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
