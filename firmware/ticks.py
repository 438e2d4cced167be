"""Milliseconds that pass, for deadlines. Boards count them in a number that wraps; deadlines are of a day at most."""

import time

if hasattr(time, "ticks_ms"):
    ticks_ms = time.ticks_ms
    ticks_diff = time.ticks_diff
else:  # CPython

    def ticks_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    def ticks_diff(end: int, start: int) -> int:
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

    def passed(self) -> bool:
        return self.elapsed() >= self._allowed
