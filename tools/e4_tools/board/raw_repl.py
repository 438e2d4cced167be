"""Running code on a board at the other end of a serial line: MicroPython's raw REPL.

Code is sent in raw-paste mode where the board has it, in which the board says how much it can take ("Raw mode and
raw-paste mode" in MicroPython's documentation of the REPL). Secrets are sent as code in this way. On the command line
of a process, such as `mpremote`, every user of this machine could read them.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import serial

from e4_tools.board.answers import accept
from e4_tools.board.board_code import CHANGE_FILES, code_to_ask, code_to_call, read_program, read_result
from e4_tools.board.serial_line import LineError, LineSilent, SerialLine, patience
from e4_tools.errors import NoMicroPython, PortError
from e4_tools.printable import printable

_STOP_SECONDS = (1.5, 3.0, 6.0, 12.0)  # for each attempt to stop a board, which hears nothing while it starts
_BRIEF_STOP_SECONDS = (1.5, 3.0)  # where perhaps no board is connected at all
_LAST_STOP = 0.05  # the part of the patience that the last of these attempts lasts, if that is longer
_SLOW_STOP = 0.25  # the part that a board gets which has answered to one of these attempts

_INTERRUPT, _TO_RAW, _TO_FRIENDLY, _END = b"\r\x03", b"\r\x01", b"\r\x02", b"\x04"
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n"
_PASTE, _PASTE_TAKEN, _PASTE_REFUSED, _MORE = b"\x05A\x01", b"R\x01", b"R\x00", b"\x01"
_PIECE, _PIECE_PAUSE_SECONDS = 256, 0.01  # without raw-paste mode; the buffer of a board's UART is small
_LARGEST_ANSWER = 256 * 1024  # bytes that a board may print for one call
_LARGEST_TRACEBACK = 64 * 1024
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
        self._open_line: SerialLine | None = None
        # The program whose functions the board has. `_run_with` sets it.
        self._program: Path | None = None
        # False while the board runs code. It stays false if we did not wait for the end.
        self._is_ready = True
        # False once the board has shown that it does not have raw-paste mode.
        self._has_paste = True

    def __enter__(self) -> Board:
        self._open_line = SerialLine(self.port, self._brief)
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
        if self._restart and self._open_line is not None:
            try:
                self._open_line.write(_TO_FRIENDLY)
                self._open_line.write(_END)
            except LineError:
                if error is not None:
                    error.add_note("The board may be stopped now; e4 reset starts it, and so does its button.")
        self.close()

    def _stop(self) -> None:
        """Interrupt what runs on the board, and enter its raw REPL after a soft reset. Raises LineError, PortError.

        A board that has begun to answer is a MicroPython that is slow, and gets more time than one that is silent.
        """
        line, answered = self._line, False
        self._program = None
        stops = (*self._stops[:-1], max(self._stops[-1], line.patience * _LAST_STOP))
        for seconds in stops:
            try:
                self._interrupt(line, seconds)
                answered = True
                self._soft_reset(line, seconds)
                return
            except LineSilent as error:
                silent = error
        if not answered:
            waited = sum(stops)
            raise LineSilent(f"it was interrupted {len(stops)} times within {waited:.0f} s") from silent
        seconds = max(stops[-1], line.patience * _SLOW_STOP)
        try:
            self._interrupt(line, seconds)
            self._soft_reset(line, seconds)
        except LineSilent:
            raise PortError(
                f"the MicroPython on {self.port} answers, but has not come back from a soft reset within "
                f"{seconds:.0f} s; nothing was changed. Its boot.py may hang, or it is slow: then set E4_BOARD_SECONDS "
                f"to more than {patience():.0f}, and run the command again"
            ) from None

    @staticmethod
    def _interrupt(line: SerialLine, seconds: float) -> None:
        """Have the board stop what it runs and enter its raw REPL. Raises LineError."""
        line.write(_INTERRUPT)
        line.drain()
        line.write(_TO_RAW)
        line.read_until(_RAW_PROMPT + b">", seconds, overall=seconds)

    @staticmethod
    def _soft_reset(line: SerialLine, seconds: float) -> None:
        line.write(_END)
        # What `boot.py` prints comes between these two.
        line.read_until(b"soft reboot\r\n", seconds, overall=seconds)
        line.read_until(_RAW_PROMPT, seconds, overall=seconds)

    def close(self) -> None:
        """Close the serial line. The board stays as it is."""
        if self._open_line is not None:
            self._open_line.close()
            self._open_line = None

    @property
    def _line(self) -> SerialLine:
        if self._open_line is None:
            raise PortError(f"the line to {self.port} is closed")
        return self._open_line

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
        line = self._line
        said, raised = _Collector(_LARGEST_ANSWER, printed), _Collector(_LARGEST_TRACEBACK)
        try:
            if not self._is_ready:  # Something went wrong before, and what the board did then may still run.
                self._stop()
            self._is_ready = False
            self._send_code(line, code.encode())
            line.read_until(_END, max(seconds, line.patience), said.take)
            line.read_until(_END, take=raised.take)
            self._is_ready = True
        except LineError as error:
            raise PortError(f"{doing}: no answer on {self.port} ({error}); run the command again") from None
        except OverflowError as error:
            raise GarbledResult(
                f"{doing}: this board answered what was not expected: {error}. It may run other firmware"
            ) from None
        if raised.text:
            lines = raised.text.strip().split("\n")
            raise BoardError(doing, lines[-1].strip() or "nothing")
        return said.text

    def _send_code(self, line: SerialLine, code: bytes) -> None:
        """Have the board take code, and begin to run it. Raises LineError."""
        line.read_until(b">")
        if self._has_paste:
            line.write(_PASTE)
            answer = line.read_exactly(len(_PASTE_TAKEN))
            if answer == _PASTE_TAKEN:
                self._paste(line, code)
                return
            self._has_paste = False
            if answer != _PASTE_REFUSED:  # A MicroPython that does not know the request begins its raw REPL anew.
                line.read_until(_RAW_PROMPT[2:] + b">")
        for start in range(0, len(code), _PIECE):
            line.write(code[start : start + _PIECE])
            time.sleep(_PIECE_PAUSE_SECONDS)
        line.write(_END)
        if line.read_exactly(2) != b"OK":
            raise LineError("the board did not take the code")

    @staticmethod
    def _paste(line: SerialLine, code: bytes) -> None:
        """Send code in raw-paste mode: never more than the board has said that it can take. Raises LineError."""
        window = int.from_bytes(line.read_exactly(2), "little")
        room = window
        at = 0
        while at < len(code):
            while room == 0 or line.has_input:
                told = line.read_exactly(1)
                if told == _END:  # The board gives up; it will say why.
                    line.write(_END)
                    return
                if told != _MORE or not window:
                    raise LineError("the board did not take the code as MicroPython does")
                room = min(room + window, len(code))
            piece = code[at : at + room]
            line.write(piece)
            room -= len(piece)
            at += len(piece)
        line.write(_END)
        line.read_until(_END)

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
            self._send_code(self._line, b"import machine\nmachine.reset()")
            self._restart = False  # The board is starting already.
        except LineError as error:
            raise PortError(f"{self.port} could not be reset ({error}); press its button") from None

    def reset_and_give_line(self) -> serial.Serial:
        """Reset the board, and return the open serial line, on which the board shows its start.

        This object is closed then. Raises PortError.
        """
        self.reset()
        line, self._open_line = self._line.serial, None
        return line


class _Collector:
    """Keeps the bytes that come before the end of a piece of output, or hands them on. Refuses more than a limit."""

    def __init__(self, limit: int, printed: Callable[[bytes], None] | None = None) -> None:
        self._limit = limit
        self._printed = printed
        self._kept = bytearray()

    def take(self, byte: bytes) -> None:
        """Take a byte. Raises OverflowError if there are too many."""
        if byte == _END:
            return
        if self._printed is not None:
            self._printed(byte)
        elif len(self._kept) >= self._limit:
            raise OverflowError(f"more than {self._limit} bytes")
        else:
            self._kept += byte

    @property
    def text(self) -> str:
        """What was kept, as text."""
        return self._kept.decode(errors="replace")
