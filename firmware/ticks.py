"""Milliseconds that pass, for deadlines. Boards count them in a number that wraps; deadlines are of a day at most."""

import time

try:
    from time import ticks_diff, ticks_ms
except ImportError:  # CPython

    def ticks_ms() -> int:  # type: ignore[misc]
        return time.monotonic_ns() // 1_000_000  # type: ignore[attr-defined]

    def ticks_diff(end: int, start: int) -> int:  # type: ignore[no-redef]
        return end - start


class Deadline:
    """A time by which something has to be done, whatever else happens meanwhile."""

    def __init__(self, milliseconds: int) -> None:
        self.restart(milliseconds)

    def restart(self, milliseconds: int) -> None:
        self._allowed = milliseconds
        self._start = ticks_ms()

    def elapsed(self) -> int:
        """Return the milliseconds since it was set."""
        return ticks_diff(ticks_ms(), self._start)

    def is_over(self) -> bool:
        return self.elapsed() >= self._allowed
