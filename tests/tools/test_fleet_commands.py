"""The commands for a fleet, with a real broker and clients that carry out the commands they get."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.fleet.operations import Fleet
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keys.files import read_key
from e4_tools.keystore import KeyStore, open_store
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.mqtt.mosquitto import find_mosquitto
from e4_tools.virtual_board import VirtualBoard
from helpers.member import Member
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_TOPIC = "sensors/lab"
_KEYS = {name: bytes([number]) * 32 for number, name in enumerate(("alice", "bob", "eve"), 1)}
StartNode = Callable[..., tuple[VirtualBoard, BoardConsole]]


@pytest.fixture
def operator(tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    operator = Operator(tmp_path, mosquitto.port)
    operator.add(_TOPIC, _KEYS)
    return operator


@pytest.fixture
def members(operator: Operator) -> Iterator[dict[str, Member]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(Member(name, key, operator.port)) for name, key in _KEYS.items()}


def _open(operator: Operator) -> KeyStore:
    key_file = Path(operator.environment["E4_KEYFILE"])
    return open_store(str(operator.store), lambda kind: read_key(key_file))


def _topic_key(operator: Operator, topic: str = _TOPIC) -> bytes:
    store = _open(operator)
    with sqlite3.connect(operator.store) as connection:
        hashed, key = connection.execute("SELECT hash, key FROM topics WHERE name = ?", (topic,)).fetchone()
    return store.vault.open(key, "topics", hashed, "key")


def _id_keys(operator: Operator, name: str) -> dict[str, bytes]:
    shown = operator.e4("client", "show", name, "--reveal")
    return {key["state"]: bytes.fromhex(key["key"]) for key in shown["keys"]}


def _message(operator: Operator, number: Iterator[int] = itertools.count()) -> bytes:  # noqa: B008 (All calls share one counter.)
    """Return a protected message that is different from all others."""
    return e4.protect(b"reading %d" % next(number), _topic_key(operator), int(time.time()))


def test_grant_and_revoke(operator: Operator, members: dict[str, Member]) -> None:
    for name in _KEYS:
        operator.e4("grant", name, _TOPIC)
    alice, bob, eve = members.values()
    before = _message(operator)
    assert all(member.reads(before, _TOPIC) for member in members.values())
    eves_copy = e4.Client(eve.client.id, _KEYS["eve"], e4.MemoryStore(), time.time)
    for payload in eve.raw:
        eves_copy.unprotect(payload, eve.client.receiving_topic)

    # One command for eve, and two new keys for each of the others.
    assert operator.e4("revoke", "eve", _TOPIC)["sent"] == 5
    after = _message(operator)
    assert alice.reads(after, _TOPIC) and bob.reads(after, _TOPIC)
    assert eve.loses(_TOPIC)
    # A thief who ignores the command RemoveTopic still has the old key. It must not open new messages.
    with pytest.raises(e4.NotAuthentic):
        eves_copy.unprotect(after, _TOPIC)
    key = _topic_key(operator)
    said = operator.e4("revoke", "eve", _TOPIC, expect=6)["error"]
    assert "eve has no grant of sensors/lab; nothing was done" in said and "e4 topic rotate" in said
    assert _topic_key(operator) == key
    assert [client["topics"] for client in operator.e4("client", "list")["clients"]] == [[_TOPIC], [_TOPIC], []]


def test_reset_remove_and_forget(operator: Operator, members: dict[str, Member]) -> None:
    for name in _KEYS:
        operator.e4("grant", name, _TOPIC)
    alice, bob, eve = members.values()
    operator.e4("client", "reset", "alice")
    assert alice.loses(_TOPIC)
    operator.e4("client", "remove", "eve")
    assert eve.loses(_TOPIC)
    after = _message(operator)
    assert bob.reads(after, _TOPIC)
    operator.e4("client", "forget", "bob", "--yes")
    assert [client["name"] for client in operator.e4("client", "list")["clients"]] == ["alice"]
    operator.e4("grant", "alice", _TOPIC)
    operator.e4("topic", "remove", _TOPIC)
    assert alice.loses(_TOPIC)
    assert operator.e4("topic", "list")["topics"] == []


def test_a_member_that_was_away_gets_all_its_commands(operator: Operator) -> None:
    alice = Member("alice", _KEYS["alice"], operator.port)
    with alice:
        pass
    for topic in ("one", "two", "three"):
        operator.e4("topic", "add", topic)
        operator.e4("grant", "alice", topic)
    with alice:
        assert alice.until(lambda: all(alice.client.holds_key(topic) for topic in ("one", "two", "three")))


def test_a_member_without_a_session_gets_the_last_command(operator: Operator) -> None:
    operator.e4("topic", "add", "one")
    operator.e4("grant", "alice", "one")
    operator.e4("client", "rekey", "alice")
    # This command is sent under both ID keys. Alice still has the old one.
    operator.e4("grant", "alice", _TOPIC)
    with Member("alice", _KEYS["alice"], operator.port, session=False) as alice:
        assert alice.obtains(_TOPIC)
        assert not alice.client.holds_key("one")
        assert "2 commands sent to alice again; nothing else waits" in operator.text("sync", "alice", "--again")
        assert alice.obtains("one")
        assert "Nothing waits to be sent to alice" in operator.text("sync", "alice")
        assert "no topic keys to send to bob" in operator.text("sync", "bob", "--again")


def test_rekey_is_safe_whether_it_arrives_or_not(operator: Operator, members: dict[str, Member]) -> None:
    alice = members["alice"]
    operator.e4("client", "rekey", "alice")
    pending = _id_keys(operator, "alice")["pending"]
    assert alice.until(lambda: alice.holds(pending))
    # This client has missed the command SetIDKey.
    deaf = e4.Client(alice.client.id, _KEYS["alice"], e4.MemoryStore(), time.time)

    operator.e4("grant", "alice", _TOPIC)
    assert alice.obtains(_TOPIC)
    for payload in alice.raw[1:]:
        try:
            deaf.unprotect(payload, deaf.receiving_topic)
        except e4.NotAuthentic:
            continue
    assert deaf.holds_key(_TOPIC)

    operator.e4("client", "rekey", "alice")
    assert _id_keys(operator, "alice") == {"current": _KEYS["alice"], "pending": pending}
    assert operator.e4("client", "confirm", "alice")["pending"] is False
    assert _id_keys(operator, "alice") == {"current": pending, "previous": _KEYS["alice"]}
    assert "waits to be confirmed" in operator.e4("client", "confirm", "alice", expect=1)["error"]
    Rekeying(_open(operator)).rekey("alice")
    assert "has not been sent" in operator.e4("client", "confirm", "alice", expect=1)["error"]
    operator.e4("sync")
    operator.e4("client", "confirm", "alice")
    # The operator has confirmed two changes without a proof, so the store keeps all three keys.
    assert len(operator.e4("client", "show", "alice")["keys"]) == 3
    operator.e4("client", "confirm", "alice", "--undo")
    operator.e4("client", "confirm", "alice")
    assert _KEYS["alice"].hex() in operator.text("client", "show", "alice", "--reveal")


def test_a_wrong_confirmation_is_taken_back(operator: Operator) -> None:
    operator.e4("client", "rekey", "alice")
    pending = _id_keys(operator, "alice")["pending"]
    operator.e4("client", "confirm", "alice")
    operator.e4("client", "confirm", "alice", "--undo")
    assert _id_keys(operator, "alice") == {"current": _KEYS["alice"], "pending": pending}


def test_rekey_killed_anywhere_and_run_again_reaches_the_member(operator: Operator, members: dict[str, Member]) -> None:
    alice = members["alice"]
    started = time.monotonic()
    first = operator.start("client", "rekey", "alice")
    first.join(30)
    usual = time.monotonic() - started
    assert first.exitcode == 0
    chance = random.Random(4)  # noqa: S311 (times, not secrets)
    killed = 0
    for attempt in range(20):
        process = operator.start("client", "rekey", "alice")
        time.sleep(chance.uniform(0, 1.2) * usual)
        process.kill()
        process.join(10)
        killed += process.exitcode != 0
        operator.e4("client", "rekey", "alice")
        topic = f"topic {attempt}"
        operator.e4("topic", "add", topic)
        operator.e4("grant", "alice", topic)
        assert alice.obtains(topic), attempt
        keys = _id_keys(operator, "alice")
        assert alice.holds(keys["pending"]), attempt
        if attempt % 3 == 0:
            operator.e4("client", "confirm", "alice")
    assert killed >= 8


def test_rotate_killed_anywhere_and_run_again_reaches_all(operator: Operator, members: dict[str, Member]) -> None:
    for name in _KEYS:
        operator.e4("grant", name, _TOPIC)
    started = time.monotonic()
    operator.start("topic", "rotate", _TOPIC).join(30)
    usual = time.monotonic() - started
    chance = random.Random(5)  # noqa: S311 (times, not secrets)
    for _ in range(10):
        process = operator.start("topic", "rotate", _TOPIC)
        time.sleep(chance.uniform(0.2, 1.1) * usual)
        process.kill()
        process.join(10)
        operator.e4("sync")
        payload = _message(operator)
        for member in members.values():
            assert member.reads(payload, _TOPIC), member.name


def test_what_a_broker_did_not_take_is_kept_and_sent_later(
    operator: Operator, members: dict[str, Member], mosquitto: Mosquitto
) -> None:
    mosquitto.stop()
    refused = operator.e4("grant", "alice", _TOPIC, expect=3)
    assert "cannot be reached" in refused["error"] and "nothing was" in refused["error"]
    assert operator.e4("client", "show", "alice")["topics"] == []
    # The command is recorded in the store and not sent, as if the process had ended in between.
    Fleet(_open(operator)).grant("alice", _TOPIC)
    assert operator.e4("client", "list")["clients"][0]["unsent"] == 1
    mosquitto.start()
    operator.e4("sync")
    assert members["alice"].until(lambda: members["alice"].client.holds_key(_TOPIC), 20)


def test_two_operators_at_once_lose_nothing(operator: Operator, members: dict[str, Member]) -> None:
    topics = [f"topic {number}" for number in range(6)]
    for topic in topics:
        operator.e4("topic", "add", topic)
    running = [operator.start("grant", "alice", topic) for topic in topics]
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * len(topics)
    assert members["alice"].until(lambda: all(members["alice"].client.holds_key(topic) for topic in topics))


def test_a_thousand_clients_one_of_them_failing(operator: Operator) -> None:
    names = [f"client {number}" for number in range(1000)]
    _populate(operator, names)
    heard = _Tap(operator.port)
    # The key of one client is damaged.
    with sqlite3.connect(operator.store) as connection:
        whose = (e4.id_of("client 500").hex(),)
        (whole,) = connection.execute("SELECT key FROM id_keys WHERE client_id = ?", whose).fetchone()
        connection.execute("UPDATE id_keys SET key = ? WHERE client_id = ?", (bytes(60), *whose))
    started = time.monotonic()
    answer = operator.e4("topic", "rotate", _TOPIC, expect=1)
    seconds = time.monotonic() - started
    print(f"1,000 clients rotated in {seconds:.2f} s")
    assert answer["sent"] == 999 and list(answer["failed"]) == ["client 500"]
    assert "client 500" in answer["error"] and "e4 sync" in answer["error"]
    assert seconds < 30
    heard.until(999)
    payload = _message(operator)
    for number in (0, 1, 499, 501, 999):
        member = e4.Client(e4.id_of(names[number]), _key_of(number), e4.MemoryStore(), time.time)
        member.unprotect(heard.payloads[member.receiving_topic], member.receiving_topic)
        assert b"reading" in (member.unprotect(payload, _TOPIC) or b"")
    with sqlite3.connect(operator.store) as connection:
        connection.execute("UPDATE id_keys SET key = ? WHERE client_id = ?", (whole, *whose))
    assert operator.e4("sync")["sent"] == 1
    heard.until(1000)
    assert operator.e4("topic", "list")["topics"][0]["sent"] == 1000


def _key_of(number: int) -> bytes:
    return number.to_bytes(31, "little") + b"k"


def _populate(operator: Operator, names: list[str]) -> None:
    """Add clients, and then all their grants with one statement, because single commands would take long."""
    store = _open(operator)
    fleet = Fleet(store)
    for number, name in enumerate(names):
        fleet.add_client(name, _key_of(number))
    with sqlite3.connect(operator.store) as connection:
        connection.execute(
            "INSERT INTO grants SELECT clients.id, topics.hash, 1, 1 FROM clients, topics "
            "WHERE clients.name LIKE 'client %'"
        )


class _Tap:
    """Listens to all commands, and keeps the last one of each receiving topic."""

    def __init__(self, port: int) -> None:
        self.payloads: dict[str, bytes] = {}
        self._changed = threading.Condition()
        subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._arrived
        self._client.connect(HOST, port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe("e4/+", 1)

    def _arrived(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.payloads[message.topic] = bytes(message.payload)
            self._changed.notify_all()

    def until(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.payloads) >= count, 10), len(self.payloads)


def test_send_and_listen(operator: Operator, members: dict[str, Member]) -> None:
    operator.e4("grant", "alice", _TOPIC)
    listening = operator.start("listen", _TOPIC, "--count", "5", "--timeout", "20")
    printed = operator.folder / "output"
    _wait(lambda: printed.exists() and "Listening" in printed.read_text())
    operator.e4("send", _TOPIC, "grüezi\x1b[2J")
    operator.text("send", _TOPIC, "-", stdin=b"from a pipe")
    operator.text("send", _TOPIC, "\udcff\udcfe")  # as Python decodes bytes of a command line that are no UTF-8
    with BrokerConnection(HOST, operator.port) as broker:
        broker.publish(_TOPIC, b"not protected at all, and long enough", retain=False)
        # The key of the topic changes while somebody listens.
        operator.e4("topic", "rotate", _TOPIC)
        alice = members["alice"]
        assert alice.until(lambda: alice.commands == 2)
        payload = alice.client.protect_message("from alice", _TOPIC)
        broker.publish(_TOPIC, payload, retain=False)
        broker.publish(_TOPIC, payload, retain=False)
        broker.publish(_TOPIC, alice.client.protect_message("from alice", _TOPIC), retain=False)
    listening.join(20)
    assert listening.exitcode == 0
    assert [line.split("sensors/lab: ")[-1] for line in printed.read_text().splitlines()[1:]] == [
        "grüezi\\x1b[2J",
        "from a pipe",
        "\\xff\\xfe",
        "refused: timestamp in future",
        "from alice",
        "refused: a copy of a message that was accepted before",
        "from alice",
    ]


def test_the_same_message_sent_twice_arrives_twice(operator: Operator, members: dict[str, Member]) -> None:
    operator.e4("grant", "alice", _TOPIC)
    listening = operator.start("listen", _TOPIC, "--count", "3", "--timeout", "20")
    printed = operator.folder / "output"
    _wait(lambda: printed.exists() and "Listening" in printed.read_text())
    for _ in range(3):
        operator.e4("send", _TOPIC, "on")
    listening.join(20)
    assert listening.exitcode == 0 and "refused" not in printed.read_text()


def test_listen_ends_well_on_ctrl_c(operator: Operator) -> None:
    listening = operator.start("listen")
    printed = operator.folder / "output"
    _wait(lambda: printed.exists() and "Listening" in printed.read_text())
    os.kill(listening.pid or 0, signal.SIGINT)
    listening.join(10)
    assert listening.exitcode == 0
    assert "Traceback" not in printed.read_text()


def _wait(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_listen_for_scripts(operator: Operator) -> None:
    answer = operator.e4("listen", "--count", "1", "--timeout", "0.5", expect=1)
    assert answer["messages"] == 0 and "0 of 1" in answer["error"]
    assert operator.e4("listen", "--timeout", "0.5")["messages"] == 0
    assert "did you mean sensors/lab" in operator.e4("listen", "sensors/lap", expect=6)["error"]


def test_errors_say_what_was_done(operator: Operator) -> None:
    assert "did you mean alice" in operator.e4("grant", "alise", _TOPIC, expect=6)["error"]
    assert "nothing was done" in operator.e4("client", "add", "alice", expect=6)["error"]
    assert "nothing was done" in operator.e4("client", "add", "x", "--receiving-topic", "a/#", expect=1)["error"]
    unreachable = operator.e4("client", "rekey", "alice", expect=3, E4_BROKER=f"{HOST}:{free_port()}")
    assert "nothing was" in unreachable["error"]
    assert list(_id_keys(operator, "alice")) == ["current"]
    nowhere = operator.e4("client", "confirm", "alice", "--port", "/dev/nowhere", expect=4)
    assert "/dev/nowhere" in nowhere["error"]


def test_no_key_is_shown_or_left_anywhere(operator: Operator, members: dict[str, Member]) -> None:
    printed = [
        operator.text(*command)
        for command in (
            ("grant", "alice", _TOPIC),
            ("client", "rekey", "alice"),
            ("client", "show", "alice"),
            ("client", "list"),
            ("topic", "show", _TOPIC),
            ("topic", "rotate", _TOPIC),
        )
    ]
    secrets = [*_id_keys(operator, "alice").values(), _topic_key(operator)]
    left = b"".join(path.read_bytes() for path in operator.folder.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret.hex() not in "".join(printed)
        assert secret not in left and secret.hex().encode() not in left


def test_a_broker_with_passwords(tmp_path: Path) -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path)
    config = tmp_path / "mosquitto.conf"
    config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
    broker.start()
    try:
        operator = Operator(tmp_path, broker.port)
        operator.e4("client", "add", "alice")
        assert "refuses us" in operator.e4("client", "reset", "alice", expect=3)["error"]
    finally:
        broker.stop()


def test_a_board_proves_which_key_it_holds(operator: Operator, start_node: StartNode) -> None:
    board, console = start_node("alice", _KEYS["alice"], operator.port)
    operator.e4("topic", "add", "/e4go/demo/messages")
    operator.e4("grant", "alice", "/e4go/demo/messages")
    console.expect("^< unprotected message:$")
    operator.e4("send", "/e4go/demo/messages", "hello, board")
    console.expect("unprotected message: hello, board")
    # The new ID key is recorded in the store and not sent.
    Rekeying(_open(operator)).rekey("alice")
    port = ("--port", board.device)
    console.__exit__(None, None, None)
    assert operator.e4("client", "confirm", "alice", *port)["pending"] is True
    with BoardConsole("alice", board.device) as console:
        console.expect("> subscribed to MQTT topic /e4go/demo/messages", 60)
        operator.e4("client", "rekey", "alice")
        console.expect("^< unprotected message:$")
    pending = _id_keys(operator, "alice")["pending"]
    assert operator.e4("client", "confirm", "alice", *port)["pending"] is False
    # The board has proved that it holds the new key. The old one is no longer needed, and the store forgets it.
    assert _id_keys(operator, "alice") == {"current": pending}


def test_a_key_is_for_a_topic_and_not_for_a_filter(operator: Operator) -> None:
    for topic in ("sensors/+", "sensors/#", "a\0b"):
        for command in (("init-keys", topic, "alice"), ("topic", "add", topic), ("send", topic, "x")):
            said = operator.e4(*command, expect=1, E4_KEY_ALICE="00" * 32)["error"]
            assert "nothing was done" in said and ("filter" in said or "NUL" in said)


def test_a_client_and_a_topic_that_changed_places(operator: Operator) -> None:
    for command in ("grant", "revoke"):
        assert "sensors/lab is a topic" in operator.e4(command, _TOPIC, "alice", expect=6)["error"]
        assert "bob is a client" in operator.e4(command, "new/topic", "bob", expect=6)["error"]
    said = operator.text("init-keys", "alice", _TOPIC, expect=2)
    assert f"e4 init-keys {_TOPIC} alice" in said and "nothing was done" in said


def test_init_keys_takes_keys_from_variables_that_a_shell_can_export(
    operator: Operator, members: dict[str, Member]
) -> None:
    with Member("lab-1.b", b"l" * 32, operator.port) as lab:
        operator.e4("init-keys", _TOPIC, "alice", "lab-1.b", E4_KEY_ALICE="01" * 32, E4_KEY_LAB_1_B=(b"l" * 32).hex())
        assert members["alice"].obtains(_TOPIC) and lab.obtains(_TOPIC)
    said = operator.e4("init-keys", _TOPIC, "a-b", "a.B", expect=1, E4_KEY_A_B="01" * 32)["error"]
    assert "a-b and a.B" in said and "nothing was done" in said
