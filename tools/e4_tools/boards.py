"""A board at the other end of a serial line, through mpremote's Python API.

Secrets travel inside the raw REPL, never on a command line, where every user of the machine can read them.
"""

from __future__ import annotations

import hashlib
from types import TracebackType

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from e4_tools.errors import ToolError

_REPLY_SECONDS = 60.0


class BoardError(ToolError):
    """Code on the board raised; `reply` is the last line of its traceback."""

    def __init__(self, doing: str, reply: str) -> None:
        super().__init__(f"{doing}: the board says: {reply}")
        self.reply = reply


class Board:
    """A board in its raw REPL. A context manager: whatever ran is interrupted, and `leave` chooses what follows.

    `port` is a device, or `socket://host:port`. Raises ToolError if it cannot be opened or is no MicroPython.
    """

    def __init__(self, port: str) -> None:
        self.port = port
        self._transport: SerialTransport | None = None

    def __enter__(self) -> Board:
        try:
            self._transport = SerialTransport(self.port, baudrate=115200)
            self._transport.enter_raw_repl()
        except (TransportError, serial.SerialException, OSError) as error:
            self.close()
            raise ToolError(
                f"no MicroPython answers on {self.port} ({error}); nothing was changed. "
                "Is the board plugged in, and does another program hold the port?"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the serial line back. The board stays as it is."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    @property
    def transport(self) -> SerialTransport:
        """mpremote's transport, for its `fs_*` calls."""
        if self._transport is None:
            raise ToolError(f"the line to {self.port} is closed")
        return self._transport

    def run(self, code: str, doing: str) -> str:
        """Run code on the board and return what it printed. Raises BoardError, with no part of the code in it."""
        try:
            printed, raised = self.transport.exec_raw(code, timeout=_REPLY_SECONDS)
        except (TransportError, serial.SerialException, OSError) as error:
            raise ToolError(f"{doing}: the line to {self.port} failed ({error}); run the command again") from None
        if raised:
            lines = raised.decode(errors="replace").strip().splitlines()
            raise BoardError(doing, lines[-1] if lines else "nothing")
        return str(printed.decode(errors="replace"))

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file and check what arrived. Raises ToolError."""
        try:
            self.transport.fs_writefile(path, data)
            arrived = self.transport.fs_hashfile(path, "sha256")
        except (TransportError, TransportExecError, serial.SerialException, OSError) as error:
            raise ToolError(f"writing {path} on {self.port} failed: {error}; run the command again") from None
        if arrived != hashlib.sha256(data).digest():
            raise ToolError(f"{path} on {self.port} is not what was sent; run the command again")

    def reset(self) -> None:
        """Reset the board, as its button does; `boot.py` and `main.py` run."""
        try:
            self.transport.exec_raw_no_follow("import machine\nmachine.reset()")
        except (TransportError, serial.SerialException, OSError) as error:
            raise ToolError(f"{self.port} could not be reset ({error}); press its button") from None
