"""The time of a board, and how far it can be trusted.

    clock = Clock(config)
    clock.raise_floor(timestamp)    at the start and after each command: the time of the last authentic command
    if clock.is_due():              often, from the main loop, because this also counts the ticks before they wrap
        yield from clock.synchronise()   asks the time servers; raises TimeServerError (an OSError)
    clock()                         the Unix seconds that have surely begun; raises e4.ClockNotSet
    clock.width                     the milliseconds by which the time may be later than that
    clock.confirm(timestamp)        an authentic message or command was fresh by this clock
    clock.weigh(timestamp)          an authentic command is ahead of the clock, or the clock is not set
    clock.trust, clock.why          UNSET, COMMANDED, NETWORK or CONFIRMED; a sentence for the console

UNSET      The time is not known.
COMMANDED  The time is that of the last authentic command (`time_from_commands`), because no time server answered. The
           true time may be later. It is not earlier.
NETWORK    Two time servers agreed, or the only one that is configured answered. SNTP is not authenticated: whoever
           controls the network can claim any time that the rules below allow.
CONFIRMED  Since then, a message or command from a holder of our keys agreed with the clock.

The time servers are believed by these rules:

1. A time before that of the last command is never believed. The time since that command is counted, at 99.9 %.
2. A time before that of the last proof, or away from it while the clock is confirmed, is a claim. A confirmed clock
   believes it after the servers have claimed it for 6 hours. A message that is later than the claim refutes it: the 6
   hours begin anew. After a week the claim is believed in any case. A clock that is not confirmed waits for that week.
3. Every other time is believed at once.

The proof is the time of the message that confirmed the clock, or of a later command, and the time that has passed since
then. Messages that follow do not move it: all boards of a fleet may be misled together, and would confirm each other
step by step. What differs from the proof by no more than the tolerance and the drift of the crystal since then is not
away from it.
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
# The time for which the time servers must claim a time that contradicts a proof before they are believed.
_PATIENCE_MS = const(21600000)
# The time after which they are believed although messages refute the claim: a week. Without it, a fleet that was misled
# as a whole could not be corrected, because its boards prove the wrong time to each other.
_LONGEST_MS = const(604800000)
# The time by which two claims in a row may differ and still count as the same.
_SAME_MS = const(10000)
# The time by which a clock that was set by a command may be behind, so that the board can still talk to its peers: they
# refuse what is older than ten minutes.
_BEHIND_MS = const(600000)
# 2060-01-01, in Unix milliseconds. From later times on, `time.gmtime` of a board overflows.
_LATEST_MS = const(2840140800000)


class TimeRefused(TimeServerError):
    """The time servers agree on a time that the clock does not believe. The clock goes on as it was."""


def _print(text: str) -> None:
    """Print what the clock reports."""
    print("* clock:", text)


class Clock:
    """The clock of a board. It reads `time_servers`, `time_from_commands` and `future_tolerance` from a `Config`.

    The time is kept as a span: at the tick `_ticks` it was not before `_lower`, and not more than `width` ms later. All
    times are Unix milliseconds as of that tick. `_advance` moves them and all ages on, because the ticks wrap.
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
        # The span of the time; the docstring of the class describes these two.
        self._lower = self.width = 0
        # The earliest time that the last command and the ticks since then allow.
        self._floor = 0
        # The same for the last proof, and the milliseconds by which the time may have gone on more than that.
        self._proof = self._proof_drift = 0
        # The time that the time servers claim against a proof, if `_patience` is not 0.
        self._claim = 0
        # The milliseconds since they began to claim it.
        self._claim_age = 0
        # The age from which the claim is believed, or 0 if there is no claim.
        self._patience = 0
        # The milliseconds since the last attempt to synchronise.
        self._attempt_age = 0
        # The milliseconds from that attempt until the next one.
        self._wait = 0
        # The attempts that have failed since the last one that succeeded.
        self._failures = 0
        self._restore()

    def __call__(self) -> int:
        """Return the Unix time in seconds. Raises ClockNotSet.

        It is the earliest time that is possible, because the Go client refuses messages that are ahead of its clock.
        """
        passed = self._elapsed()
        if self.trust == UNSET:
            raise ClockNotSet(self.why)
        return (self._lower + _at_least(passed)) // 1000

    @property
    def why(self) -> str:
        """Return why the time is not known, or where it comes from, as text for a person."""
        if self.trust == UNSET:
            return "the time is not known: " + self._problem
        if self.trust == COMMANDED:
            return (
                "no time server answers; the time is taken from a command and may be later. "
                "If messages are refused, send a new one: e4 sync NAME --again"
            )
        confirmed = " and confirmed" if self.trust == CONFIRMED else ""
        return "the time is from time servers{}; within {} s".format(confirmed, self.width // 1000 + 1)

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
            if self.trust == UNSET:
                self._follow_commands()
            raise
        else:
            self._wait = _PERIOD_MS
            self._failures = 0
        finally:
            self._attempt_age = 0
            # Up to a quarter is added, so that the boards of a fleet do not all ask at the same time.
            self._wait += self._wait * os.urandom(1)[0] >> 10

    def raise_floor(self, timestamp: int) -> None:
        """Note the time of an authentic command (Unix seconds). From now on no earlier time is believed."""
        self._advance()
        self._floor = max(self._floor, timestamp * 1000)
        self._prove(timestamp)
        if self.trust == COMMANDED and self._floor > self._lower:
            self._set(self._floor, _BEHIND_MS, COMMANDED)
        elif self.trust != UNSET and self._floor > self._upper() + self._tolerance:
            self._lose("what was kept of it is older than the last command")

    def confirm(self, timestamp: int) -> None:
        """Note that an authentic message or command of this time (Unix seconds) was fresh."""
        if self.trust == CONFIRMED and not self._patience:
            return
        passed = self._elapsed()
        then = timestamp * 1000 - passed
        if self._patience and then > self._claim + self._tolerance:
            self._patience = min(max(self._patience, self._claim_age + _PATIENCE_MS), _LONGEST_MS)
        # A message that was late is accepted as well, but it says nothing about the time now.
        if self.trust == NETWORK and self._lower <= then + self._tolerance:
            self._prove(timestamp)
            self.trust = CONFIRMED

    def weigh(self, timestamp: int) -> bool:
        """Weigh the time of an authentic command that is ahead of the clock, or that finds the clock not set.

        Return whether the command may be looked at again, because the clock is set by commands now: the configuration
        allows it (`time_from_commands`), the time servers were asked in vain, and no better time is known. A better
        clock that the command contradicts asks the time servers soon.
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
        if not self._from_commands or not self._failures or timestamp * 1000 >= _LATEST_MS:
            return False
        self.raise_floor(timestamp)
        return self.trust == COMMANDED or self._follow_commands()

    def _follow_commands(self) -> bool:
        """Set the clock to the time of the last command, if that is allowed and known; return whether it was set."""
        # A floor that began at 0 is not the time of a command: 2^40 ms after 1970 is the year 2004.
        if not self._from_commands or not self._floor >> 40 or self._floor >= _LATEST_MS:
            return False
        self._set(self._floor, _BEHIND_MS, COMMANDED)
        self._report(self.why)
        return True

    def _adopt(self, lower: int, upper: int) -> None:
        """Set the clock to the span (Unix ms) that the time servers agree on, or raise TimeRefused."""
        if upper + self._tolerance < self._floor:
            text = "the time servers agree on a time {} s before that of authentic traffic: they are wrong or lie"
            raise TimeRefused(text.format((self._floor - upper) // 1000))
        trust = max(self.trust, NETWORK)
        # The second bound is a little wider, because it is for the lower end of the span.
        if upper + self._tolerance < self._proof or (
            trust == CONFIRMED and lower > self._proof + self._proof_drift + self._tolerance + TOLERANCE_MS
        ):
            self._judge(lower)
            if lower < self._proof:
                self._proof = 0
            trust = NETWORK
        step = max(lower - self._upper(), 0) + min(upper - self._lower, 0)  # ms; 0 if the spans overlap
        if self.trust >= NETWORK and abs(step) > TOLERANCE_MS:
            self._report("the time servers move the time by {} s".format(step // 1000))
        self._claim = self._patience = 0
        self._set(lower, upper - lower, trust)

    def _judge(self, lower: int) -> None:
        """Raise TimeRefused and note the claim, unless the time servers have claimed this time for long enough."""
        if abs(self._claim - lower) > _SAME_MS:
            self._claim_age = 0
            # A clock that no peer agrees with may be far ahead. It then refuses the messages that would refute a claim.
            self._patience = _PATIENCE_MS if self.trust == CONFIRMED else _LONGEST_MS
        self._claim = lower
        if self._claim_age < self._patience:
            text = "the time servers claim a time {} s from that of authentic traffic; not believed for another {} min"
            left = (self._patience - self._claim_age + 59999) // 60000
            raise TimeRefused(text.format((lower - self._proof) // 1000, left))

    # The span

    def _upper(self) -> int:
        """Return the upper end of the span."""
        return self._lower + self.width

    def _set(self, lower: int, width: int, trust: int) -> None:
        """Set the span (Unix ms) and the trust, and keep both over a reset."""
        self._lower = lower
        self.width = width
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
        self._lower = lower + surely_passed
        self.width = width + 2 * (now - lower - surely_passed)
        self.trust = min(trust, NETWORK)

    def _lose(self, problem: str) -> None:
        """Forget the time, say why, and have the time servers asked at once."""
        self.trust = UNSET
        self._claim = self._patience = 0
        self._problem = problem
        self._wait = 0
        self._report(self.why)

    def _prove(self, timestamp: int) -> None:
        """Note the time of authentic traffic (Unix seconds) if it is later than what is known of the last proof."""
        proof = timestamp * 1000 - _at_least(self._elapsed())
        if proof > self._proof:
            self._proof = proof
            self._proof_drift = 0

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
        drift = 2 * (passed - surely_passed)
        self._lower += surely_passed
        self.width += drift
        # No claim is ever believed against the floor. So ticks that are less exact than a crystal must not lift it too
        # far, and the floor is counted at 99.9 %.
        self._floor += passed - passed // 1000
        self._proof += surely_passed
        self._proof_drift += drift
        self._claim += surely_passed
        self._claim_age += passed
        self._attempt_age += passed


def _at_least(passed: int) -> int:
    """Return the milliseconds that have passed at least when the ticks say `passed`: the crystal may be fast."""
    return passed - (passed + _DRIFT - 1) // _DRIFT
