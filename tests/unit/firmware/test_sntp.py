"""Asking a time server: good answers, and all kinds of answers that must not be believed."""

from firmware import sntp
from firmware.sntp import KissOfDeath, TimeServerError
from helpers.portable.support import finish, raises
from helpers.portable.time_and_network import Ticks, UDPNetwork, answer_to

_NOW = 1774894944  # a Unix time in seconds
_SERVER = ("192.0.2.1", 123)


class Bench:
    """A network with one time server. `change(packet)` turns its correct answer into the answer that arrives."""

    def __init__(self, change=lambda packet: packet, delay=40, source=_SERVER, seconds=_NOW, ticks=1000):
        self.ticks = Ticks(ticks)
        self.network = UDPNetwork(self.ticks)
        self.network.arrivals = lambda packet, _: [(delay, change(answer_to(packet, seconds * 1000)), source)]

    def ask(self):
        return finish(sntp.ask(_SERVER, self.network, self.ticks))

    def refusal(self):
        error = raises(TimeServerError, self.ask)
        assert self.network.open == 0
        return str(error)


def _replace(at, *values):
    """Return a function that replaces the bytes of a packet from `at` on."""

    def change(packet):
        return packet[:at] + bytes(values) + packet[at + len(values) :]

    return change


def test_an_answer_is_a_span_as_wide_as_the_round_trip():
    bench = Bench(delay=40)
    answer = bench.ask()
    assert answer.lower <= _NOW * 1000 <= answer.upper
    # The server says that its own time may be wrong by 12 ms in either direction.
    assert 40 <= answer.upper - answer.lower <= 70
    assert answer.ticks == bench.ticks.ticks_ms()
    assert bench.network.open == 0


def test_an_answer_counts_although_the_socket_cannot_be_closed():
    bench = Bench()
    bench.network.close_fails = True
    assert bench.ask().lower <= _NOW * 1000


def test_the_question_tells_nothing_but_a_random_number():
    bench = Bench()
    bench.ask()
    bench.ask()
    (one, to), (two, _) = bench.network.sent
    assert to == _SERVER and len(one) == 48
    assert one[:40] == two[:40] == b"\x23" + bytes(39)
    assert one[40:] != two[40:] and any(one[40:])


def test_an_answer_that_does_not_repeat_our_number_is_ignored():
    assert "ignored: 1" in Bench(_replace(24, 0, 0, 0, 0)).refusal()
    assert "ignored: 1" in Bench(lambda packet: packet[:31] + bytes((packet[31] ^ 1,)) + packet[32:]).refusal()
    assert "ignored" in Bench(lambda packet: packet[:24] + bytes(8) + packet[32:]).refusal()


def test_an_answer_from_elsewhere_is_ignored():
    assert "ignored" in Bench(source=("192.0.2.2", 123)).refusal()
    assert "ignored" in Bench(source=("192.0.2.1", 124)).refusal()


def test_an_answer_that_is_none_is_ignored():
    for size in (0, 1, 32, 47):
        assert "ignored" in Bench(lambda packet, n=size: packet[:n]).refusal()
    # These first bytes have a mode other than 4, which is that of a server, or another version than the question.
    for first in (0x23, 0x25, 0x22, 0x21, 0x20, 0x26, 0x27, 0x1C, 0x04, 0x3C):
        assert "ignored" in Bench(_replace(0, first)).refusal(), first


def test_an_answer_may_carry_more_than_we_read():
    assert Bench(lambda packet: packet + bytes(20)).ask().lower // 1000 in (_NOW - 1, _NOW)


def test_a_true_answer_is_found_among_strays():
    bench = Bench()

    def arrivals(question, _address):
        good = answer_to(question, _NOW * 1000)
        forged = answer_to(bytes(48), _NOW * 1000 + 9999)
        return [
            (1, b"", _SERVER),
            (1, forged, _SERVER),
            (1, answer_to(question, 9), ("192.0.2.9", 123)),
            (5, good, _SERVER),
        ]

    bench.network.arrivals = arrivals
    assert bench.ask().upper // 1000 == _NOW


def test_a_server_that_does_not_know_the_time():
    for change in (_replace(0, 0xE4), _replace(1, 16), _replace(1, 17), _replace(1, 255)):
        assert "does not know the time" in Bench(change).refusal()
    # The leap indicator announces nothing, or a last minute of the month that is longer or shorter.
    for leap in (0x24, 0x64, 0xA4):
        assert Bench(_replace(0, leap)).ask().lower
    for stratum in (1, 15):
        assert Bench(_replace(1, stratum)).ask().lower


def test_a_kiss_of_death_says_its_code():
    def kiss(packet):
        return b"\xe4\x00" + packet[2:12] + b"RATE" + packet[16:]

    error = raises(KissOfDeath, Bench(kiss).ask)
    assert error.code == b"RATE" and "RATE" in str(error)
    error = raises(KissOfDeath, Bench(lambda packet: b"\xe4\x00" + packet[2:12] + b"\x1b[2J" + packet[16:]).ask)
    assert "\x1b" not in str(error)


def test_a_forged_kiss_of_death_is_ignored():
    assert "ignored" in Bench(lambda packet: b"\xe4\x00" + packet[2:12] + b"DENY" + bytes(32)).refusal()


def test_a_server_far_from_its_clock_is_refused():
    # Bytes 8 to 11 are the root dispersion, here 1 s; the root delay is 10 ms.
    assert "unsure" in Bench(_replace(8, 0, 1, 0, 0)).refusal()
    # Bytes 4 to 7 are the root delay, here 2 s.
    assert "unsure" in Bench(_replace(4, 0, 2, 0, 0)).refusal()
    assert "unsure" in Bench(_replace(4, 0x80, 0, 0, 0)).refusal()
    assert "unsure" in Bench(_replace(8, 0xFF, 0xFF, 0xFF, 0xFF)).refusal()
    # A root delay of 1 s means an error of half a second in either direction. The root dispersion adds to that.
    answer = Bench(_replace(4, 0, 1, 0, 0), delay=0).ask()
    assert 1000 <= answer.upper - answer.lower <= 1040


def test_no_time_is_no_time():
    assert "no time" in Bench(_replace(40, 0, 0, 0, 0, 0, 0, 0, 0)).refusal()
    assert "no time" in Bench(_replace(40, 0, 0, 0, 0, 1)).refusal()


def test_the_time_of_an_answer_is_within_34_years():
    for seconds in (0, 946684800, 1704067200, 1767225599, 2840967424, 2**32):
        assert "before 2026" in Bench(seconds=seconds).refusal(), seconds
    for seconds in (1767225600, 2840967423):
        assert Bench(seconds=seconds).ask().upper // 1000 == seconds


def test_ntp_seconds_wrap_in_2036():
    # NTP seconds wrap at 2085978496. They are 0 then, which `test_no_time_is_no_time` shows to be refused.
    for seconds in (2085978495, 2085978497, 2100000000):
        answer = Bench(seconds=seconds).ask()
        assert answer.lower <= seconds * 1000 <= answer.upper


def test_fractions_of_a_second_count():
    answer = Bench(_replace(44, 0xC0), delay=0).ask()
    assert answer.lower <= _NOW * 1000 + 750 <= answer.upper


def test_an_answer_that_comes_too_late():
    bench = Bench(delay=sntp.TIMEOUT_MS + 1)
    assert bench.refusal() == "no answer within 2 s"
    assert bench.ticks.passed == sntp.TIMEOUT_MS


def test_a_flood_does_not_extend_the_deadline():
    bench = Bench()

    def flood(_question, _address):
        while True:
            yield (7, answer_to(bytes(48), _NOW * 1000), _SERVER)

    bench.network.arrivals = flood
    assert "ignored: 286" in bench.refusal()
    assert bench.ticks.passed <= sntp.TIMEOUT_MS + 7


def test_ticks_may_wrap_while_an_answer_is_on_its_way():
    answer = Bench(delay=100, ticks=2**30 - 50).ask()
    assert 100 <= answer.upper - answer.lower <= 130


def test_a_network_that_fails_is_a_time_server_that_fails():
    bench = Bench()
    bench.network.broken = OSError(118)
    assert "cannot be asked" in bench.refusal()


def test_looking_up_names():
    network = UDPNetwork(Ticks())
    assert finish(sntp.look_up("timeserver", network)) == ("timeserver", 123)
    assert finish(sntp.look_up("192.0.2.1:1123", network)) == ("192.0.2.1", 1123)
    network.broken = OSError(-202)
    assert "-202" in str(raises(TimeServerError, finish, sntp.look_up("timeserver", network)))
    network.broken = None
    network.unknown = ("timeserver",)
    assert "not found" in str(raises(TimeServerError, finish, sntp.look_up("timeserver", network)))
