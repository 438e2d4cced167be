"""The supervisor's half of `machine.WDT`. It notices when a board no longer feeds its watchdog."""

import time

from e4_tools.virtual_board.registers import Registers


class WatchdogTimer:
    """Watches the number of feeds that the interpreter keeps in the registers."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        # The timeout (ms) and the number of feeds as they were last read.
        self._seen = (0, 0)
        # The instant (of time.monotonic) at which `_seen` last changed.
        self._since = 0.0

    def has_expired(self) -> bool:
        """Tell whether the watchdog was started and not fed in time. Call this several times in each timeout."""
        now = time.monotonic()
        state = self._registers.watchdog
        if state != self._seen:
            self._seen = state
            self._since = now
        timeout_ms = state[0]
        return timeout_ms > 0 and now - self._since > timeout_ms / 1000
