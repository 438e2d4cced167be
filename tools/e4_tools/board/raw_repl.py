"""Running code on a board at the other end of a serial line, with mpremote's Python API.

Secrets are sent as code inside the raw REPL. On the command line of an `mpremote` process, every user of this machine
could read them.
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
_READ_SECONDS = 5.0  # for one read; without a limit, mpremote would wait for ever on a pseudo-terminal
_STOP_SECONDS = (1.5, 3.0, 6.0, 12.0)  # for each attempt to stop a board, which hears nothing while it starts
_STOP_READ_SECONDS = 0.2
_FIRST_STOPS = 2  # the number of attempts where perhaps no board is connected at all

# The errors of a line that fails. mpremote and pyserial do not wrap all errors of the layers below.
_LINE_ERRORS = (TransportError, serial.SerialException, OSError, termios.error, struct.error)

# When mpremote does not read what it waits for, it prints what it read instead. That would disturb our own output, and
# could show secrets.
transport_serial.print = lambda *_: None


class BoardError(PortError):
    """Code on the board raised an exception; `reply` is the last line of its traceback."""

    def __init__(self, doing: str, reply: str) -> None:
        super().__init__(f"{doing}: the board says: {reply}")
        self.reply = reply


class GarbledResult(ToolError):
    """What a board printed is not the result of the function that was called."""


class Board:
    """A board in its raw REPL. It is a context manager, which interrupts the program on the board and starts it again.

    `port` is a device, or `socket://host:port`. With `restart` false the board stays stopped at the end. With `brief`
    true, a board that does not answer is given up after 5 seconds instead of 25. Entering raises NoSuchPort, PortInUse
    or PortError if the port cannot be opened, and NoMicroPython if no MicroPython answers.
    """

    def __init__(self, port: str, restart: bool = True, brief: bool = False) -> None:
        self.port = port
        self._restart = restart
        self._stops = _STOP_SECONDS[:_FIRST_STOPS] if brief else _STOP_SECONDS
        self._transport: SerialTransport | None = None
        # The program whose functions the board has. `_run_with` sets it.
        self._program: Path | None = None

    def __enter__(self) -> Board:
        try:
            self._transport = SerialTransport(self.port, baudrate=115200, timeout=_READ_SECONDS)
        except _LINE_ERRORS as error:
            raise port_error(self.port, _reason(error)) from None
        try:
            self._stop()
        except _LINE_ERRORS as error:
            self.close()
            silent = isinstance(error, TransportError)  # Any other error says that the line has failed.
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
        """Close the serial line. The board stays as it is."""
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
        """Run code on the board and return what it printed.

        With `printed`, that function gets each byte as soon as it comes, and nothing is returned. `seconds` is how long
        the code may take, or with `printed` how long it may print nothing. `doing` says in error messages what was
        being done. Raises BoardError if the code raised an exception, PortError if the line failed. No part of the code
        is in their texts, because it may hold secrets.
        """
        overall = None if printed else seconds
        transport = self.transport
        try:
            transport.exec_raw_no_follow(code)
            said = transport.read_until(1, b"\x04", timeout=seconds, data_consumer=printed, timeout_overall=overall)
            raised = transport.read_until(1, b"\x04", timeout=seconds, timeout_overall=seconds) if said else b""
        except _LINE_ERRORS as error:
            raise self._line_error(doing, _reason(error)) from None
        if not said.endswith(b"\x04") or not raised.endswith(b"\x04"):
            raise self._line_error(doing, "the board stopped answering")
        if raised != b"\x04":
            lines = raised[:-1].decode(errors="replace").strip().splitlines()
            raise BoardError(doing, lines[-1] if lines else "nothing")
        return str(said[:-1].decode(errors="replace"))

    def _line_error(self, doing: str, reason: str) -> PortError:
        return PortError(f"{doing}: the line to {self.port} failed ({reason}); run the command again")

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file, and check its hash on the board. Raises PortError."""
        try:
            self.transport.fs_writefile(path, data)
            arrived = self.transport.fs_hashfile(path, "sha256")
        except _LINE_ERRORS as error:
            raise self._line_error(f"writing {path}", _reason(error)) from None
        if arrived != hashlib.sha256(data).digest():
            raise PortError(f"{path} on {self.port} is not what was sent; run the command again")

    def reset(self) -> None:
        """Reset the board, as its button does. `boot.py` and `main.py` run then. Raises PortError."""
        try:
            self.transport.exec_raw_no_follow("import machine\nmachine.reset()")
            self._restart = False  # The board is starting already.
        except _LINE_ERRORS as error:
            raise PortError(f"{self.port} could not be reset ({_reason(error)}); press its button") from None

    def reset_and_give_line(self) -> serial.Serial:
        """Reset the board, and return the open serial line, on which the board shows its start.

        This object is closed then. Raises PortError.
        """
        self.reset()
        line, self._transport = self.transport.serial, None
        return line


def _reason(error: Exception) -> str:
    """Return the reason why a line failed.

    mpremote quotes after a colon what the board sent. That may be anything, secrets included, so it is left out.
    """
    if isinstance(error, struct.error):
        return "the board stopped answering"
    return str(error).partition(":")[0] if isinstance(error, TransportError) else str(error)
