"""A relay between the console of an emulated board and those who open its serial port one after the other."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

from e4_tools.mqtt.embedded_broker import HOST

_READ_SIZE = 4096
_POLL_SECONDS = 0.2


class ConsoleRelay:
    """A thread that keeps the line to the emulator open, and serves one client at a time at `port`.

    An emulator may stall when the other end of its serial line hangs up, and every command of `e4` does that when it is
    done. As on a real serial line, what the board says while nobody listens is lost.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._client: socket.socket | None = None
        self._running = True
        self._thread = threading.Thread(target=self._serve, name="console relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and all connections. A client then finds its line closed."""
        self._running = False
        self._thread.join()
        self._let_go()
        self._listener.close()
        self._line.close()

    def _serve(self) -> None:
        while self._running:
            other = self._listener if self._client is None else self._client
            ready = select.select([self._line, other], [], [], _POLL_SECONDS)[0]
            try:
                if self._line in ready:
                    said = self._line.recv(_READ_SIZE)
                    if not said:  # The emulator has ended.
                        return
                    self._pass_on(said)
                if other in ready:
                    self._attend()
            except OSError:  # The emulator has ended.
                return

    def _attend(self) -> None:
        """Take a new client, or what the client types."""
        if self._client is None:
            self._client, _ = self._listener.accept()
            return
        try:
            typed = self._client.recv(_READ_SIZE)
        except OSError:
            typed = b""
        if typed:
            self._line.sendall(typed)
        else:
            self._let_go()

    def _pass_on(self, said: bytes) -> None:
        if self._client is not None:
            try:
                self._client.sendall(said)
            except OSError:
                self._let_go()

    def _let_go(self) -> None:
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.close()
            self._client = None
