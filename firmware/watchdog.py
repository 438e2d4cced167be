"""The hardware watchdog: a board that hangs, whatever the cause, is reset."""

import machine

from e4._const import const

from .ticks import Deadline

_DAY_MS = const(24 * 3600 * 1000)
_PAUSE_MS = const(500)  # between two feeds


class Watchdog:
    """Fed by a node that makes progress. Once started it cannot be stopped, not even by a soft reset.

    `seconds` 0 means none. `leave` gives whoever has interrupted the node at the serial port a day until the board
    resets: an ESP32 allows to start it again with another time.
    """

    def __init__(self, seconds: int) -> None:
        self._timer = machine.WDT(timeout=seconds * 1000) if seconds else None
        self._pause = Deadline(_PAUSE_MS)
        self._offline = Deadline(_DAY_MS)

    def note_broker(self) -> None:
        """Note that the broker is there. After a day without it a reset is tried."""
        self._offline.restart(_DAY_MS)

    def feed(self) -> None:
        if self._timer is not None and self._pause.is_over() and not self._offline.is_over():
            self._pause.restart(_PAUSE_MS)
            self._timer.feed()

    def leave(self) -> None:
        if self._timer is not None:
            self._timer = None
            machine.WDT(timeout=_DAY_MS)
