"""Reading what a board prints on its serial console, and typing to it."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

import serial

from e4_tools.board.serial_line import LINE_ERRORS, open_port
from e4_tools.errors import PortError, ToolError
from e4_tools.printable import printable

_POLL_SECONDS = 0.1
_PROMPTS = (b">>> ", b"\x04>")  # the prompt of the friendly REPL, and that of the raw REPL after an answer
_LONGEST_LINE = 256 * 1024  # bytes; the longest message of a node, escaped, is on one line
_KEPT_LINES = 10_000
_KEPT_SIZE = 4 * 1024 * 1024  # characters of all lines that are kept
_LONGEST_READ = 4096
# Select Graphic Rendition (ECMA-48, 8.3.117): ESP-IDF colours its log with it. It only changes how letters look.
_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


class ConsoleError(ToolError):
    """A board did not print in time what was expected of it."""


class BoardConsole:
    """Reads what a board prints, line by line, in a thread of its own. It is a context manager.

    `name` stands for the board in messages. `heard` gets each line, in that thread: without colours, and with
    everything else escaped that could steer a terminal. `passed` gets all bytes as they come. `line` is a serial line
    that is open already; without it, `port` is opened. Either is closed at the end.
    """

    def __init__(
        self,
        name: str,
        port: str,
        heard: Callable[[str], None] = lambda line: None,
        line: serial.Serial | None = None,
        passed: Callable[[bytes], None] = lambda data: None,
    ) -> None:
        self.name = name
        self.port = port
        # The last lines that were read, and their characters. Whoever waits for `_changed` may read them.
        self._kept: deque[str] = deque()
        self._kept_size = 0
        # The number of lines that were read before those.
        self.forgotten = 0
        self._heard = heard
        self._passed = passed
        self._given = line
        self._changed = threading.Condition()
        # The number of lines that `expect` has looked at, or that it will never see.
        self._seen = 0
        # The thread sets this when the serial line has failed.
        self.lost = False
        # The thread sets this while the last thing that it read is a prompt of MicroPython: no application runs then.
        self.at_prompt = False
        # The thread clears this when it reads the first byte.
        self.silent = True
        self._running = True
        self._thread = threading.Thread(target=self._read, name=f"console of {name}", daemon=True)

    @property
    def lines(self) -> list[str]:
        """The last lines that were read: 10,000 of them, or 4 million characters. `forgotten` counts those before."""
        with self._changed:
            return list(self._kept)

    def __enter__(self) -> BoardConsole:
        self._serial = self._given or open_port(self.port)
        self._serial.timeout = _POLL_SECONDS
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        self._thread.join()
        self._serial.close()

    def _read(self) -> None:
        try:
            self._read_lines()
        finally:
            # Whoever waits for this board must not wait for a thread that has ended, whatever has ended it.
            self.lost = self._running
            with self._changed:
                self._changed.notify_all()

    def _read_lines(self) -> None:
        rest = b""
        while self._running:
            try:
                data = self._serial.read(min(self._serial.in_waiting, _LONGEST_READ) or 1)
            except LINE_ERRORS as error:
                self._add(printable(f"(the line is lost: {error})"))
                return
            if data:
                self._passed(data)
            *whole, rest = (rest + data).split(b"\n")
            self.silent = self.silent and not (whole or rest)
            self.at_prompt = rest.endswith(_PROMPTS)
            if len(rest) > _LONGEST_LINE:
                whole.append(rest)
                rest = b""
            for line in whole:
                self._add(printable(_COLOURS.sub(b"", line.rstrip(b"\r")), keep="\t"))

    def _add(self, line: str) -> None:
        self._heard(line)
        with self._changed:
            self._kept.append(line)
            self._kept_size += len(line)
            while len(self._kept) > _KEPT_LINES or self._kept_size > _KEPT_SIZE:
                self._kept_size -= len(self._kept.popleft())
                self.forgotten += 1
            self._changed.notify_all()

    def type(self, line: str) -> None:
        """Type a line and press enter. Raises PortError."""
        self.send(line.encode() + b"\r")

    def send(self, data: bytes) -> None:
        """Send bytes to the board as they are. Raises PortError."""
        try:
            self._serial.write(data)
        except LINE_ERRORS as error:
            raise PortError(f"the serial line to {self.name} failed ({error}); what was typed was not sent") from None

    def expect(self, pattern: str, seconds: float = 20.0) -> str:
        """Return the next line in which a regular expression is found. Raises ConsoleError if none comes in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                self._seen = max(self._seen, self.forgotten)
                while self._seen < self.forgotten + len(self._kept):
                    line = self._kept[self._seen - self.forgotten]
                    self._seen += 1
                    if re.search(pattern, line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    last = self._kept[-1] if self._kept else "nothing"
                    raise ConsoleError(f'{self.name} did not print "{pattern}" within {seconds:.0f} s; last: {last}')
