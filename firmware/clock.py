"""The time of a board: Unix seconds, once a time server has been heard."""

import time

import ntptime

from e4 import ClockNotSet

# A board without a battery clock starts at its epoch, the beginning of 2000 (ESP32) or 1970.
_EPOCH_OFFSET = 946684800 if time.gmtime(0)[0] == 2000 else 0
_NO_EARLIER_THAN = 2026  # a clock that shows an earlier year has not been set


class Clock:
    """Call it for Unix seconds. Raises ClockNotSet until the time is known; a soft reset does not lose it."""

    def __init__(self, server: str | None = None) -> None:
        if server is not None:
            ntptime.host = server

    def known(self) -> bool:
        return time.gmtime()[0] >= _NO_EARLIER_THAN

    def __call__(self) -> int:
        if not self.known():
            raise ClockNotSet("the time is not known yet")
        return int(time.time()) + _EPOCH_OFFSET

    def synchronise(self) -> None:
        """Ask the time server (SNTP). Raises OSError if it does not answer; the clock then goes on as it was."""
        try:
            ntptime.settime()
        except (IndexError, ValueError) as error:  # an answer that is too short, or from no clock
            raise OSError("time server: {!r}".format(error)) from None
