"""The time that the real-time clock of the board keeps over a reset, with a mark that says whose time it is."""

import time

from e4._const import const

_MARK = const(b"e4clock1")
# The mark, the time at which the clock was set (ms), the width of the span (ms), and the trust.
_SIZE = const(8 + 8 + 4 + 1)


class KeptTime:
    """The real-time clock in Unix milliseconds, and its memory. Both are lost with the power.

    This class is the only place that knows that a board counts from 2000 (ESP32) or from 1970.
    """

    def __init__(self, machine=None, calendar=time) -> None:
        if machine is None:
            import machine  # noqa: PLC0415 (only a board has this module)
        self._machine = machine
        self._rtc = machine.RTC()
        self._calendar = calendar
        self._epoch = 946684800 if calendar.gmtime(0)[0] == 2000 else 0

    def keep(self, lower: int, width: int, trust: int) -> None:
        """Set the clock to `lower` (ms), and note that the time is at most `width` ms later, and the trust in it.

        If an application uses the memory for something else, it is left alone, and the note is not kept.
        """
        seconds, milliseconds = divmod(lower, 1000)
        t = self._calendar.gmtime(seconds - self._epoch)
        self._rtc.datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], milliseconds * 1000))
        if hasattr(self._rtc, "memory") and (self._is_ours() or not self._rtc.memory()):
            self._rtc.memory(_MARK + lower.to_bytes(8, "big") + width.to_bytes(4, "big") + bytes((trust,)))

    def read(self) -> tuple[int, int, int, int] | None:
        """Return the time now (ms), the time when it was set (ms), the width then (ms) and the trust.

        Returns None if `keep` has not set the clock, and after deep sleep, because the oscillator that counts then is
        off by up to 5 %.
        """
        if not self._is_ours() or self._machine.reset_cause() == self._machine.DEEPSLEEP_RESET:
            return None
        note = self._rtc.memory()
        t = self._rtc.datetime()
        seconds = self._calendar.mktime((t[0], t[1], t[2], t[4], t[5], t[6], 0, 0, 0)) + self._epoch
        lower = int.from_bytes(note[8:16], "big")
        return int(seconds) * 1000 + t[7] // 1000, lower, int.from_bytes(note[16:20], "big"), note[20]

    def _is_ours(self) -> bool:
        """Tell whether the memory holds a note of `keep`."""
        memory = self._rtc.memory() if hasattr(self._rtc, "memory") else b""
        return len(memory) == _SIZE and memory[:8] == _MARK
