"""Timestamps of commands: clocks that were set back, machines that share a store, and commands of one second."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import e4
from e4_tools.fleet.delivery import Delivery
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key
from e4_tools.keystore import KeyStore, open_store
from e4_tools.mqtt.broker import BrokerConnection, Message
from e4_tools.mqtt.embedded_broker import HOST
from helpers.host_clock import DAY, HostClock
from helpers.member import Member
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_TOPIC = "sensors/lab"
_KEYS = {"alice": b"a" * 32, "bob": b"b" * 32}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HostClock:
    return HostClock(monkeypatch)


@pytest.fixture
def operator(tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    operator = Operator(tmp_path, mosquitto.port)
    for topic in (_TOPIC, "one", "two"):
        operator.e4("topic", "add", topic)
    for name, key in _KEYS.items():
        operator.e4("client", "add", name, "--ask", E4_KEY=key.hex())
    return operator


@pytest.fixture
def alice(operator: Operator) -> Iterator[Member]:
    with Member("alice", _KEYS["alice"], operator.port) as alice:
        yield alice


def _open(operator: Operator) -> KeyStore:
    key_file = Path(operator.environment["E4_KEYFILE"])
    return open_store(str(operator.store), lambda kind: read_key(key_file))


def _contents(operator: Operator) -> list[str]:
    with sqlite3.connect(operator.store) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("ahead", [(40, 0), (0, -40), (25, -25)])
def test_two_machines_whose_clocks_differ_are_both_obeyed(
    operator: Operator, alice: Member, clock: HostClock, ahead: tuple[int, int]
) -> None:
    for topic, clock.ahead in zip(("one", "two", _TOPIC, "one"), ahead * 2, strict=True):
        operator.e4("grant", "alice", topic)
        assert alice.obtains(topic), clock.ahead
    clock.ahead = ahead[0]
    operator.e4("client", "rekey", "alice")
    clock.ahead = ahead[1]
    operator.e4("client", "reset", "alice")
    assert all(alice.loses(topic) for topic in ("one", "two", _TOPIC))
    assert set(alice.refused) <= {"NotAuthentic"}  # what was sent under the other one of two ID keys


@pytest.mark.parametrize(
    "command",
    [
        ("grant", "alice", "two"),
        ("grant", "alice", "one"),
        ("revoke", "alice", "one"),
        ("revoke", "bob", "one"),
        ("topic", "rotate", "one"),
        ("topic", "remove", "one"),
        ("client", "rekey", "alice"),
        ("client", "confirm", "alice"),
        ("client", "reset", "alice"),
        ("client", "remove", "alice"),
        ("client", "remove", "bob"),
        ("sync", "alice", "--again"),
    ],
)
def test_a_clock_that_was_set_back_is_named_and_nothing_changes(
    operator: Operator, alice: Member, clock: HostClock, command: tuple[str, ...]
) -> None:
    operator.e4("grant", "bob", "one")
    operator.e4("client", "rekey", "alice")
    operator.e4("grant", "alice", "one")
    before = _contents(operator)
    for clock.ahead in (-70, -DAY):
        said = operator.e4(*command, expect=1)["error"]
        assert "behind the last command" in said and "Set the clock right" in said and "Nothing was done" in said
        assert _contents(operator) == before
    clock.ahead = -50  # The member accepts timestamps up to a minute ahead of its clock, and this clock is not right.
    assert operator.e4(*command)["ok"]
    clock.ahead = 0
    operator.e4("client", "add", "carol")
    operator.e4("sync")
    assert set(alice.refused) <= {"NotAuthentic"}


def test_a_client_that_is_newer_than_now_shows_that_the_clock_is_wrong(operator: Operator, clock: HostClock) -> None:
    clock.ahead = -DAY
    assert "behind the last command for bob" in operator.e4("grant", "bob", "one", expect=1)["error"]


def test_what_was_recorded_before_the_clock_was_set_back_waits(
    operator: Operator, alice: Member, clock: HostClock
) -> None:
    operator.e4("grant", "alice", "one")
    fleet = Fleet(_open(operator))
    for name in _KEYS:
        fleet.grant(name, "two")
    with sqlite3.connect(operator.store) as connection:
        # Bob was added so long ago that nothing shows him that the clock is wrong.
        connection.execute("UPDATE clients SET added_at = 1 WHERE name = 'bob'")
    clock.ahead = -DAY
    answer = operator.e4("sync", expect=1)
    assert answer["sent"] == 1 and list(answer["failed"]) == ["alice"]
    assert "behind the last command" in answer["failed"]["alice"]
    clock.ahead = 0
    assert operator.e4("sync")["sent"] == 1
    assert alice.obtains("two") and alice.refused == []


def test_a_timestamp_is_recorded_before_its_command_is_sent(
    operator: Operator, alice: Member, clock: HostClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the broker has got the command and before the store knows. Then the clock is set back."""
    store = _open(operator)

    class Ends(BrokerConnection):
        def publish_all(self, messages: object, on_result: object) -> None:
            assert isinstance(messages, Iterator)
            _, message = next(messages)
            assert isinstance(message, Message)
            self.publish(message.topic, message.payload, message.retain)
            raise KeyboardInterrupt

    with Ends(HOST, operator.port) as broker, pytest.raises(KeyboardInterrupt):
        Delivery(store, broker).send(Fleet(store).grant("alice", "one"))
    assert alice.obtains("one")
    clock.ahead = -45
    operator.e4("grant", "alice", "two")
    assert alice.obtains("two") and alice.refused == []


@pytest.mark.parametrize("ahead", [0, -45])
def test_equal_commands_of_several_processes_are_all_obeyed(
    operator: Operator, alice: Member, clock: HostClock, ahead: int
) -> None:
    operator.e4("grant", "alice", _TOPIC)
    clock.ahead = ahead
    for _ in range(4):
        # RemoveTopic and ResetTopics are the same each time, and with an earlier clock so are all timestamps.
        operator.e4("revoke", "alice", _TOPIC)
        assert alice.loses(_TOPIC)
        operator.e4("grant", "alice", _TOPIC)
        assert alice.obtains(_TOPIC)
        operator.e4("client", "reset", "alice")
        assert alice.loses(_TOPIC)
        operator.e4("grant", "alice", _TOPIC)
        assert alice.obtains(_TOPIC)
    assert alice.refused == []


def test_more_commands_than_a_client_takes_with_one_timestamp(
    operator: Operator, alice: Member, clock: HostClock
) -> None:
    store = _open(operator)
    topics = [f"topic {number}" for number in range(1100)]
    key = bytes(range(32))
    with store.transaction() as session:
        rows = [
            (e4.topic_hash(name).hex(), name, 1, store.vault.seal(key, "topics", e4.topic_hash(name).hex(), "key"), 0)
            for name in topics
        ]
        session.connection().exec_driver_sql(
            "INSERT INTO topics (hash, name, added_at, key, exposed) VALUES (?, ?, ?, ?, ?)", rows
        )
        session.connection().exec_driver_sql(
            "INSERT INTO grants SELECT clients.id, topics.hash, 1, 1 FROM clients, topics "
            "WHERE clients.name = 'alice' AND topics.name LIKE 'topic %'"
        )
    operator.e4("grant", "alice", "one")
    clock.ahead = -40  # All commands get the timestamp of the last one, as long as that is possible.
    assert operator.e4("sync", "alice", "--again")["sent"] == len(topics) + 1
    assert alice.until(lambda: alice.commands == len(topics) + 2, 30), alice.commands
    assert alice.refused == [] and all(alice.client.holds_key(topic) for topic in topics)


def test_an_old_copy_of_the_store_that_is_put_back_commands_again(
    operator: Operator, alice: Member, clock: HostClock, tmp_path: Path
) -> None:
    operator.e4("grant", "alice", "one")
    copy = tmp_path / "copy.db"
    shutil.copyfile(operator.store, copy)
    operator.e4("grant", "alice", "two")
    assert alice.obtains("two")
    shutil.copyfile(copy, operator.store)
    operator.e4("grant", "alice", _TOPIC)
    assert alice.obtains(_TOPIC)
    operator.e4("client", "reset", "alice")
    assert alice.loses("two") and alice.refused == []


def test_after_a_clock_that_was_ahead_the_operator_says_which_one_is_right(
    operator: Operator, alice: Member, clock: HostClock
) -> None:
    clock.ahead = DAY
    operator.e4("grant", "alice", "one")
    operator.e4("client", "add", "carol")
    assert alice.until(lambda: alice.refused == ["TimestampInFuture"])
    clock.ahead = 0
    for name in ("alice", "carol"):
        said = operator.e4("grant", name, "two", expect=1)["error"]
        assert f"e4 sync {name} --trust-clock" in said
    assert "--trust-clock needs the clients named" in operator.text("sync", "--trust-clock", expect=2)
    operator.e4("sync", "alice", "carol", "--trust-clock", "--again")
    assert alice.obtains("one")
    operator.e4("grant", "alice", "two")
    operator.e4("grant", "carol", "two")
    assert alice.obtains("two") and alice.refused == ["TimestampInFuture"]
