"""The supervisor's half of `machine.WDT`: it notices that the board no longer feeds its watchdog."""

import time

from e4_tools.virtual_board.registers import Registers


class WatchdogTimer:
    """Watches the feeds that the interpreter counts in the registers."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._seen = (0, 0)
        self._since = 0.0

    def has_expired(self) -> bool:
        """Tell whether the watchdog was started and not fed in time. Call it more often than that time allows."""
        now = time.monotonic()
        state = self._registers.watchdog
        if state != self._seen:
            self._seen = state
            self._since = now
        timeout_ms = state[0]
        return timeout_ms > 0 and now - self._since > timeout_ms / 1000
