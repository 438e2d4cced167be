"""What a user types, or a program writes to our standard input, taken with a limit of time on every system."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST = 4096  # bytes that are read at once


class Input:
    """Our standard input, read in a thread of its own, because Windows cannot wait for it with a limit of time.

    `read` waits, and returns what has come; an empty result is the end of the input. The thread ends with the process.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._came: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read_all, name="standard input", daemon=True).start()

    def _read_all(self) -> None:
        data = b"?"
        while data:
            try:
                data = self._read()
            except OSError:  # The terminal is gone.
                data = b""
            self._came.put(data)

    def take(self, seconds: float) -> bytes | None:
        """Return what has come, empty once at the end of the input, or None if nothing comes in so many seconds."""
        try:
            return self._came.get(timeout=seconds)
        except queue.Empty:
            return None


def read_input() -> Callable[[], bytes]:
    """Return a function that waits for our standard input and returns what has come: from a terminal, a line.

    It takes no lock of `sys.stdin`, because a thread that held one could keep the process from ending.
    """
    raw = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 (it stays open)
    return lambda: raw.read(_MOST) or b""  # `read` returns None only for an input that was set not to wait.


if sys.platform == "win32":
    import time

    from mpremote.console import Console

    _KEY_SECONDS = 0.01  # between two looks at the keyboard

    @contextmanager
    def read_keys() -> Iterator[Callable[[], bytes]]:
        """Yield a function that waits for a key of our terminal and returns its bytes. Nothing is echoed.

        mpremote knows the bytes that cursor keys have in a terminal. Ctrl-C still raises KeyboardInterrupt.
        """
        console = Console()

        def read() -> bytes:
            while True:
                key = console.readchar()
                if key:
                    return bytes(key)
                time.sleep(_KEY_SECONDS)

        yield read

else:
    import termios
    import tty

    @contextmanager
    def read_keys() -> Iterator[Callable[[], bytes]]:
        """Yield a function that waits for a key of our terminal and returns its bytes. Nothing is echoed.

        Ctrl-C still raises KeyboardInterrupt.
        """
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)  # What was typed already is not lost.
            yield read_input()
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
