"""Milliseconds that pass, and deadlines.

A board counts milliseconds in ticks that wrap after 2^30 ms, which is 12.4 days. A deadline may therefore be of a day
at most, and one that is not looked at for days is wrong.
"""

import time

try:
    from time import ticks_diff, ticks_ms
except ImportError:  # CPython

    def ticks_ms() -> int:  # type: ignore[misc]
        return time.monotonic_ns() // 1_000_000  # type: ignore[attr-defined]

    def ticks_diff(end: int, start: int) -> int:  # type: ignore[no-redef]
        return end - start


class Deadline:
    """A span of time that has begun, in milliseconds. It is over whatever else happens meanwhile."""

    def __init__(self, milliseconds: int) -> None:
        self.restart(milliseconds)

    def restart(self, milliseconds: int) -> None:
        """Let the span begin now, with this length."""
        # The length of the span; only `restart` and `extend` set it.
        self._allowed = milliseconds
        # The ticks at the beginning of the span; only `restart` sets it.
        self._start = ticks_ms()

    def extend(self, milliseconds: int) -> None:
        """Make the span so much longer."""
        self._allowed += milliseconds

    def elapsed(self) -> int:
        """Return the milliseconds since the span began."""
        return ticks_diff(ticks_ms(), self._start)

    def left(self) -> int:
        """Return the milliseconds until the span has passed; 0 or less if it has."""
        return self._allowed - self.elapsed()

    def is_over(self) -> bool:
        """Tell whether the whole span has passed."""
        return self.left() <= 0
