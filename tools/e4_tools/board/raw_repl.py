"""Running code on a board at the other end of a serial line, with mpremote's Python API.

Secrets are sent as code inside the raw REPL. On the command line of an `mpremote` process, every user of this machine
could read them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import serial

from e4_tools.board.answers import accept
from e4_tools.board.board_code import CHANGE_FILES, code_to_ask, code_to_call, read_program, read_result
from e4_tools.board.bounded_transport import BoundedTransport
from e4_tools.board.serial_line import LineError, LineFlooded, LineSilent, SerialLine, patience
from e4_tools.errors import NoMicroPython, PortError
from e4_tools.printable import printable

_STOP_SECONDS = (1.5, 3.0, 6.0, 12.0)  # for each attempt to stop a board, which hears nothing while it starts
_BRIEF_STOP_SECONDS = (1.5, 3.0)  # where perhaps no board is connected at all
_LAST_STOP = 0.05  # The last of these attempts lasts this part of the patience, if that is longer.
_SLOW_STOP = 0.25  # A board that has answered to one of these attempts gets this part of the patience.

_START_ANEW = b"\x04"  # Ctrl-D, which is a soft reset
_LONGEST_REPLY = 500  # characters of the last line of a traceback
_CHUNK = 768  # bytes of a file that one call writes; a multiple of 3, so that base64 needs no padding


class BoardError(PortError):
    """Code on the board raised an exception; `reply` is the last line of its traceback, safe to print."""

    def __init__(self, doing: str, reply: str) -> None:
        self.reply = printable(reply[:_LONGEST_REPLY])
        super().__init__(f"{doing}: the board says: {self.reply}")


class GarbledResult(PortError):
    """What a board answered is not what the function that was called answers."""


class Board:
    """A board in its raw REPL. It is a context manager, which interrupts the program on the board and starts it again.

    `port` is a device, or `socket://host:port`. With `restart` false the board stays stopped at the end. With `brief`
    true, a board that does not answer is given up after 5 seconds instead of 25, and each step may take an eighth of
    the patience. Entering raises NoSuchPort, PortInUse or PortError if the port cannot be opened, and NoMicroPython if
    no MicroPython answers.
    """

    def __init__(self, port: str, restart: bool = True, brief: bool = False) -> None:
        self.port = port
        self._restart = restart
        self._brief = brief
        self._stops = _BRIEF_STOP_SECONDS if brief else _STOP_SECONDS
        self._open_transport: BoundedTransport | None = None
        # The program whose functions the board has. `_run_with` sets it.
        self._program: Path | None = None
        # False while the board runs code. It stays false if we did not wait for the end.
        self._is_ready = True

    def __enter__(self) -> Board:
        self._open_transport = BoundedTransport(self.port, SerialLine(self.port, self._brief))
        try:
            self._stop()
        except LineError as error:
            self.close()
            raise (NoMicroPython if isinstance(error, LineSilent) else PortError)(
                f"no MicroPython answers on {self.port} ({error}); nothing was changed. "
                "Is the board plugged in, and does another program use the port?"
            ) from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._restart and self._open_transport is not None:
            try:
                self._open_transport.exit_raw_repl()
                self._open_transport.serial.write(_START_ANEW)
            except LineError:
                if error is not None:
                    error.add_note("The board may be stopped now; e4 reset starts it, and so does its button.")
        self.close()

    def _stop(self) -> None:
        """Interrupt what runs on the board, and enter its raw REPL after a soft reset. Raises LineError, PortError.

        A board that has begun to answer is a MicroPython that is slow, and gets more time than one that is silent.
        """
        transport = self._transport
        transport.has_answered = False
        self._program = None
        stops = (*self._stops[:-1], max(self._stops[-1], transport.serial.patience * _LAST_STOP))
        for seconds in stops:
            try:
                self._enter_raw_repl(seconds)
                return
            except LineSilent as error:
                silent = error
        if not transport.has_answered:
            waited = sum(stops)
            raise LineSilent(f"it was interrupted {len(stops)} times within {waited:.0f} s") from silent
        seconds = max(stops[-1], transport.serial.patience * _SLOW_STOP)
        try:
            self._enter_raw_repl(seconds)
        except LineSilent:
            raise PortError(
                f"the MicroPython on {self.port} answers, but has not come back from a soft reset within "
                f"{seconds:.0f} s; nothing was changed. Its boot.py may hang, or it is slow: then set E4_BOARD_SECONDS "
                f"to more than {patience():.0f}, and run the command again"
            ) from None

    def _enter_raw_repl(self, seconds: float) -> None:
        """Have the board stop what it runs, and enter its raw REPL after a soft reset. Raises LineError."""
        self._transport.serial.begin_step(seconds, seconds)
        self._transport.enter_raw_repl(timeout_overall=seconds)

    def close(self) -> None:
        """Close the serial line. The board stays as it is."""
        if self._open_transport is not None:
            self._open_transport.close()
            self._open_transport = None

    @property
    def _transport(self) -> BoundedTransport:
        if self._open_transport is None:
            raise PortError(f"the line to {self.port} is closed")
        return self._open_transport

    def ask(
        self, program: Path, function: str, *arguments: object, shape: Any, doing: str, seconds: float = 0.0
    ) -> Any:
        """Call a function of a program on the board and return its result, which has the shape `shape`.

        `board_code` says what a program is, `answers` what a shape is, and `run` what `doing` and `seconds` are.
        Raises what `run` raises, and GarbledResult.
        """
        printed = self._run_with(program, code_to_ask(function, *arguments), doing, seconds)
        try:
            return accept(read_result(printed), shape)
        except ValueError as error:
            raise GarbledResult(
                f"{doing}: this board answered what was not expected: {error}. It may run other firmware, "
                f"or another program uses {self.port}"
            ) from None

    def call(
        self,
        program: Path,
        function: str,
        *arguments: object,
        doing: str,
        seconds: float = 0.0,
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
        if program != self._program or not self._is_ready:
            code = read_program(program) + code
            self._program = None  # If this fails half-way, nobody knows which functions the board has.
        said = self.run(code, doing, seconds, printed)
        self._program = program
        return said

    def run(self, code: str, doing: str, seconds: float = 0.0, printed: Callable[[bytes], None] | None = None) -> str:
        """Run code on the board and return what it printed.

        With `printed`, that function gets each byte as soon as it comes, and nothing is returned. `seconds` is how long
        the code may print nothing, if that is more than the patience with all boards (`E4_BOARD_SECONDS`). `doing` says
        in error messages what was being done. Raises BoardError if the code raised an exception, PortError if the line
        failed or the board was silent for too long, and GarbledResult if it printed too much. No part of the code is
        in their texts, because it may hold secrets.
        """
        transport = self._transport
        try:
            if not self._is_ready:  # Something went wrong before, and what the board did then may still run.
                self._stop()
            self._is_ready = False
            transport.exec_raw_no_follow(code.encode())
            said, raised = transport.follow(max(seconds, transport.serial.patience), printed)
            self._is_ready = True
        except LineFlooded as error:
            raise GarbledResult(
                f"{doing}: this board answered what was not expected: {error}. It may run other firmware"
            ) from None
        except LineError as error:
            raise PortError(f"{doing}: no answer on {self.port} ({error}); run the command again") from None
        if raised:
            lines = raised.decode(errors="replace").strip().split("\n")
            raise BoardError(doing, lines[-1].strip() or "nothing")
        return str(said.decode(errors="replace"))

    def send_file(self, path: str, data: bytes) -> None:
        """Write a file on the board, piece by piece. Raises PortError. What has arrived is to be checked afterwards."""
        doing = f"writing {path}"
        self.call(CHANGE_FILES, "begin_file", path, doing=doing)
        for start in range(0, len(data), _CHUNK):
            text = base64.b64encode(data[start : start + _CHUNK]).decode()
            self.call(CHANGE_FILES, "add_to_file", text, doing=doing)
        self.call(CHANGE_FILES, "end_file", doing=doing)

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file, and check its hash on the board. Raises PortError."""
        self.send_file(path, data)
        arrived = self.ask(CHANGE_FILES, "digest", path, shape=str, doing=f"checking {path}")
        if arrived != hashlib.sha256(data).hexdigest():
            raise PortError(f"{path} on {self.port} is not what was sent; run the command again")

    def reset(self) -> None:
        """Reset the board, as its button does. `boot.py` and `main.py` run then. Raises PortError."""
        try:
            self._transport.exec_raw_no_follow(b"import machine\nmachine.reset()")
            self._restart = False  # The board is starting already.
        except LineError as error:
            raise PortError(f"{self.port} could not be reset ({error}); press its button") from None

    def reset_and_give_line(self) -> serial.Serial:
        """Reset the board, and return the open serial line, on which the board shows its start.

        This object is closed then. Raises PortError.
        """
        self.reset()
        line, self._open_transport = self._transport.serial.pyserial, None
        return line
