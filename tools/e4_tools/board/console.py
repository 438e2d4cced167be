"""Reading what a board prints on its serial console, and typing to it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from types import TracebackType

import serial

from e4_tools.board.port_errors import port_error
from e4_tools.errors import PortError, ToolError

_POLL_SECONDS = 0.1
_PROMPTS = (b">>> ", b"\x04>")  # the prompt of the friendly REPL, and that of the raw REPL after an answer


class ConsoleError(ToolError):
    """A board did not print in time what was expected of it."""


class BoardConsole:
    """Reads what a board prints, line by line, in a thread of its own. It is a context manager.

    `name` stands for the board in messages. `heard` gets each line, in that thread. `line` is a serial line that is
    open already; without it, `port` is opened. Either is closed at the end.
    """

    def __init__(
        self,
        name: str,
        port: str,
        heard: Callable[[str], None] = lambda line: None,
        line: serial.Serial | None = None,
    ) -> None:
        self.name = name
        self.port = port
        # All lines that were read so far. Whoever waits for `_changed` may read them.
        self.lines: list[str] = []
        self._heard = heard
        self._given = line
        self._changed = threading.Condition()
        # The index of the first line that `expect` has not looked at.
        self._next = 0
        # The thread sets this when the serial line has failed.
        self.lost = False
        # The thread sets this while the last thing that it read is a prompt of MicroPython: no application runs then.
        self.at_prompt = False
        # The thread clears this when it reads the first byte.
        self.silent = True
        self._running = True
        self._thread = threading.Thread(target=self._read, name=f"console of {name}", daemon=True)

    def __enter__(self) -> BoardConsole:
        self._serial = self._given or self._open()
        self._serial.timeout = _POLL_SECONDS
        self._thread.start()
        return self

    def _open(self) -> serial.Serial:
        try:
            return serial.serial_for_url(self.port, baudrate=115200, exclusive=True)
        except (serial.SerialException, OSError) as error:
            raise port_error(self.port, str(error)) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        self._thread.join()
        self._serial.close()

    def _read(self) -> None:
        rest = b""
        while self._running:
            try:
                rest += self._serial.read(self._serial.in_waiting or 1)
            except (serial.SerialException, OSError) as error:
                self.lost = True
                self._add(f"(the line is lost: {error})")
                return
            *whole, rest = rest.split(b"\n")
            self.silent = self.silent and not (whole or rest)
            self.at_prompt = rest.endswith(_PROMPTS)
            for line in whole:
                self._add(line.rstrip(b"\r").decode(errors="replace"))

    def _add(self, line: str) -> None:
        self._heard(line)
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def type(self, line: str) -> None:
        """Type a line and press enter. Raises PortError."""
        try:
            self._serial.write(line.encode() + b"\r")
        except (serial.SerialException, OSError) as error:
            raise PortError(f"the line to {self.name} failed ({error}); the line was not typed") from None

    def expect(self, pattern: str, seconds: float = 20.0) -> str:
        """Return the next line in which a regular expression is found. Raises ConsoleError if none comes in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                while self._next < len(self.lines):
                    line = self.lines[self._next]
                    self._next += 1
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    last = self.lines[-1] if self.lines else "nothing"
                    raise ConsoleError(f'{self.name} did not print "{pattern}" within {seconds:.0f} s; last: {last}')
