"""A board at the other end of a serial line, through mpremote's Python API.

Secrets travel inside the raw REPL, never on a command line, where every user of the machine can read them.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import serial
from mpremote import transport_serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from e4_tools.board.board_code import code_to_ask, code_to_call, read_program, read_result
from e4_tools.board.port_errors import port_error
from e4_tools.errors import NoMicroPython, PortError, ToolError

_REPLY_SECONDS = 60.0
_READ_SECONDS = 5.0  # for one read; without it mpremote waits for ever on a pseudo-terminal
_STOP_SECONDS = (1.5, 3.0, 6.0, 12.0)  # for each attempt to stop a board: while it starts, it hears nothing
_STOP_READ_SECONDS = 0.2
_FIRST_STOPS = 2  # how many of these attempts are made at a board that may not be there at all

# What a line that fails raises: mpremote and pyserial let some errors of the layers below through.
_LINE_ERRORS = (TransportError, serial.SerialException, OSError, termios.error, struct.error)

# It prints what it read when that is not what it waited for. Nobody asked, and it may be anything.
transport_serial.print = lambda *_: None


class BoardError(PortError):
    """Code on the board raised; `reply` is the last line of its traceback."""

    def __init__(self, doing: str, reply: str) -> None:
        super().__init__(f"{doing}: the board says: {reply}")
        self.reply = reply


class GarbledResult(ToolError):
    """What a board printed is not the result of the function that was called."""


class Board:
    """A board in its raw REPL. A context manager: whatever ran is interrupted, and started again at the end.

    `port` is a device, or `socket://host:port`. With `restart` false the board stays stopped. With `brief` true a
    board that does not answer is given up after 5 seconds instead of 25. Raises NoSuchPort, PortInUse or
    PortError if the port cannot be opened, NoMicroPython if nobody answers.
    """

    def __init__(self, port: str, restart: bool = True, brief: bool = False) -> None:
        self.port = port
        self._restart = restart
        self._stops = _STOP_SECONDS[:_FIRST_STOPS] if brief else _STOP_SECONDS
        self._transport: SerialTransport | None = None
        self._program: Path | None = None  # the program whose functions the board has now

    def __enter__(self) -> Board:
        try:
            self._transport = SerialTransport(self.port, baudrate=115200, timeout=_READ_SECONDS)
        except _LINE_ERRORS as error:
            raise port_error(self.port, _reason(error)) from None
        try:
            self._stop()
        except _LINE_ERRORS as error:
            self.close()
            silent = isinstance(error, TransportError)  # or else the line has failed
            raise (NoMicroPython if silent else PortError)(
                f"no MicroPython answers on {self.port} ({_reason(error)}); nothing was changed. "
                "Is the board plugged in, and does another program use the port?"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._restart and self._transport is not None:
            try:
                self._transport.exit_raw_repl()
                self._transport.serial.write(b"\x04")
            except _LINE_ERRORS:
                if isinstance(error, ToolError):
                    error.add_note("The board may be stopped now; e4 reset starts it, and so does its button.")
        self.close()

    def _stop(self) -> None:
        self.transport.serial.timeout = _STOP_READ_SECONDS
        for seconds in self._stops:
            try:
                self.transport.enter_raw_repl(timeout_overall=seconds)
                break
            except TransportError:
                if seconds == self._stops[-1]:
                    raise
        self.transport.serial.timeout = _READ_SECONDS

    def close(self) -> None:
        """Give the serial line back. The board stays as it is."""
        if self._transport is not None:
            with contextlib.suppress(*_LINE_ERRORS):
                self._transport.close()
            self._transport = None

    @property
    def transport(self) -> SerialTransport:
        """mpremote's transport, for its `fs_*` calls."""
        if self._transport is None:
            raise PortError(f"the line to {self.port} is closed")
        return self._transport

    def ask(self, program: Path, function: str, *arguments: object, doing: str, seconds: float = _REPLY_SECONDS) -> Any:
        """Call a function of a program on the board and return its result (see `board_code`).

        `seconds` is how long it may take. Raises what `run` raises, and GarbledResult.
        """
        printed = self._run_with(program, code_to_ask(function, *arguments), doing, seconds)
        try:
            return read_result(printed)
        except ValueError:
            raise GarbledResult(f"{doing}: the answer is garbled; is another program using {self.port}?") from None

    def call(
        self,
        program: Path,
        function: str,
        *arguments: object,
        doing: str,
        seconds: float = _REPLY_SECONDS,
        printed: Callable[[bytes], None] | None = None,
    ) -> None:
        """Call a function of a program on the board that has no result. The errors are those of `run`, and so are
        `doing`, `seconds` and `printed`.
        """
        self._run_with(program, code_to_call(function, *arguments), doing, seconds, printed)

    def _run_with(
        self,
        program: Path,
        code: str,
        doing: str,
        seconds: float,
        printed: Callable[[bytes], None] | None = None,
    ) -> str:
        """Run code that uses the functions of a program. Its text is sent first, unless the board has it already."""
        if program != self._program:
            code = read_program(program) + code
            self._program = None  # If this fails half-way, nobody knows which functions the board has.
        said = self.run(code, doing, seconds, printed)
        self._program = program
        return said

    def run(
        self, code: str, doing: str, seconds: float = _REPLY_SECONDS, printed: Callable[[bytes], None] | None = None
    ) -> str:
        """Run code on the board and return what it printed; with `printed`, that gets each byte instead.

        `seconds` is how long it may take, with `printed` how long it may be silent. Raises BoardError if the code
        raised, PortError if the line failed; no part of the code is in either.
        """
        overall = None if printed else seconds
        transport = self.transport
        try:
            transport.exec_raw_no_follow(code)
            said = transport.read_until(1, b"\x04", timeout=seconds, data_consumer=printed, timeout_overall=overall)
            raised = transport.read_until(1, b"\x04", timeout=seconds, timeout_overall=seconds) if said else b""
        except _LINE_ERRORS as error:
            raise self._lost(doing, _reason(error)) from None
        if not said.endswith(b"\x04") or not raised.endswith(b"\x04"):
            raise self._lost(doing, "the board stopped answering")
        if raised != b"\x04":
            lines = raised[:-1].decode(errors="replace").strip().splitlines()
            raise BoardError(doing, lines[-1] if lines else "nothing")
        return str(said[:-1].decode(errors="replace"))

    def _lost(self, doing: str, reason: str) -> PortError:
        return PortError(f"{doing}: the line to {self.port} failed ({reason}); run the command again")

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file and check what arrived. Raises PortError."""
        try:
            self.transport.fs_writefile(path, data)
            arrived = self.transport.fs_hashfile(path, "sha256")
        except _LINE_ERRORS as error:
            raise self._lost(f"writing {path}", _reason(error)) from None
        if arrived != hashlib.sha256(data).digest():
            raise PortError(f"{path} on {self.port} is not what was sent; run the command again")

    def reset(self) -> None:
        """Reset the board, as its button does; `boot.py` and `main.py` run."""
        try:
            self.transport.exec_raw_no_follow("import machine\nmachine.reset()")
            self._restart = False  # it does already
        except _LINE_ERRORS as error:
            raise PortError(f"{self.port} could not be reset ({_reason(error)}); press its button") from None

    def reset_and_give_line(self) -> serial.Serial:
        """Reset the board, and return the open line on which its first words come. This object is closed then."""
        self.reset()
        line, self._transport = self.transport.serial, None
        return line


def _reason(error: Exception) -> str:
    """Say why a line failed. What mpremote quotes after a colon came from the board, and may be anything."""
    if isinstance(error, struct.error):
        return "the board stopped answering"
    return str(error).partition(":")[0] if isinstance(error, TransportError) else str(error)
