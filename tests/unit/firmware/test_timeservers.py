"""Several time servers, of which some are wrong, silent or hostile."""

from firmware.sntp import TimeServerError, TimeServers
from helpers.portable.support import finish, raises
from helpers.portable.time_and_network import Network


def _ask(network, *servers):
    """Ask the servers, and return the time on which they agree: (lower, upper) minus the true time, in ms."""
    answer = finish(TimeServers(servers, network, network.ticks).ask())
    assert answer.ticks == network.ticks.ticks_ms()
    return answer.lower - network.now(), answer.upper - network.now()


def _refusal(network, *servers):
    return str(raises(TimeServerError, finish, TimeServers(servers, network, network.ticks).ask()))


def test_two_that_agree_and_no_third_is_asked():
    network = Network(a=0, b=0, c=0)
    lower, upper = _ask(network, "a", "b", "c")
    assert -200 < lower <= 0 <= upper < 200
    assert network.looked_up == ["a", "b"]


def test_the_span_holds_both_answers():
    lower, upper = _ask(Network(a=1200, b=0), "a", "b")
    assert lower <= 0 and upper >= 1200
    lower, upper = _ask(Network(a=0, b=1200), "a", "b")
    assert lower <= 0 and upper >= 1200


def test_two_that_differ_by_more_than_they_may():
    for wrong in (2500, -2500, 86400000, -86400000):
        for network in (Network(a=0, b=wrong), Network(a=wrong, b=0)):
            text = _refusal(network, "a", "b")
            assert "no two time servers agree" in text and "a: says 17" in text and "b: says 17" in text


def test_a_liar_among_three_is_outvoted_wherever_it_stands():
    for liar in "abc":
        offsets = {"a": 0, "b": 0, "c": 0}
        offsets[liar] = 3600000
        lower, upper = _ask(Network(**offsets), "a", "b", "c")
        assert -200 < lower <= 0 <= upper < 200


def test_a_silent_one_is_made_up_for():
    lower, upper = _ask(Network(a=None, b=0, c=0), "a", "b", "c")
    assert lower <= 0 <= upper


def test_one_that_answers_among_two_is_not_enough():
    text = _refusal(Network(a=0, b=None), "a", "b")
    assert "a: says" in text and "b: no answer within 2 s" in text


def test_two_names_of_one_server_are_one_server():
    network = Network(a=0, b=0)
    network.aliases = {"b": "a"}
    assert "no two time servers agree" in _refusal(network, "a", "b")


def test_answers_are_compared_as_of_one_moment():
    # Between the answers of a and b, two seconds pass until the silent server is given up.
    network = Network(a=0, slow=None, b=0)
    network.delay = 900
    lower, upper = _ask(network, "a", "slow", "b")
    assert lower <= 0 <= upper and upper - lower < 2500


def test_a_single_one_is_trusted_alone():
    lower, upper = _ask(Network(a=3600000), "a")
    assert lower <= 3600000 <= upper
    assert _refusal(Network(a=None), "a").startswith("the time server does not help (a: no answer")


def test_none_at_all():
    assert "no time server is configured" in _refusal(Network())


def test_a_forged_address_lasts_until_the_next_question():
    network = Network(a=0, b=0, evil=86400000, evil2=86400000)
    servers = TimeServers(("a", "b"), network, network.ticks)
    network.aliases = {"a": "evil", "b": "evil2"}
    assert finish(servers.ask()).lower > network.now() + 86000000
    network.aliases = {}
    assert finish(servers.ask()).lower <= network.now()
    network.broken_names = True
    assert "a: its name was not found" in str(raises(TimeServerError, finish, servers.ask()))


def test_a_server_that_denies_is_not_asked_for_an_hour():
    for code in (b"DENY", b"RSTR"):
        network = Network(a=0, b=code)
        servers = TimeServers(("a", "b"), network, network.ticks)
        assert code.decode() in str(raises(TimeServerError, finish, servers.ask()))
        network.offsets["b"] = 0
        for _ in range(5):
            assert "not asked for an hour" in str(raises(TimeServerError, finish, servers.ask()))
            network.ticks.pass_ms(10 * 60000)
        assert network.asked.count("b") == 1
        network.ticks.pass_ms(10 * 60000)
        finish(servers.ask())


def test_one_forged_denial_does_not_bar_the_only_server_for_ever():
    # The ticks of a board wrap after 12 days, and the network may be away for any time.
    for wait in (3600000, 2**29 - 1, 2**29 + 1, 2**30 - 60000):
        network = Network(a=b"DENY")
        servers = TimeServers(("a",), network, network.ticks)
        raises(TimeServerError, finish, servers.ask())
        network.offsets["a"] = 0
        assert "not asked" in str(raises(TimeServerError, finish, servers.ask()))
        network.ticks.pass_ms(wait)
        finish(servers.ask())


def test_a_name_whose_one_server_denied_is_asked_at_its_next_address():
    network = Network(a=0, b=b"DENY", c=0)
    servers = TimeServers(("a", "b"), network, network.ticks)
    raises(TimeServerError, finish, servers.ask())
    network.aliases["b"] = "c"
    finish(servers.ask())
    assert network.asked.count("b") == 1


def test_a_server_that_is_asked_too_often_is_asked_later():
    network = Network(a=0, b=b"RATE")
    servers = TimeServers(("a", "b"), network, network.ticks)
    assert "RATE" in str(raises(TimeServerError, finish, servers.ask()))
    network.offsets["b"] = 0
    finish(servers.ask())


def test_others_have_their_turn_while_it_waits():
    network = Network(a=None, b=b"RATE", c=None)
    turns = []
    try:
        for _ in TimeServers(("a", "b", "c"), network, network.ticks).ask():
            turns.append(network.ticks.passed - sum(turns))
    except TimeServerError:
        pass
    assert sum(turns) >= 4000 and max(turns) <= 200, turns
