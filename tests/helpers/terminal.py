"""A program at a terminal of its own: tests type into it and wait for what it prints."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class Terminal:
    """A running program whose input, output and errors are a pseudo-terminal. A context manager that ends it.

    `shown` is everything that has arrived at the terminal.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.shown = ""
        # How much of `shown` was expected so far.
        self._read = 0
        self._end, its = os.openpty()
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)

    def expect(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Wait until a pattern is shown after what was expected before, and return the match. Fails after a time."""
        deadline = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.MULTILINE).search(self.shown, self._read)):
            assert time.monotonic() < deadline and self._receive(), f"no {pattern!r} in {self.shown[self._read :]!r}"
        self._read = found.end()
        return found

    def press(self, text: str) -> None:
        """Press keys, such as "\r" for Enter."""
        os.write(self._end, text.encode())

    def answer(self, question: str, line: str) -> None:
        """Wait for a question, and type a line."""
        self.expect(re.escape(question))
        self.press(line + "\r")

    def wait(self, seconds: float = 60) -> int:
        """Wait until the program has ended, and return its exit code. Fails after a time."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.shown!r}"
            self._receive()
        return self._process.returncode

    def _receive(self) -> bool:
        """Take what arrives within a moment, and return False if nothing can arrive any more."""
        try:
            if select.select([self._end], [], [], 0.2)[0]:
                self.shown += os.read(self._end, 4096).decode(errors="replace")
            return True
        except OSError:  # EIO: the program has ended.
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)
