"""After a new ID key was confirmed, the old one opens nothing: what `confirm` sends, and whom it reaches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key
from e4_tools.keystore import KeyStore, open_store
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.virtual_board import VirtualBoard
from helpers.boards import TOPIC
from helpers.host_clock import HostClock
from helpers.member import Member
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_OLD = b"the old key that somebody stole!"
_STOLEN = b"the key that the thief sends...."
_TOPIC = "sensors/lab"
_MONTH = 30 * 86400
StartNode = Callable[..., tuple[VirtualBoard, BoardConsole]]


@pytest.fixture
def operator(tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    operator = Operator(tmp_path, mosquitto.port)
    operator.e4("topic", "add", _TOPIC)
    operator.e4("client", "add", "alice", "--ask", E4_KEY=_OLD.hex())
    return operator


@pytest.fixture
def alice(operator: Operator) -> Iterator[Member]:
    with Member("alice", _OLD, operator.port) as alice:
        yield alice


def _open(operator: Operator) -> KeyStore:
    key_file = Path(operator.environment["E4_KEYFILE"])
    return open_store(str(operator.store), lambda kind: read_key(key_file))


def _taken_over(member: Member) -> bool:
    """Tell whether a member obeys its old key a month later. Whatever the answer is, it keeps the key it has."""
    payload = e4.protect(e4.commands.remove_topic("a topic of nobody"), _OLD, int(time.time() + _MONTH))
    before, member.ahead = member.ahead, _MONTH
    try:
        return member.client.unprotect(payload, member.client.receiving_topic) is None
    except e4.NotAuthentic:
        return False
    finally:
        member.ahead = before


def test_confirmed_by_word(operator: Operator, alice: Member) -> None:
    said = operator.text("client", "rekey", "alice")
    assert "Whoever has the old key can read the new one" in said and "--replace" in said
    assert alice.until(lambda: alice.commands >= 1)
    answer = operator.e4("client", "confirm", "alice")
    assert (answer["pending"], answer["sent"]) == (False, 1)
    assert alice.until(lambda: alice.commands >= 2)
    payload = e4.protect(e4.commands.set_id_key(_STOLEN), _OLD, int(time.time() + _MONTH))
    alice.ahead = _MONTH
    with pytest.raises(e4.NotAuthentic):
        alice.client.unprotect(payload, alice.client.receiving_topic)
    alice.ahead = 0
    # Nothing that alice had has changed, and it is still commanded.
    operator.e4("grant", "alice", _TOPIC)
    assert alice.obtains(_TOPIC) and not alice.refused


def test_it_says_when_the_old_key_opens_nothing(operator: Operator, alice: Member) -> None:
    operator.e4("client", "rekey", "alice")
    said = operator.text("client", "confirm", "alice")
    assert "obeys its old ID key until it has received the command under the new one" in said


def test_until_it_is_confirmed_the_old_key_is_obeyed(operator: Operator, alice: Member) -> None:
    operator.e4("client", "rekey", "alice")
    assert alice.until(lambda: alice.commands >= 1)
    assert _taken_over(alice)


@pytest.mark.parametrize("session", [True, False])
def test_a_member_that_was_away_finds_it(operator: Operator, session: bool) -> None:
    alice = Member("alice", _OLD, operator.port, session=session)
    with alice:
        operator.e4("client", "rekey", "alice")
        assert alice.until(lambda: alice.commands >= 1)
    operator.e4("client", "confirm", "alice")
    with alice:
        assert alice.until(lambda: alice.commands >= 2)
    assert not _taken_over(alice)


@pytest.mark.parametrize("sent", [True, False])
def test_a_topic_key_that_only_the_broker_has_is_not_lost(operator: Operator, sent: bool) -> None:
    alice = Member("alice", _OLD, operator.port, session=False)
    with alice:
        operator.e4("client", "rekey", "alice")
        assert alice.until(lambda: alice.commands >= 1)
    if sent:
        operator.e4("grant", "alice", _TOPIC)
    Fleet(_open(operator)).rekeying.confirm("alice")
    if not sent:
        assert operator.e4("grant", "alice", _TOPIC)["sent"] == 2
    assert operator.e4("sync")["sent"] == int(sent)
    with alice:
        assert alice.obtains(_TOPIC)
    assert not _taken_over(alice)


def test_what_waits_to_be_sent_is_enough(operator: Operator, alice: Member) -> None:
    operator.e4("client", "rekey", "alice")
    fleet = Fleet(_open(operator))
    fleet.grant("alice", _TOPIC)
    fleet.rekeying.confirm("alice")
    assert operator.e4("sync")["sent"] == 1
    assert alice.obtains(_TOPIC) and not _taken_over(alice)


def test_without_a_broker_it_is_recorded(operator: Operator, alice: Member) -> None:
    operator.e4("client", "rekey", "alice")
    broker = operator.environment.pop("E4_BROKER")
    said = operator.text("client", "confirm", "alice")
    assert "which waits: e4 sync alice sends it" in said
    operator.give("E4_BROKER", broker)
    assert operator.e4("sync")["sent"] == 1
    assert alice.until(lambda: alice.commands >= 2) and not _taken_over(alice)


def test_a_broker_that_cannot_be_reached_leaves_the_key_pending(operator: Operator) -> None:
    operator.e4("client", "rekey", "alice")
    refused = operator.e4("client", "confirm", "alice", expect=3, E4_BROKER=f"{HOST}:{free_port()}")
    assert "nothing was sent" in refused["error"]
    assert operator.e4("client", "show", "alice")["pending"] is True


def test_a_member_that_refused_it_because_it_was_late_is_sent_another(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HostClock(monkeypatch)
    alice = Member("alice", _OLD, operator.port)
    with alice:
        operator.e4("client", "rekey", "alice")
        assert alice.until(lambda: alice.commands >= 1)
    operator.e4("client", "confirm", "alice")
    alice.ahead = clock.ahead = 700
    with alice:
        assert alice.until(lambda: "TimestampTooOld" in alice.refused)
        assert operator.e4("sync", "alice", "--again")["sent"] == 1
        assert alice.until(lambda: alice.commands >= 2)
        alice.ahead = 0
    assert not _taken_over(alice)


def test_taken_back_and_confirmed_again(operator: Operator, alice: Member) -> None:
    operator.e4("client", "rekey", "alice")
    operator.e4("client", "confirm", "alice")
    operator.e4("client", "confirm", "alice", "--undo")
    assert operator.e4("client", "confirm", "alice")["sent"] == 1
    assert alice.until(lambda: alice.commands >= 3) and not _taken_over(alice)


def test_a_board_that_proves_its_new_key(operator: Operator, start_node: StartNode) -> None:
    operator.e4("topic", "add", TOPIC)
    board, console = start_node("alice", _OLD, operator.port)
    operator.e4("client", "rekey", "alice")
    console.expect("^< unprotected message:$")
    console.__exit__(None, None, None)
    answer = operator.e4("client", "confirm", "alice", "--port", board.device)
    assert (answer["pending"], answer["held"], answer["sent"]) == (False, "pending", 1)
    with BoardConsole("alice", board.device) as console:
        console.expect("^< unprotected message:$", 60)
        with Member("thief", _OLD, operator.port) as thief:
            stolen = e4.protect(e4.commands.set_id_key(_STOLEN), _OLD, int(time.time()) + 1)
            thief._mqtt.publish(e4.receiving_topic(e4.id_of("alice")), stolen, qos=2)
            console.expect("NotAuthentic|not authentic")
        operator.e4("grant", "alice", TOPIC)
        console.expect("^< unprotected message:$")
    assert operator.e4("client", "confirm", "alice", "--port", board.device)["held"] == "current"
    assert operator.e4("store", "show")["unsent"] == 0
