"""The time of a board, and how far it can be trusted.

    clock = Clock(config)
    clock.raise_floor(timestamp)   at start and after each command: the time of the last authentic command
    if clock.is_due():                often, from the main loop: also keeps count where ticks wrap
        yield from clock.synchronise()  asks the time servers; raises TimeServerError (an OSError): what is wrong
    clock()                        Unix seconds that have surely begun; raises e4.ClockNotSet
    clock.confirm(timestamp)       an authentic message or command was fresh by this clock
    clock.weigh(timestamp)      an authentic command is ahead of it, or met no time: True if that set the clock
    clock.trust, clock.why         UNSET, COMMANDED, NETWORK or CONFIRMED; a sentence for the console

UNSET      Nobody has said what time it is.
COMMANDED  A command did (`time_from_commands`), since no time server would: it may be later, it is not earlier.
NETWORK    Two time servers agreed, or the only one that is configured answered. SNTP is not authenticated: whoever
           controls the network can claim any time that is not before the last authentic command (the floor).
CONFIRMED  What holders of our keys sent agreed with it since. The network may then move the clock by more than the
           tolerance only after saying so for an hour; an authentic command ahead of the clock ends that.
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

_DRIFT = const(20000)  # a crystal is off by one part in this (50 ppm): twice what that of an ESP32 module may be
_ADVANCE_MS = const(1 << 20)  # ticks are counted off at least this often; they wrap after 2^30 ms on a board
_PERIOD_MS = const(3600000)  # between synchronisations
_RETRY_MS = const(15000)  # after a failure; doubled up to the period (RFC 4330 section 10: never less than 15 s)
_HURRY_MS = const(60000)  # since the last attempt, when a command contradicts the clock
_PATIENCE_MS = const(3600000)  # for which the network must claim what contradicts a confirmed clock
_LATEST = const(2840140800)  # 2060-01-01: from later times on `time.gmtime` of a board overflows


class TimeRefused(TimeServerError):
    """The time servers agreed on a time that is not to be believed. The clock goes on as it was."""


def _print(text: str) -> None:
    print("* clock:", text)


class Clock:
    """Takes `time_servers`, `time_from_commands` and `future_tolerance` from a `Config`.

    The time is kept as a span: it is not before `_seconds` and `_millis`, nor more than `_width` ms after, as of the
    tick `_ticks`. What grows with time is kept as ages in ms, counted off together in `_advance`.
    """

    def __init__(self, config, servers: TimeServers | None = None, rtc=None, ticks=time, report=_print) -> None:
        self.trust = UNSET
        self._servers = TimeServers(config.time_servers) if servers is None else servers
        self._from_commands = config.time_from_commands
        self._tolerance = config.future_tolerance * 1000 + TOLERANCE_MS  # ms
        self._rtc = KeptTime() if rtc is None else rtc
        self._time = ticks
        self._report = report
        self._problem = "no time server has been asked"
        self._ticks = ticks.ticks_ms()
        self._seconds = self._millis = self._width = 0
        self._floor = 0  # s: the time of the last command
        self._proof = 0  # ms: the time of authentic traffic, by now at least `_proof_age` ms ago
        self._proof_age = 0
        self._confirmed_at = 0  # s: the time of the last message; many have the same
        self._claim: int | None = None  # ms: what the network claims against a confirmed clock
        self._claim_age = 0
        self._attempt_age = 0  # ms since the last attempt to synchronise
        self._wait = 0  # ms until the next one
        self._failures = 0
        self._restore()

    def __call__(self) -> int:
        """Return Unix seconds: the lower end of what is possible, since the Go client tolerates no future at all."""
        passed = self._elapsed()
        if self.trust == UNSET:
            raise ClockNotSet(self.why)
        now = self._seconds + (self._millis + _at_least(passed)) // 1000
        # C2's clock may be ahead of ours: to run after it would put what we send into the future.
        return now if now >= self._floor - self._tolerance // 1000 else self._floor

    @property
    def why(self) -> str:
        """Why the time is not known, or whose it is."""
        if self.trust == UNSET:
            return "the time is not known: " + self._problem
        whose = ("", "from a command, no time server answers", "from time servers", "from time servers and confirmed")
        return "the time is {}; within {} s".format(whose[self.trust], self._width // 1000 + 1)

    # What is known from others

    def is_due(self) -> bool:
        """Tell whether it is time to synchronise."""
        return self._attempt_age + self._elapsed() >= self._wait

    def synchronise(self):
        """Ask the time servers; a generator that yields while it waits.

        Raises TimeServerError if they do not answer or agree, TimeRefused if what they agree on cannot be.
        """
        try:
            answer = yield from self._servers.ask()
            self._advance()
            passed = self._time.ticks_diff(self._ticks, answer.ticks)
            self._adopt(answer.lower + passed, answer.upper + passed)
        except Exception as error:  # want of memory as well: to ask again at once would not help
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
            self._wait += self._wait * os.urandom(1)[0] >> 10  # a fleet that was switched on at once spreads out

    def raise_floor(self, timestamp: int) -> None:
        """Show and believe no time before `timestamp` (Unix seconds), beyond the tolerance: a command was made then."""
        self._advance()
        self._floor = max(self._floor, timestamp)
        self._prove(timestamp)
        if self.trust == COMMANDED and timestamp > self._seconds:
            self._set(timestamp * 1000, 0, COMMANDED)
        elif self.trust != UNSET and timestamp * 1000 > self._upper() + self._tolerance:
            self._lose("what was kept of it is older than the last command")

    def confirm(self, timestamp: int) -> None:
        """Note that an authentic message or command of that time (Unix seconds) was fresh."""
        if timestamp == self._confirmed_at and self.trust == CONFIRMED:
            return
        self._confirmed_at = timestamp
        behind = self._lower() + _at_least(self._elapsed()) - timestamp * 1000
        if behind > self._tolerance:  # late, which is allowed, but it says nothing of the time
            return
        self._prove(timestamp)
        if self.trust == NETWORK:
            self.trust = CONFIRMED

    def weigh(self, timestamp: int) -> bool:
        """Consider an authentic command that is ahead of the clock, or met none; return whether it set the clock.

        It does if the configuration allows it (`time_from_commands`), time servers were asked in vain, and nothing
        better is known. Otherwise it makes a clock that it contradicts ask the time servers soon.
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
        """Adopt the span that the time servers agree on, or raise TimeRefused."""
        proved = self._proof + self._proof_age
        if upper + self._tolerance < proved:
            text = "the time servers agree on a time {} s before that of authentic traffic: they are wrong or lie"
            raise TimeRefused(text.format((proved - upper) // 1000))
        step = max(lower - self._upper(), 0) + min(upper - self._lower(), 0)  # 0: the spans meet
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
        """Return if the network has claimed this for long enough; else remember the claim and raise TimeRefused."""
        if self._claim is None or abs(self._claim + self._claim_age - lower) > self._tolerance:
            self._claim, self._claim_age = lower, 0
        elif self._claim_age >= _PATIENCE_MS:
            return
        text = "the time servers claim a time {} s from the one that was confirmed; not believed for another {} min"
        raise TimeRefused(text.format(step // 1000, (_PATIENCE_MS - self._claim_age + 59999) // 60000))

    # The span

    def _lower(self) -> int:
        return self._seconds * 1000 + self._millis

    def _upper(self) -> int:
        return self._lower() + self._width

    def _set(self, lower: int, width: int, trust: int) -> None:
        self._seconds, self._millis = divmod(lower, 1000)
        self._width = width
        self.trust = trust
        self._rtc.keep(lower, width, trust)

    def _restore(self) -> None:
        """Go on with what was kept over a reset, however well confirmed it was, as what the network said."""
        kept = self._rtc.read()
        if kept is None:
            return
        now, lower, width, trust = kept
        if now < lower or not UNSET < trust <= CONFIRMED:
            return
        less = _at_least(now - lower)
        self._seconds, self._millis = divmod(lower + less, 1000)
        self._width = width + 2 * (now - lower - less)
        self.trust = min(trust, NETWORK)

    def _lose(self, problem: str) -> None:
        self.trust = UNSET
        self._claim = None
        self._problem = problem
        self._wait = 0
        self._report(self.why)

    def _prove(self, timestamp: int) -> None:
        if timestamp * 1000 > self._proof + self._proof_age:
            self._proof = timestamp * 1000
            self._proof_age = -_at_least(self._elapsed())

    # Ticks

    def _elapsed(self) -> int:
        """Return the ms since the span was brought up to date, and do that long before the ticks wrap."""
        passed = self._time.ticks_diff(self._time.ticks_ms(), self._ticks)
        if 0 <= passed < _ADVANCE_MS:
            return passed
        self._advance()
        return 0

    def _advance(self) -> None:
        """Bring everything up to date. Each time costs up to a millisecond of precision: not for every call."""
        now = self._time.ticks_ms()
        passed = self._time.ticks_diff(now, self._ticks)
        self._ticks = now
        if passed < 0:
            self._lose("nobody looked at the clock for days, and its ticks have wrapped")
            return
        less = _at_least(passed)
        self._seconds += (self._millis + less) // 1000
        self._millis = (self._millis + less) % 1000
        self._width += 2 * (passed - less)
        self._proof_age += less
        self._claim_age += passed
        self._attempt_age += passed


def _at_least(passed: int) -> int:
    """Return the milliseconds that have surely passed when the ticks say `passed`."""
    return passed - (passed + _DRIFT - 1) // _DRIFT
