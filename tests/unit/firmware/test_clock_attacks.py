"""Days in the life of clocks whose time servers lie, while their peers are honest, misled, silent or hostile.

Each test asserts a bound that docs/security.md states in its section "Time".
"""

from firmware.clock import CONFIRMED, Clock
from firmware.rtc import KeptTime
from firmware.sntp import Answer
from helpers.portable.support import Dice, finish
from helpers.portable.time_and_network import Calendar, Machine, Ticks

_START = 1774894944000  # the Unix time in ms at which every history begins
_STEP_S = 300
_HOUR = 3600
_DAY = 86400


class Config:
    time_servers = ()
    time_from_commands = False
    future_tolerance = 60


class Servers:
    """Time servers that agree with each other. Their time is wrong by `offset` seconds."""

    def __init__(self, ticks):
        self._ticks = ticks
        self.offset = 0

    def ask(self):
        yield
        now = self._ticks.now() + self.offset * 1000
        return Answer(now - 20, now + 20, self._ticks.ticks_ms(), None)


class DriftingTicks(Ticks):
    """The ticks of a board whose crystal is fast by `drift` millionths. `pass_ms` takes the time that truly passes."""

    def __init__(self, drift):
        super().__init__(2**30 - 5000)
        self._drift = drift
        self._true = 0

    def pass_ms(self, milliseconds):
        self._true += milliseconds
        super().pass_ms(self._true + self._true * self._drift // 1000000 - self.passed)

    def now(self):
        """Return the true Unix time in ms."""
        return _START + self._true


class Board:
    """A board with a clock, its time servers, and the rule by which its client accepts messages."""

    def __init__(self, drift=0):
        self.ticks = DriftingTicks(drift)
        self.servers = Servers(self.ticks)
        self.power_on()

    def power_on(self):
        """Switch the board on: whatever it knew of the time is lost."""
        self.reports = []
        self.clock = Clock(
            Config, self.servers, KeptTime(Machine(self.ticks), Calendar()), self.ticks, self.reports.append
        )

    def now(self):
        return self.ticks.now() // 1000

    def off(self):
        """Return by how many seconds the clock is wrong."""
        return self.clock() - self.now()

    def hear(self, stamp):
        """Receive an authentic message. A client refuses it if it is older than 600 s or from the future."""
        if -600 <= stamp - self.clock() <= Config.future_tolerance + self.clock.width // 1000:
            self.clock.confirm(stamp)

    def obey(self, stamp):
        """Receive an authentic command."""
        if stamp - self.clock() > Config.future_tolerance:
            self.clock.weigh(stamp)
        elif self.clock() - stamp <= 600:
            self.clock.confirm(stamp)
            self.clock.raise_floor(stamp)

    def synchronise_if_due(self):
        """Ask the time servers if that is due; return whether they were asked."""
        if not self.clock.is_due():
            return False
        try:
            finish(self.clock.synchronise())
        except OSError:  # The clock does not believe them.
            pass
        return True


def _live(board, seconds, claim=None, talk=None):
    """Let a board live for so many seconds.

    `claim(n)` says by how much the time servers are wrong when they are asked for the n-th time. `talk(board)` is
    called in every step, to send the board messages. Returns the largest errors of its clock, in both directions.
    """
    least = most = board.off() if board.clock.trust else 0
    asked = 0
    for _ in range(seconds // _STEP_S):
        board.ticks.pass_ms(_STEP_S * 1000)
        if claim is not None:
            board.servers.offset = claim(asked)
        asked += board.synchronise_if_due()
        if talk is not None:
            talk(board)
        least, most = min(least, board.off()), max(most, board.off())
    return least, most


def _honest(error=0):
    """Return a function that sends a board a message of a peer whose clock is wrong by so many seconds."""
    return lambda board: board.hear(board.now() + error)


def _bound(seconds):
    """Return the error that the documents allow for a clock that was confirmed so many seconds ago by an exact message.

    It is the tolerance of 60 s, twice the 2 s by which time servers may differ, and the drift of the crystal.
    """
    return 64 + seconds // 10000 + 1


def _confirmed(drift=0, error=0, command=False):
    """Return a board whose clock is right and was confirmed by a peer whose clock is wrong by `error` seconds."""
    board = Board(drift)
    board.synchronise_if_due()
    if command:
        board.obey(board.now())
    board.hear(board.now() + error)
    assert board.clock.trust == CONFIRMED
    return board


# These tests are about time servers that walk the clock: they claim another time whenever they are asked.


def test_twelve_steps_of_a_minute_while_honest_peers_send():
    for step in (61, -61):
        board = _confirmed()
        for i in range(1, 13):
            board.ticks.pass_ms(_HOUR * 1000)
            board.servers.offset = step * i
            try:
                finish(board.clock.synchronise())
            except OSError:
                pass
            board.hear(board.now())
            assert abs(board.off()) <= _bound(_DAY), (step, i)


def test_steps_of_any_size_walk_a_clock_no_further_than_the_bound():
    for step in (11, 30, 61, 62, 63, 600, -11, -30, -61, -62, -63, -600):
        for drift in (50, -50):
            board = _confirmed(drift)
            least, most = _live(board, 3 * _DAY, lambda n, step=step: step * (n + 1), _honest())
            assert -_bound(3 * _DAY) <= least and most <= _bound(3 * _DAY), (step, drift, least, most)


def test_a_peer_whose_clock_is_wrong_does_not_carry_others_away():
    for error in (50, -50):
        board = _confirmed(error=error)
        least, most = _live(board, _DAY, None, _honest(error))
        assert least >= -2 and most <= 0, error
        # Time servers may then go to the bound, as seen from this peer.
        sign = 1 if error > 0 else -1
        least, most = _live(board, _DAY, lambda n, sign=sign: sign * 30 * n, _honest(error))
        assert max(-least, most) <= 50 + _bound(2 * _DAY), error


def test_random_claims():
    for seed in range(8):
        dice = Dice(seed)
        board = _confirmed(drift=dice.below(101) - 50)
        # Every claim is another one, so that none counts as insisting.
        least, most = _live(
            board,
            3 * _DAY,
            lambda n, dice=dice: (dice.below(400) - 200) * 11 * (n % 2) + (dice.below(150) - 75) * (1 - n % 2),
            _honest(),
        )
        assert -_bound(3 * _DAY) <= least and most <= _bound(3 * _DAY), (seed, least, most)


def test_a_fleet_that_is_misled_as_a_whole_does_not_lead_itself_on():
    for step in (11, 40, 61, -11, -40, -61):
        boards = [_confirmed(drift) for drift in (-50, 0, 50)]
        for n in range(2 * _DAY // _STEP_S):
            for board in boards:
                board.ticks.pass_ms(_STEP_S * 1000)
                board.servers.offset = step * (n * _STEP_S // _HOUR + 1)
                board.synchronise_if_due()
            for board in boards:
                for peer in boards:
                    board.hear(peer.clock())
                assert abs(board.off()) <= _bound(2 * _DAY), (step, n, board.off())


# These tests are about time servers that insist on a time.


def test_insisting_on_an_earlier_time_is_refuted_by_peers():
    for claim in (-130, -3600, -30 * _DAY):
        board = _confirmed()
        least, _ = _live(board, 6 * _DAY, lambda n, claim=claim: claim, _honest())
        assert least >= -_bound(6 * _DAY), claim
        assert board.clock.trust == CONFIRMED


def test_a_clock_that_was_led_away_first_is_not_led_back_before_its_peers():
    # Once the clock is far ahead, it refuses what its honest peers send, so that they cannot refute the second claim.
    board = _confirmed()
    _live(board, 8 * _HOUR, lambda n: _DAY, _honest())
    assert board.off() > _DAY // 2
    least, _ = _live(board, 5 * _DAY, lambda n: -30 * _DAY, _honest())
    assert least >= -_bound(6 * _DAY)
    _live(board, 2 * _HOUR, lambda n: 0, _honest())
    assert abs(board.off()) <= 2


def test_whatever_time_servers_claim_peers_keep_a_clock_from_going_back():
    for seed in range(8):
        dice = Dice(seed)
        board = _confirmed(drift=dice.below(101) - 50)
        days = 0
        while days < 5:
            sign = dice.below(3) - 1
            claim = sign * dice.below((100, 1000, 10000, 10 * _DAY)[dice.below(4)])
            hours = 1 + dice.below(12)
            days += hours / 24
            least, _ = _live(board, hours * _HOUR, lambda n, claim=claim: claim, _honest())
            assert least >= -_bound(6 * _DAY), (seed, claim, least)


def test_no_insisting_leads_back_before_a_command_and_the_time_since():
    for talk in (None, _honest()):
        board = _confirmed(command=True)
        least, _ = _live(board, 16 * _DAY, lambda n: -7200, talk)
        assert least >= -_bound(16 * _DAY)


def test_a_quiet_board_believes_its_time_servers_after_six_hours():
    for claim in (-7200, 7200):
        board = _confirmed()
        _live(board, 6 * _HOUR - 2 * _STEP_S, lambda n, claim=claim: claim)
        assert abs(board.off()) <= 2
        _live(board, 3 * _HOUR, lambda n, claim=claim: claim)
        assert abs(board.off() - claim) <= 2
        # When they tell the truth again, they are believed at once, or after another 6 hours.
        _live(board, 8 * _HOUR)
        board.servers.offset = 0
        _live(board, 9 * _HOUR, lambda n: 0)
        assert abs(board.off()) <= 2, claim


def test_a_crystal_that_is_worse_than_assumed_is_corrected():
    for drift in (400, -400):
        for command in (False, True):
            board = _confirmed(drift, command=command)
            least, most = _live(board, 28 * _DAY, lambda n: 0)
            assert least >= -90 and most <= 90, (drift, command, least, most)


def test_a_quiet_board_stays_right_for_months():
    for drift in (50, -50):
        board = _confirmed(drift)
        least, most = _live(board, 60 * _DAY, lambda n: 0)
        assert least >= -2 and most <= 0
        assert board.clock.trust == CONFIRMED


# These tests are about what is left when the time servers have lied at the start, and tell the truth later.


def _misled(offset):
    """Return a board that was switched on while the time servers lied. A message agrees with them."""
    board = Board()
    board.servers.offset = offset
    board.synchronise_if_due()
    board.hear(board.now() + offset)
    assert board.clock.trust == CONFIRMED and abs(board.off() - offset) <= 1
    board.servers.offset = 0
    return board


def test_a_board_that_was_misled_with_a_stolen_key_or_a_recording_comes_back():
    for offset in (_DAY, -_DAY):
        board = _misled(offset)
        _live(board, 9 * _HOUR, lambda n: 0, _honest())
        assert abs(board.off()) <= 2, offset


def test_recordings_that_are_played_at_their_pace_hold_a_board_no_longer():
    board = _misled(-_DAY)
    _live(board, 9 * _HOUR, lambda n: 0, _honest(-_DAY))
    assert abs(board.off()) <= 2


def test_a_command_from_now_ends_that_at_once():
    board = _misled(-_DAY)
    _live(board, _HOUR, lambda n: 0, _honest(-_DAY))
    assert board.off() < -_DAY // 2
    board.obey(board.now())
    _live(board, 2 * _STEP_S, lambda n: 0, _honest(-_DAY))
    assert abs(board.off()) <= 2


def test_a_stolen_key_that_goes_on_lying_holds_a_board_for_a_week_at_most():
    board = _misled(_DAY)
    _live(board, 6 * _DAY, lambda n: 0, _honest(_DAY))
    assert board.off() > _DAY // 2
    _live(board, _DAY + 3 * _HOUR, lambda n: 0, _honest(_DAY))
    assert abs(board.off()) <= 2


def test_a_reset_ends_that_at_once():
    board = _misled(_DAY)
    board.power_on()
    board.synchronise_if_due()
    assert abs(board.off()) <= 2


def test_a_fleet_that_was_misled_as_a_whole_comes_back():
    for offset, seconds in ((-_DAY, 9 * _HOUR), (_DAY, 7 * _DAY + 3 * _HOUR)):
        boards = [_misled(offset) for _ in range(2)]
        for _ in range(seconds // _STEP_S):
            for board in boards:
                board.ticks.pass_ms(_STEP_S * 1000)
                board.synchronise_if_due()
            for board, peer in (boards, boards[::-1]):
                board.hear(peer.clock())
        assert [abs(board.off()) <= 2 for board in boards] == [True, True], offset
