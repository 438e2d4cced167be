"""The supervisor's half of `machine.WDT`."""

import time

from e4_tools.virtual_board.registers import Registers


class Watchdog:
    """Watches the feeds that the interpreter counts in the registers."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._seen = (0, 0)
        self._since = 0.0

    def bites(self) -> bool:
        """True if the watchdog was started and not fed in time. To be asked more often than that."""
        now = time.monotonic()
        state = self._registers.watchdog
        if state != self._seen:
            self._seen = state
            self._since = now
        timeout_ms = state[0]
        return timeout_ms > 0 and now - self._since > timeout_ms / 1000
