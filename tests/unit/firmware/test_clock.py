"""The clock: whose time it believes, how far it trusts that time, and what it shows."""

from e4 import ClockNotSet
from firmware.clock import COMMANDED, CONFIRMED, NETWORK, UNSET, Clock, TimeRefused
from firmware.rtc import KeptTime
from firmware.sntp import TimeServerError, TimeServers
from helpers.portable.support import finish, raises
from helpers.portable.time_and_network import Calendar, Machine, Network

_HOUR = 3600000


class Config:
    def __init__(self, time_from_commands=False, future_tolerance=60):
        self.time_servers = ("a", "b")
        self.time_from_commands = time_from_commands
        self.future_tolerance = future_tolerance


class Bench:
    """A board with a clock and a network of time servers. All times are Unix times in seconds."""

    def __init__(self, epoch=946684800, drift=0, **settings):
        self.network = Network(drift, a=0, b=0)
        self.ticks = self.network.ticks
        self.machine = Machine(self.ticks)
        self.reported = []
        self.config = Config(**settings)
        self.calendar = Calendar(epoch)
        self.reset()

    def reset(self, power=False):
        if power:
            self.machine = Machine(self.ticks)
        servers = TimeServers(self.config.time_servers, self.network, self.ticks)
        rtc = KeptTime(self.machine, self.calendar)
        self.clock = Clock(self.config, servers, rtc, self.ticks, self.reported.append)

    def now(self):
        return self.network.now() // 1000

    def claim(self, seconds):
        """Make the clocks of both time servers wrong by so many seconds."""
        self.network.offsets = {"a": seconds * 1000, "b": seconds * 1000}

    def silence(self):
        self.network.offsets = {"a": None, "b": None}

    def wait(self, milliseconds):
        """Let time pass, and ask the clock every ten minutes whether it is due, as the main loop does all the time."""
        while milliseconds > 0:
            step = min(milliseconds, 600000)
            self.ticks.pass_ms(step)
            self.clock.is_due()
            milliseconds -= step

    def synchronise(self):
        finish(self.clock.synchronise())
        return self

    def synchronise_and_confirm(self):
        finish(self.clock.synchronise())
        self.clock.confirm(self.now())
        assert self.clock.trust == CONFIRMED
        return self

    def fail_to_synchronise(self, error=TimeServerError):
        """Synchronise, which must fail and change nothing. Return the text of the error."""
        trust, offset = self.clock.trust, self._offset()
        text = str(raises(error, finish, self.clock.synchronise()))
        assert self.clock.trust == trust
        assert offset is None or abs(self._offset() - offset) <= 1
        return text

    def is_right(self):
        return self.now() - 1 <= self.clock() <= self.now()

    def _offset(self):
        return None if self.clock.trust == UNSET else self.clock() - self.now()


# These tests are about the trust in the time of the clock.


def test_unset_it_says_why():
    bench = Bench()
    assert bench.clock.trust == UNSET
    assert "no time server has been asked" in str(raises(ClockNotSet, bench.clock))
    bench.silence()
    bench.fail_to_synchronise()
    assert "a: no answer within 2 s" in bench.clock.why
    assert bench.clock.why == str(raises(ClockNotSet, bench.clock))


def test_two_time_servers_set_it():
    bench = Bench().synchronise()
    assert bench.clock.trust == NETWORK
    assert bench.is_right()
    assert "from time servers; within 1 s" in bench.clock.why


def test_a_spoofed_server_among_two_does_not():
    bench = Bench()
    bench.network.offsets["b"] = -86400000
    assert "no two time servers agree" in bench.fail_to_synchronise()
    assert bench.clock.trust == UNSET
    bench.network.offsets["b"] = 0
    bench.synchronise()
    bench.network.offsets["a"] = 86400000
    bench.fail_to_synchronise()
    assert bench.is_right()


def test_authentic_traffic_confirms_it():
    for off in (-61, -1, 0, 61):
        bench = Bench().synchronise()
        bench.clock.confirm(bench.now() + off)
        assert bench.clock.trust == CONFIRMED, off


def test_a_late_command_confirms_nothing():
    bench = Bench().synchronise()
    bench.clock.confirm(bench.now() - 3600)
    assert bench.clock.trust == NETWORK


def test_it_is_confirmed_by_what_is_fresh_now():
    bench = Bench().synchronise()
    bench.ticks.pass_ms(900000)
    bench.clock.confirm(bench.now() - 600)
    assert bench.clock.trust == NETWORK
    bench.clock.confirm(bench.now())
    assert bench.synchronise().is_right()
    assert bench.clock.trust == CONFIRMED


def test_nothing_confirms_an_unset_clock():
    bench = Bench()
    bench.clock.confirm(bench.now())
    assert bench.clock.trust == UNSET


def test_synchronising_again_keeps_a_confirmation():
    bench = Bench().synchronise_and_confirm()
    bench.wait(_HOUR)
    assert bench.synchronise().clock.trust == CONFIRMED


# These tests are about the time that the clock shows.


def test_it_shows_a_time_that_has_surely_begun():
    for delay in (0, 40, 900):
        for off in (0, 1500, -1500):
            bench = Bench()
            bench.network.delay = delay
            # One of the two servers is wrong, but by so little that the clock cannot notice it.
            bench.network.offsets["b"] = off
            bench.synchronise()
            assert bench.now() - 5 <= bench.clock() <= bench.now(), (delay, off)


def test_it_is_not_ahead_however_its_crystal_drifts():
    for drift in (50, -50, 0):
        bench = Bench(drift=drift).synchronise()
        for _ in range(30):
            bench.wait(24 * _HOUR)
            assert bench.now() - 260 - 1 <= bench.clock() <= bench.now(), drift
        # In 30 days a crystal may drift by 50 millionths in either direction.
        assert "within 26" in bench.clock.why
        bench.synchronise()
        assert bench.is_right()


def test_not_even_by_a_moment_between_two_counts():
    bench = Bench(drift=50)
    bench.network.delay = 0
    bench.synchronise()
    bench.ticks.pass_ms(900000)
    for _ in range(1000):
        bench.ticks.pass_ms(1)
        assert bench.clock() <= bench.now()


def test_it_loses_nothing_by_being_read_often():
    bench = Bench().synchronise()
    for _ in range(5000):
        bench.ticks.pass_ms(1)
        bench.clock()
        bench.clock.is_due()
        bench.clock.confirm(bench.now())
    assert bench.is_right()


def test_what_passes_after_an_answer_is_not_lost():
    class Interrupted(TimeServers):
        def ask(self):
            answer = yield from super().ask()
            self._timer.pass_ms(3000)
            return answer

    bench = Bench()
    servers = Interrupted(("a", "b"), bench.network, bench.ticks)
    bench.clock = Clock(bench.config, servers, KeptTime(bench.machine, bench.calendar), bench.ticks)
    assert bench.synchronise().is_right()


def test_ticks_wrap():
    bench = Bench().synchronise()
    for _ in range(5):
        bench.wait(2**30 - 12345)
        assert bench.now() - 600 < bench.clock() <= bench.now()


def test_reading_it_is_enough_for_it_to_survive_the_wrap():
    bench = Bench().synchronise()
    for _ in range(200):
        bench.ticks.pass_ms(6 * _HOUR)
        assert bench.now() - 450 < bench.clock() <= bench.now()


def test_left_alone_for_too_long_it_does_not_guess():
    bench = Bench().synchronise()
    bench.ticks.pass_ms(2**29 + 1)
    assert "wrapped" in str(raises(ClockNotSet, bench.clock))
    assert bench.clock.trust == UNSET and "wrapped" in bench.reported[0]
    assert bench.clock.is_due()
    assert bench.synchronise().is_right()


# These tests are about the floor: the latest time that authentic traffic has proved.


def test_both_servers_spoofed_below_the_floor():
    bench = Bench()
    bench.clock.raise_floor(bench.now())
    bench.claim(-3600)
    assert "before that of authentic traffic" in bench.fail_to_synchronise(TimeRefused)
    assert bench.clock.trust == UNSET
    assert "wrong or lie" in bench.clock.why
    bench.claim(0)
    assert bench.synchronise().is_right()


def test_the_floor_rises_with_time():
    bench = Bench().synchronise()
    bench.clock.raise_floor(bench.now())
    bench.wait(2 * _HOUR)
    # This claim is later than the command, but not two hours later, as it should be.
    bench.claim(-3600)
    bench.fail_to_synchronise(TimeRefused)
    assert bench.is_right()


def test_messages_prove_the_time_as_well():
    bench = Bench().synchronise_and_confirm()
    bench.claim(-3600)
    # The clock must refuse the claim as often as the servers repeat it, while messages refute it.
    for _ in range(12):
        assert "s from that of authentic traffic" in bench.fail_to_synchronise(TimeRefused)
        bench.wait(_HOUR)
        bench.clock.confirm(bench.now())


def test_what_proved_a_time_counts_after_a_message_that_was_ahead():
    bench = Bench().synchronise()
    bench.clock.confirm(bench.now() + 60)
    bench.claim(0)
    assert bench.synchronise().is_right()
    bench.claim(-10)
    assert "believed for another 360 min" in bench.fail_to_synchronise(TimeRefused)


def test_the_floor_never_falls():
    bench = Bench()
    bench.clock.raise_floor(bench.now())
    bench.clock.raise_floor(bench.now() - 7200)
    bench.clock.confirm(bench.now() - 7200)
    bench.claim(-3600)
    bench.fail_to_synchronise(TimeRefused)


def test_a_commander_whose_clock_is_a_little_ahead_does_no_harm():
    bench = Bench().synchronise()
    bench.clock.raise_floor(bench.now() + 60)
    bench.clock.confirm(bench.now() + 60)
    bench.wait(1000)
    bench.synchronise()
    # The time stamps of the board must not be ahead, although those of C2 are.
    assert bench.is_right()


def test_a_kept_time_that_is_before_the_floor_is_given_up():
    bench = Bench().synchronise()
    bench.reset()
    bench.clock.raise_floor(bench.now() + 3600)
    assert bench.clock.trust == UNSET
    assert "older than the last command" in bench.clock.why and bench.reported


# These tests are about steps of the clock.


def test_what_the_network_set_the_network_may_set_back():
    bench = Bench()
    bench.claim(365 * 86400)
    bench.synchronise()
    bench.claim(0)
    assert bench.synchronise().is_right()
    assert "by -31535999 s" in bench.reported[0] or "by -31536000 s" in bench.reported[0]


def test_small_steps_are_not_reported():
    bench = Bench().synchronise()
    bench.claim(1)
    bench.synchronise()
    bench.claim(-1)
    bench.synchronise()
    assert bench.reported == []


def test_a_confirmed_clock_is_moved_only_after_six_hours_of_saying_so():
    bench = Bench().synchronise_and_confirm()
    bench.claim(7200)
    assert "claim a time 7200 s from" in bench.fail_to_synchronise(TimeRefused)
    bench.wait(6 * _HOUR - 60000)
    assert "believed for another 1 min" in bench.fail_to_synchronise(TimeRefused)
    bench.wait(120000)
    bench.synchronise()
    assert bench.clock.trust == NETWORK
    assert bench.now() + 7199 <= bench.clock() <= bench.now() + 7200
    assert "by 71" in bench.reported[0]


def test_nor_is_it_set_back_sooner():
    bench = Bench().synchronise()
    bench.clock.confirm(bench.now() - 61)
    # This is within the tolerance of the message, which was late itself.
    bench.claim(-100)
    bench.synchronise()
    bench.claim(-200)
    assert "claim a time -139 s from" in bench.fail_to_synchronise(TimeRefused)
    bench.wait(6 * _HOUR + 60000)
    bench.synchronise()
    assert bench.now() - 201 <= bench.clock() <= bench.now() - 200


def test_a_claim_that_changes_or_is_withdrawn_begins_anew():
    bench = Bench().synchronise_and_confirm()
    for offset in (7200, 7211, 7200):
        bench.claim(offset)
        bench.fail_to_synchronise(TimeRefused)
        bench.wait(5 * _HOUR)
    bench.claim(7200)
    bench.fail_to_synchronise(TimeRefused)
    bench.claim(0)
    bench.synchronise()
    bench.wait(6 * _HOUR)
    bench.claim(7200)
    assert "believed for another 360 min" in bench.fail_to_synchronise(TimeRefused)
    bench.wait(4 * _HOUR)
    # A claim of the past is withdrawn as well when the ticks have wrapped.
    bench.ticks.pass_ms(2**29 + 1)
    bench.clock.is_due()
    assert bench.clock.trust == UNSET


def test_a_message_that_refutes_a_claim_makes_it_begin_anew():
    for refuted in (True, False):
        bench = Bench().synchronise_and_confirm()
        bench.claim(-7200)
        bench.fail_to_synchronise(TimeRefused)
        bench.wait(5 * _HOUR)
        # A message that is no later than the claim may simply be late, and refutes nothing.
        bench.clock.confirm(bench.now() - (0 if refuted else 7200))
        bench.wait(2 * _HOUR)
        if refuted:
            assert "believed for another" in bench.fail_to_synchronise(TimeRefused)
        else:
            bench.synchronise()


def test_a_confirmed_clock_follows_what_is_within_the_tolerance():
    bench = Bench().synchronise_and_confirm()
    bench.claim(60)
    bench.synchronise()
    assert bench.clock.trust == CONFIRMED
    assert bench.clock() >= bench.now() + 59


# These tests are about commands as evidence of the time.


def test_by_default_a_command_does_not_set_it():
    bench = Bench()
    bench.silence()
    bench.fail_to_synchronise()
    assert bench.clock.weigh(bench.now()) is False
    assert bench.clock.trust == UNSET


def test_where_no_time_server_answers_a_command_may_set_it():
    bench = Bench(time_from_commands=True)
    # The time servers have not been asked yet, so a command may not set the clock.
    assert bench.clock.weigh(bench.now()) is False
    bench.silence()
    bench.fail_to_synchronise()
    stamp = bench.now()
    assert bench.clock.weigh(stamp) is True
    assert bench.clock.trust == COMMANDED and bench.clock() == stamp
    bench.wait(10000)
    assert stamp + 9 <= bench.clock() <= stamp + 10
    assert "from a command" in bench.clock.why and "from a command" in bench.reported[0]


def test_where_time_servers_disagree_as_well():
    bench = Bench(time_from_commands=True)
    bench.network.offsets["b"] = 86400000
    bench.fail_to_synchronise()
    assert bench.clock.weigh(bench.now()) is True


def test_an_old_or_impossible_command_does_not_set_it():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    for stamp in (0, 2840140800, 2**63, 2**64 - 1):
        assert bench.clock.weigh(stamp) is False, stamp
    assert bench.clock.trust == UNSET
    # An old command leads no further back than the last one.
    last = bench.now()
    bench.clock.raise_floor(last)
    bench.clock.weigh(last - 3600)
    assert bench.clock() == last


def test_later_commands_move_it_on_and_earlier_ones_do_not():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    start = bench.now()
    assert bench.clock.weigh(start - 7200)
    assert bench.clock.weigh(start)
    assert bench.clock() == start
    bench.clock.weigh(start - 3600)
    assert bench.clock() == start
    bench.clock.raise_floor(start + 30)
    assert bench.clock() == start + 30
    bench.clock.confirm(start + 30)
    # The command itself has set the clock. That it agrees with the clock confirms nothing.
    assert bench.clock.trust == COMMANDED


def test_after_a_power_cut_the_last_command_sets_it():
    bench = Bench(time_from_commands=True)
    bench.silence()
    last = bench.now()
    bench.ticks.pass_ms(180000)
    bench.reset(power=True)
    # The node tells the clock of the last command that the store knows.
    bench.clock.raise_floor(last)
    assert bench.clock.trust == UNSET
    bench.ticks.pass_ms(5000)
    raises(TimeServerError, finish, bench.clock.synchronise())
    assert bench.clock.trust == COMMANDED and last + 5 <= bench.clock() <= last + 10
    # What its peers stamp now is within the time by which the clock may be behind.
    assert bench.now() <= bench.clock() + bench.clock.width // 1000
    assert len(bench.reported) == 1 and "If messages are refused, send a new one" in bench.reported[0]
    assert bench.clock.why == bench.reported[0]
    # The copy of the command that the broker has kept tells nothing new.
    assert bench.clock.weigh(last) and last + 5 <= bench.clock() <= last + 10
    assert len(bench.reported) == 1
    bench.claim(0)
    assert bench.synchronise().is_right() and bench.clock.trust == NETWORK


def test_after_a_power_cut_without_a_command_it_waits_for_one():
    for floor in (0, 2840140800):
        bench = Bench(time_from_commands=True)
        bench.clock.raise_floor(floor)
        bench.silence()
        bench.ticks.pass_ms(3600000)
        bench.fail_to_synchronise()
        assert bench.clock.trust == UNSET


def test_by_default_the_last_command_does_not_set_it():
    bench = Bench()
    bench.clock.raise_floor(bench.now())
    bench.silence()
    bench.fail_to_synchronise()
    assert bench.clock.trust == UNSET


def test_a_clock_that_may_be_behind_says_by_how_much():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    bench.clock.weigh(bench.now())
    assert bench.clock.width == 600000
    bench.claim(0)
    assert bench.synchronise().clock.width < 1000
    # A crystal drifts by up to 8.6 s a day in both directions together, and what peers stamp is ahead by so much.
    bench.wait(240 * _HOUR)
    assert 86000 <= bench.clock.width <= 90000


def test_time_servers_do_not_lead_back_before_a_command():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    bench.clock.weigh(bench.now())
    bench.claim(-3600)
    bench.fail_to_synchronise(TimeRefused)


def test_time_servers_overrule_a_command():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    # The command was delayed for a day.
    bench.clock.weigh(bench.now() - 86400)
    bench.claim(0)
    bench.synchronise()
    assert bench.clock.trust == NETWORK and bench.is_right()
    assert not bench.clock.weigh(bench.now() + 3600)
    assert bench.is_right()


def test_a_command_ahead_of_a_confirmed_clock_unfastens_it():
    bench = Bench()
    # The clock believes this claim, because the floor is even lower.
    bench.claim(-86400)
    bench.synchronise()
    # An attacker plays back a message that was recorded a day ago, and it confirms the wrong time.
    bench.clock.confirm(bench.now() - 86400)
    bench.claim(0)
    bench.fail_to_synchronise(TimeRefused)
    assert not bench.clock.weigh(bench.now())
    assert bench.clock.trust == NETWORK and "86400 s ahead" in bench.reported[0].replace("86399", "86400")
    bench.synchronise()
    assert bench.is_right()


def test_evidence_brings_the_next_synchronisation_near_but_not_again_and_again():
    bench = Bench().synchronise_and_confirm()
    bench.clock.weigh(bench.now() + 3600)
    assert not bench.clock.is_due()
    bench.wait(60000)
    assert bench.clock.is_due()
    bench.synchronise()
    # A command may be this far ahead of the clock.
    bench.clock.weigh(bench.now() + 30)
    bench.wait(120000)
    assert not bench.clock.is_due()


# These tests are about when the clock synchronises.


def test_it_synchronises_every_hour_or_a_little_later():
    bench = Bench()
    assert bench.clock.is_due()
    bench.synchronise()
    bench.wait(_HOUR - 1000)
    assert not bench.clock.is_due()
    bench.wait(_HOUR // 4 + 2000)
    assert bench.clock.is_due()


def test_after_failures_it_waits_longer_and_longer():
    bench = Bench()
    bench.silence()
    for wait in (15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600):
        bench.fail_to_synchronise()
        bench.wait(wait * 1000 - 1)
        assert not bench.clock.is_due(), wait
        bench.wait(wait * 250 + 1)
        assert bench.clock.is_due(), wait
    bench.claim(0)
    bench.synchronise()
    bench.silence()
    bench.fail_to_synchronise()
    bench.wait(20000)
    assert bench.clock.is_due()


def test_it_asks_later_whatever_fails():
    class Exhausted(TimeServers):
        def ask(self):
            yield
            raise MemoryError

    bench = Bench()
    bench.clock = Clock(bench.config, Exhausted(()), KeptTime(bench.machine, bench.calendar), bench.ticks)
    raises(MemoryError, finish, bench.clock.synchronise())
    bench.wait(14000)
    assert not bench.clock.is_due()


def test_a_fleet_spreads_out():
    waits = []
    for _ in range(12):
        bench = Bench()
        bench.silence()
        bench.fail_to_synchronise()
        bench.wait(15000)
        while not bench.clock.is_due():
            bench.wait(100)
        waits.append(bench.ticks.passed)
    assert max(waits) - min(waits) >= 500, waits


# These tests are about what the clock keeps over a reset.


def test_a_reset_keeps_the_time_in_either_epoch():
    for epoch in (946684800, 0):
        bench = Bench(epoch).synchronise_and_confirm().synchronise()
        assert bench.machine.datetime()[0] == 2026
        bench.wait(_HOUR)
        bench.reset()
        assert bench.is_right()
        # A confirmation does not survive a reset.
        assert bench.clock.trust == NETWORK
        assert bench.clock.is_due()


def test_what_is_kept_is_no_better_than_it_was():
    for drift in (50, -50):
        bench = Bench(drift=drift).synchronise()
        bench.wait(6 * 24 * _HOUR)
        bench.reset()
        bench.wait(6 * 24 * _HOUR)
        assert bench.now() - 110 <= bench.clock() <= bench.now()
        assert "within 10" in bench.clock.why


def test_a_commanded_time_stays_one_over_a_reset():
    bench = Bench(time_from_commands=True)
    bench.silence()
    bench.fail_to_synchronise()
    bench.clock.weigh(bench.now())
    bench.reset()
    assert bench.clock.trust == COMMANDED and bench.is_right()


def test_a_power_cut_loses_it():
    bench = Bench().synchronise()
    bench.reset(power=True)
    assert bench.clock.trust == UNSET


def test_a_clock_that_somebody_else_set_is_not_believed():
    bench = Bench()
    bench.machine.datetime((2026, 3, 30, 0, 18, 22, 24, 0))
    bench.reset()
    assert bench.clock.trust == UNSET


def test_a_clock_that_was_set_back_is_not_believed():
    bench = Bench().synchronise()
    bench.machine.datetime((2025, 3, 30, 0, 18, 22, 24, 0))
    bench.reset()
    assert bench.clock.trust == UNSET


def test_after_deep_sleep_it_is_not_believed():
    bench = Bench().synchronise()
    bench.machine.cause = Machine.DEEPSLEEP_RESET
    bench.reset()
    assert bench.clock.trust == UNSET


def test_memory_that_is_an_application_s_is_left_alone():
    for data in (b"mine", b"x" * 21, b"e4clock0" + bytes(13), b"e4clock1"):
        bench = Bench()
        bench.machine.data = data
        bench.synchronise()
        assert bench.machine.data == data
        bench.reset()
        assert bench.clock.trust == UNSET
    bench = Bench().synchronise()
    bench.machine.data = bench.machine.data[:20] + b"\x09"
    bench.reset()
    assert bench.clock.trust == UNSET


def test_a_board_without_such_memory():
    class WithoutMemory:
        def __init__(self, machine):
            self.datetime = machine.datetime

        def RTC(self):  # noqa: N802 (MicroPython's name for it)
            return self

    bench = Bench()
    bench.machine = WithoutMemory(bench.machine)
    bench.reset()
    assert bench.synchronise().is_right()
    bench.reset()
    assert bench.clock.trust == UNSET
