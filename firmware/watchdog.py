"""The hardware watchdog resets a board that hangs, whatever the cause. `reset_later` resets one that cannot begin."""

import sys
import time

import machine

from e4._const import const

from .ticks import Deadline

_DAY_MS = const(24 * 3600 * 1000)
_PAUSE_MS = const(500)  # the time between two feeds
_RESET_S = const(60)  # the time until a board that cannot begin is reset


class Watchdog:
    """A timer that resets the board unless the node feeds it. Nothing stops it, not even a soft reset.

    `seconds` is the time without a feed until the reset; 0 means no watchdog.
    """

    def __init__(self, seconds: int) -> None:
        # The timer of the board, or None if there is none or `leave` was called.
        self._timer = machine.WDT(timeout=seconds * 1000) if seconds else None
        # The time until the next feed.
        self._pause = Deadline(_PAUSE_MS)
        # The time since the broker was last there. After a day the timer is fed no more.
        self._offline = Deadline(_DAY_MS)

    def note_broker(self) -> None:
        """Note that the broker is there. After a day without it, the board is reset, as that may help."""
        self._offline.restart(_DAY_MS)

    def feed(self) -> None:
        """Note that the node makes progress. At most two feeds a second reach the timer."""
        if self._timer is not None and self._pause.is_over() and not self._offline.is_over():
            self._pause.restart(_PAUSE_MS)
            self._timer.feed()

    def leave(self) -> None:
        """Give a person who has interrupted the node at the serial port a day until the board resets.

        An ESP32 lets a running timer be started again with another time.
        """
        if self._timer is not None:
            machine.WDT(timeout=_DAY_MS)
            self._timer = None


def reset_later(error: Exception) -> None:
    """Print why the node cannot begin, and reset the board after a minute.

    Without this the board would stay at its prompt until somebody comes. Ctrl-C ends the wait and gives the prompt.
    """
    try:
        sys.print_exception(error)
        print("* the board is reset in 60 s")
    finally:  # There may be no memory even to print.
        time.sleep(_RESET_S)
        machine.reset()
