"""A board at the other end of a serial line, through mpremote's Python API.

Secrets travel inside the raw REPL, never on a command line, where every user of the machine can read them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from types import TracebackType

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from e4_tools.errors import PortError

_REPLY_SECONDS = 60.0
_READ_SECONDS = 5.0  # for one read; without it mpremote waits for ever on a pseudo-terminal
_STOP_SECONDS = (1.5, 3.0, 6.0, 12.0)  # for each attempt to stop a board: while it starts, it hears nothing
_STOP_READ_SECONDS = 0.2


class BoardError(PortError):
    """Code on the board raised; `reply` is the last line of its traceback."""

    def __init__(self, doing: str, reply: str) -> None:
        super().__init__(f"{doing}: the board says: {reply}")
        self.reply = reply


class Board:
    """A board in its raw REPL. A context manager: whatever ran is interrupted, and started again at the end.

    `port` is a device, or `socket://host:port`. With `restart` false the board stays stopped. Raises PortError if
    the port cannot be opened or no MicroPython answers.
    """

    def __init__(self, port: str, restart: bool = True) -> None:
        self.port = port
        self._restart = restart
        self._transport: SerialTransport | None = None

    def __enter__(self) -> Board:
        try:
            self._transport = SerialTransport(self.port, baudrate=115200, timeout=_READ_SECONDS)
            self._stop()
        except (TransportError, serial.SerialException, OSError) as error:
            self.close()
            raise PortError(
                f"no MicroPython answers on {self.port} ({error}); nothing was changed. "
                "Is the board plugged in, and does another program hold the port?"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._restart and self._transport is not None:
            with contextlib.suppress(TransportError, serial.SerialException, OSError):
                self._transport.exit_raw_repl()
                self._transport.serial.write(b"\x04")
        self.close()

    def _stop(self) -> None:
        self.transport.serial.timeout = _STOP_READ_SECONDS
        for seconds in _STOP_SECONDS:
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # it prints what it read
                    self.transport.enter_raw_repl(timeout_overall=seconds)
                break
            except TransportError:
                if seconds == _STOP_SECONDS[-1]:
                    raise
        self.transport.serial.timeout = _READ_SECONDS

    def close(self) -> None:
        """Give the serial line back. The board stays as it is."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def transport(self) -> SerialTransport:
        """mpremote's transport, for its `fs_*` calls."""
        if self._transport is None:
            raise PortError(f"the line to {self.port} is closed")
        return self._transport

    def run(self, code: str, doing: str) -> str:
        """Run code on the board and return what it printed. Raises BoardError, with no part of the code in it."""
        try:
            printed, raised = self.transport.exec_raw(code, timeout=_REPLY_SECONDS)
        except (TransportError, serial.SerialException, OSError) as error:
            raise PortError(f"{doing}: the line to {self.port} failed ({error}); run the command again") from None
        if raised:
            lines = raised.decode(errors="replace").strip().splitlines()
            raise BoardError(doing, lines[-1] if lines else "nothing")
        return str(printed.decode(errors="replace"))

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file and check what arrived. Raises PortError."""
        try:
            self.transport.fs_writefile(path, data)
            arrived = self.transport.fs_hashfile(path, "sha256")
        except (TransportError, TransportExecError, serial.SerialException, OSError) as error:
            raise PortError(f"writing {path} on {self.port} failed: {error}; run the command again") from None
        if arrived != hashlib.sha256(data).digest():
            raise PortError(f"{path} on {self.port} is not what was sent; run the command again")

    def reset(self) -> None:
        """Reset the board, as its button does; `boot.py` and `main.py` run."""
        try:
            self.transport.exec_raw_no_follow("import machine\nmachine.reset()")
            self._restart = False  # it does already
        except (TransportError, serial.SerialException, OSError) as error:
            raise PortError(f"{self.port} could not be reset ({error}); press its button") from None
