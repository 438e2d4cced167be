"""The time of a board, and how far it can be trusted.

    clock = Clock(config)
    clock.raise_floor(timestamp)    at the start and after each command: the time of the last authentic command
    if clock.is_due():              often, from the main loop, because this also counts the ticks before they wrap
        yield from clock.synchronise()   asks the time servers; raises TimeServerError (an OSError)
    clock()                         the Unix seconds that have surely begun; raises e4.ClockNotSet
    clock.confirm(timestamp)        an authentic message or command was fresh by this clock
    clock.weigh(timestamp)          an authentic command is ahead of the clock, or the clock is not set
    clock.trust, clock.why          UNSET, COMMANDED, NETWORK or CONFIRMED; a sentence for the console

UNSET      The time is not known.
COMMANDED  An authentic command has set the clock (`time_from_commands`), because no time server answered. The true time
           may be later. It is not earlier.
NETWORK    Two time servers agreed, or the only one that is configured answered. SNTP is not authenticated: whoever
           controls the network can claim any time that is not before the last authentic command (the floor).
CONFIRMED  Since then, messages or commands from holders of our keys agreed with the clock. The network can move it by
           more than the tolerance only after it has claimed the other time for an hour. An authentic command that is
           ahead of the clock takes the confirmation away.
"""

import os
import time

from e4 import ClockNotSet
from e4._const import const

from .rtc import KeptTime
from .sntp import TOLERANCE_MS, TimeServerError, TimeServers

UNSET = const(0)
COMMANDED = const(1)
NETWORK = const(2)
CONFIRMED = const(3)

# A crystal is assumed to be off by up to one part in this number (50 ppm). That is twice what the data sheets of ESP32
# modules allow.
_DRIFT = const(20000)
# The ticks are counted at least this often, because they wrap after 2^30 ms on a board.
_ADVANCE_MS = const(1 << 20)
# The time between two synchronisations.
_PERIOD_MS = const(3600000)
# The time until the next attempt after a failure. It doubles up to the period (RFC 4330 section 10: at least 15 s).
_RETRY_MS = const(15000)
# The time between two attempts when a command contradicts the clock.
_HURRY_MS = const(60000)
# The time for which the network must claim a time that contradicts a confirmed clock before it is believed.
_PATIENCE_MS = const(3600000)
# 2060-01-01, in Unix seconds. From later times on, `time.gmtime` of a board overflows.
_LATEST = const(2840140800)


class TimeRefused(TimeServerError):
    """The time servers agree on a time that the clock does not believe. The clock goes on as it was."""


def _print(text: str) -> None:
    """Print what the clock reports."""
    print("* clock:", text)


class Clock:
    """The clock of a board. It reads `time_servers`, `time_from_commands` and `future_tolerance` from a `Config`.

    The time is kept as a span: at the tick `_ticks` it was not before `_seconds` and `_millis`, and not more than
    `_width` ms later. Spans of time are kept as ages in ms that `_advance` counts up, because the ticks wrap.
    """

    def __init__(self, config, servers: TimeServers | None = None, rtc=None, timer=time, report=_print) -> None:
        # UNSET, COMMANDED, NETWORK or CONFIRMED.
        self.trust = UNSET
        self._servers = TimeServers(config.time_servers) if servers is None else servers
        self._from_commands = config.time_from_commands
        # What a message or command may be ahead of the clock, and what two time servers may differ by (ms).
        self._tolerance = config.future_tolerance * 1000 + TOLERANCE_MS
        self._rtc = KeptTime() if rtc is None else rtc
        self._timer = timer
        self._report = report
        # Why the time is not known; `synchronise` and `_lose` set it.
        self._problem = "no time server has been asked"
        # The tick at which the span of the time was computed last.
        self._ticks = timer.ticks_ms()
        # The span of the time; the docstring of the class describes these three.
        self._seconds = self._millis = self._width = 0
        # The time of the last command, in Unix seconds; `raise_floor` sets it.
        self._floor = 0
        # The latest time of authentic traffic in Unix milliseconds; `_prove` sets it.
        self._proof = 0
        # The milliseconds that have surely passed since then.
        self._proof_age = 0
        # The time of the last message that `confirm` took, in Unix seconds: many messages have the same.
        self._confirmed_at = 0
        # The time in Unix milliseconds that the network claims against a confirmed clock, or None; `_judge` sets it.
        self._claim: int | None = None
        # The milliseconds since the network began to claim it; `_judge` sets it to 0.
        self._claim_age = 0
        # The milliseconds since the last attempt to synchronise.
        self._attempt_age = 0
        # The milliseconds from that attempt until the next one.
        self._wait = 0
        # The attempts that have failed since the last one that succeeded.
        self._failures = 0
        self._restore()

    def __call__(self) -> int:
        """Return the Unix time in seconds. Raises ClockNotSet.

        It is the lower end of what is possible, because the Go client refuses messages that are ahead of its clock.
        """
        passed = self._elapsed()
        if self.trust == UNSET:
            raise ClockNotSet(self.why)
        now = self._seconds + (self._millis + _at_least(passed)) // 1000
        # A floor that is ahead by no more than the tolerance is not shown: the clock of C2 may be ahead of the true
        # time, and our messages would then be ahead as well.
        return now if now >= self._floor - self._tolerance // 1000 else self._floor

    @property
    def why(self) -> str:
        """Return why the time is not known, or where it comes from, as text for a person."""
        if self.trust == UNSET:
            return "the time is not known: " + self._problem
        whose = ("", "from a command, no time server answers", "from time servers", "from time servers and confirmed")
        return "the time is {}; within {} s".format(whose[self.trust], self._width // 1000 + 1)

    # What others say of the time

    def is_due(self) -> bool:
        """Tell whether to synchronise now. This also counts the ticks before they wrap."""
        return self._attempt_age + self._elapsed() >= self._wait

    def synchronise(self):
        """A generator: it asks the time servers and sets the clock, and yields while it waits.

        Raises TimeServerError if they do not answer or do not agree, TimeRefused if the clock does not believe them.
        """
        try:
            answer = yield from self._servers.ask()
            self._advance()
            passed = self._timer.ticks_diff(self._ticks, answer.ticks)
            self._adopt(answer.lower + passed, answer.upper + passed)
        except Exception as error:  # Asking again at once would not help, not even after lack of memory.
            self._advance()
            self._problem = str(error) or type(error).__name__
            self._wait = min(_RETRY_MS << min(self._failures, 8), _PERIOD_MS)
            self._failures += 1
            raise
        else:
            self._wait = _PERIOD_MS
            self._failures = 0
        finally:
            self._attempt_age = 0
            # Up to a quarter is added, so that the boards of a fleet do not all ask at the same time.
            self._wait += self._wait * os.urandom(1)[0] >> 10

    def raise_floor(self, timestamp: int) -> None:
        """Note the time of an authentic command (Unix seconds).

        From now on the clock does not show or believe an earlier time, apart from the tolerance.
        """
        self._advance()
        self._floor = max(self._floor, timestamp)
        self._prove(timestamp)
        if self.trust == COMMANDED and timestamp > self._seconds:
            self._set(timestamp * 1000, 0, COMMANDED)
        elif self.trust != UNSET and timestamp * 1000 > self._upper() + self._tolerance:
            self._lose("what was kept of it is older than the last command")

    def confirm(self, timestamp: int) -> None:
        """Note that an authentic message or command of this time (Unix seconds) was fresh."""
        if timestamp == self._confirmed_at and self.trust == CONFIRMED:
            return
        self._confirmed_at = timestamp
        behind = self._lower() + _at_least(self._elapsed()) - timestamp * 1000
        if behind > self._tolerance:  # It was late, which is allowed, and says nothing about the time now.
            return
        self._prove(timestamp)
        if self.trust == NETWORK:
            self.trust = CONFIRMED

    def weigh(self, timestamp: int) -> bool:
        """Weigh the time of an authentic command that is ahead of the clock; return whether it has set the clock.

        It sets the clock if the configuration allows it (`time_from_commands`), the time servers were asked in vain,
        and no better time is known. Otherwise it makes a clock that it contradicts ask the time servers soon.
        """
        self._advance()
        if self.trust >= NETWORK:
            ahead = timestamp * 1000 - self._upper()
            if ahead > self._tolerance:
                self._wait = min(self._wait, _HURRY_MS)
                if self.trust == CONFIRMED:
                    self.trust = NETWORK
                    self._report("an authentic command is {} s ahead; asking the time servers".format(ahead // 1000))
            return False
        if not self._from_commands or not self._failures or not self._floor <= timestamp < _LATEST:
            return False
        if self.trust == COMMANDED and timestamp <= self._seconds:
            return False
        self._set(timestamp * 1000, 0, COMMANDED)
        self._prove(timestamp)
        self._report("no time server answers; the time is taken from a command")
        return True

    def _adopt(self, lower: int, upper: int) -> None:
        """Set the clock to the span (Unix ms) that the time servers agree on, or raise TimeRefused."""
        proved = self._proof + self._proof_age
        if upper + self._tolerance < proved:
            text = "the time servers agree on a time {} s before that of authentic traffic: they are wrong or lie"
            raise TimeRefused(text.format((proved - upper) // 1000))
        step = max(lower - self._upper(), 0) + min(upper - self._lower(), 0)  # ms; 0 if the spans overlap
        trust = NETWORK
        if self.trust == CONFIRMED:
            if abs(step) > self._tolerance:
                self._judge(lower, step)
            else:
                trust = CONFIRMED
        if self.trust >= NETWORK and abs(step) > TOLERANCE_MS:
            self._report("the time servers move the time by {} s".format(step // 1000))
        self._claim = None
        self._set(lower, upper - lower, trust)

    def _judge(self, lower: int, step: int) -> None:
        """Raise TimeRefused and note the claim, unless the network has claimed this time for an hour."""
        if self._claim is None or abs(self._claim + self._claim_age - lower) > self._tolerance:
            self._claim, self._claim_age = lower, 0
        elif self._claim_age >= _PATIENCE_MS:
            return
        text = "the time servers claim a time {} s from the one that was confirmed; not believed for another {} min"
        raise TimeRefused(text.format(step // 1000, (_PATIENCE_MS - self._claim_age + 59999) // 60000))

    # The span

    def _lower(self) -> int:
        """Return the lower end of the span in Unix milliseconds, as of the tick `_ticks`."""
        return self._seconds * 1000 + self._millis

    def _upper(self) -> int:
        """Return the upper end of the span in Unix milliseconds, as of the tick `_ticks`."""
        return self._lower() + self._width

    def _set(self, lower: int, width: int, trust: int) -> None:
        """Set the span (Unix ms) and the trust, and keep both over a reset."""
        self._seconds, self._millis = divmod(lower, 1000)
        self._width = width
        self.trust = trust
        self._rtc.keep(lower, width, trust)

    def _restore(self) -> None:
        """Go on with the time that was kept over a reset. A confirmation is not kept: the trust is NETWORK at most."""
        kept = self._rtc.read()
        if kept is None:
            return
        now, lower, width, trust = kept
        if now < lower or not UNSET < trust <= CONFIRMED:
            return
        surely_passed = _at_least(now - lower)
        self._seconds, self._millis = divmod(lower + surely_passed, 1000)
        self._width = width + 2 * (now - lower - surely_passed)
        self.trust = min(trust, NETWORK)

    def _lose(self, problem: str) -> None:
        """Forget the time, say why, and have the time servers asked at once."""
        self.trust = UNSET
        self._claim = None
        self._problem = problem
        self._wait = 0
        self._report(self.why)

    def _prove(self, timestamp: int) -> None:
        """Note the time of authentic traffic (Unix seconds) if it is later than what was noted before."""
        if timestamp * 1000 > self._proof + self._proof_age:
            self._proof = timestamp * 1000
            self._proof_age = -_at_least(self._elapsed())

    # Ticks

    def _elapsed(self) -> int:
        """Return the milliseconds since `_advance` was called last, and call it again long before the ticks wrap."""
        passed = self._timer.ticks_diff(self._timer.ticks_ms(), self._ticks)
        if 0 <= passed < _ADVANCE_MS:
            return passed
        self._advance()
        return 0

    def _advance(self) -> None:
        """Move the span and all ages to the present tick.

        Each call costs up to a millisecond of precision, so that not every look at the clock should make one.
        """
        now = self._timer.ticks_ms()
        passed = self._timer.ticks_diff(now, self._ticks)
        self._ticks = now
        if passed < 0:
            self._lose("nobody looked at the clock for days, and its ticks have wrapped")
            return
        surely_passed = _at_least(passed)
        self._seconds += (self._millis + surely_passed) // 1000
        self._millis = (self._millis + surely_passed) % 1000
        self._width += 2 * (passed - surely_passed)
        self._proof_age += surely_passed
        self._claim_age += passed
        self._attempt_age += passed


def _at_least(passed: int) -> int:
    """Return the milliseconds that have passed at least when the ticks say `passed`: the crystal may be fast."""
    return passed - (passed + _DRIFT - 1) // _DRIFT
