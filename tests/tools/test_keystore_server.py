"""The key store in a database server: the same commands, several operators, and a server that goes away."""

from __future__ import annotations

import importlib.util
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

import e4
from e4_tools.errors import KeyStoreError
from e4_tools.fleet.listing import read_id_keys
from e4_tools.fleet.messages import protect_for_topic
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key
from e4_tools.keystore import KEY_FILE, KeyStore, engine, open_store
from e4_tools.keystore.models import SCHEMA, IdKeyRow, Table, TopicRow
from helpers.host_clock import DAY, HostClock
from helpers.member import Member
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator
from helpers.postgresql import PASSWORD, PostgreSQL, find_program

_KEY = b"0123456789abcdef0123456789ABCDEF"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    if find_program("initdb") is None or find_program("pg_ctl") is None:
        pytest.skip("PostgreSQL is not installed: the key store on a server is not tried")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: the key store on a server is not tried")
    server = PostgreSQL()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def operator(server: PostgreSQL, tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    name = f"fleet_{os.urandom(4).hex()}"
    with engine.make_engine(engine.store_url(server.url())).connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"CREATE DATABASE {name}"))
    operator = Operator(tmp_path, mosquitto.port)
    operator.give("E4_STORE", server.url(name))
    operator.e4("client", "add", "alice", "--ask", E4_KEY=_KEY.hex())
    return operator


def _open(operator: Operator) -> KeyStore:
    key_file = Path(operator.environment["E4_KEYFILE"])
    return open_store(operator.environment["E4_STORE"], lambda kind: read_key(key_file))


def test_the_work_of_a_fleet(operator: Operator) -> None:
    with Member("alice", _KEY, operator.port) as alice:
        for topic in ("one", "two"):
            operator.e4("topic", "add", topic)
            operator.e4("grant", "alice", topic)
            assert alice.obtains(topic)
        operator.e4("topic", "rotate", "one")
        assert alice.reads(protect_for_topic(_open(operator), b"hello", "one"), "one")
        operator.e4("client", "rekey", "alice")
        assert operator.e4("client", "confirm", "alice")["pending"] is False
        operator.e4("revoke", "alice", "two")
        assert alice.loses("two")
        operator.e4("topic", "remove", "one")
        operator.e4("client", "remove", "alice")
        assert alice.loses("one")
    assert operator.e4("client", "list")["clients"] == []


def test_what_opens_it_can_be_changed(operator: Operator) -> None:
    operator.give("E4_NEW_PASSPHRASE", "correct horse")
    operator.e4("store", "relock")
    operator.give("E4_PASSPHRASE", "correct house")
    assert "wrong passphrase" in operator.e4("client", "show", "alice", expect=5)["error"]
    operator.give("E4_PASSPHRASE", "correct horse")
    operator.e4("client", "show", "alice")


def test_a_relock_waits_for_those_who_write_and_they_for_it(operator: Operator) -> None:
    writing, relocking, late = (_open(operator) for _ in range(3))
    secret = read_key(Path(operator.environment["E4_KEYFILE"]))
    order = []

    def relock() -> None:
        relocking.relock(KEY_FILE, secret)
        order.append("relocked")

    thread = threading.Thread(target=relock)
    with writing.transaction() as session:
        thread.start()
        time.sleep(1)
        row = session.scalars(select(IdKeyRow)).one()
        row.key = writing.vault.seal(b"n" * 32, *row.place)
        order.append("written")
    thread.join(30)
    assert order == ["written", "relocked"]
    with pytest.raises(KeyStoreError, match="another e4 has changed what opens"):
        Fleet(late).add_topic("lab")
    assert [key.key for key in read_id_keys(_open(operator), "alice")] == [b"n" * 32]


def test_its_schema_is_that_of_the_models_and_of_a_later_e4_it_is_refused(operator: Operator) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    database = engine.make_engine(engine.store_url(operator.environment["E4_STORE"]))
    with database.begin() as connection:
        assert engine.schema_of(connection) == SCHEMA
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        connection.execute(text("UPDATE topics SET added_at = 1 << 40"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert "later e4" in operator.e4("client", "list", expect=5)["error"]


def test_one_that_was_made_before_times_had_64_bits(operator: Operator) -> None:
    store, database = _open(operator), engine.make_engine(engine.store_url(operator.environment["E4_STORE"]))
    Fleet(store).add_topic("lab")
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE topics ALTER COLUMN added_at TYPE integer"))
        for table, column in (("clients", "stamp"), ("clients", "marks"), ("topics", "exposed")):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    running = [operator.start("topic", "list") for _ in range(4)]
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    with store.transaction() as session:
        session.get_one(TopicRow, e4.topic_hash("lab").hex()).added_at = 1 << 40
    assert operator.e4("store", "show")["schema"] == SCHEMA


def test_two_operators_at_once_lose_nothing_and_wait_for_each_other(operator: Operator) -> None:
    topics = [f"topic {number}" for number in range(5)]
    with Member("alice", _KEY, operator.port) as alice:
        for topic in topics:
            operator.e4("topic", "add", topic)
        running = [operator.start("grant", "alice", topic) for topic in topics]
        for process in running:
            process.join(60)
        assert [process.exitcode for process in running] == [0] * len(topics)
        assert alice.until(lambda: all(alice.client.holds_key(topic) for topic in topics))
    store = _open(operator)
    with store.sending_lock():
        # Commands that only read the store do not wait for the lock.
        assert operator.e4("topic", "list")["topics"]
        with pytest.raises(KeyStoreError, match="another e4"), _open(operator).sending_lock(0.3):
            pass
    with _open(operator).sending_lock(0.3):
        pass


def test_two_operators_whose_clocks_differ_are_both_obeyed(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HostClock(monkeypatch)
    with Member("alice", _KEY, operator.port) as alice:
        for number, clock.ahead in enumerate((40, 0, 40, 0)):
            operator.e4("topic", "add", f"topic {number}")
            operator.e4("grant", "alice", f"topic {number}")
            assert alice.obtains(f"topic {number}"), alice.refused
        clock.ahead = -DAY
        said = operator.e4("revoke", "alice", "topic 0", expect=1)["error"]
        assert "behind the last command for alice" in said and "Nothing was done" in said
        clock.ahead = 0
        assert operator.e4("store", "show")["unsent"] == 0
        operator.e4("revoke", "alice", "topic 0")
        assert alice.loses("topic 0") and alice.refused == []


def _seconds_of_a_command(operator: Operator) -> float:
    started = time.monotonic()
    operator.start("client", "list").join(30)
    return time.monotonic() - started


def test_killed_anywhere_the_next_command_reaches_the_member(operator: Operator) -> None:
    operator.e4("topic", "add", "lab")
    # The shortest time counts: the first process starts the server that forks the others, and takes much longer.
    usual = 1.5 * min(_seconds_of_a_command(operator) for _ in range(3))
    chance, killed = random.Random(6), 0  # noqa: S311 (times, not secrets)
    with Member("alice", _KEY, operator.port) as alice:
        operator.e4("grant", "alice", "lab")
        for attempt in range(8):
            process = operator.start(*(("client", "rekey", "alice"), ("topic", "rotate", "lab"))[attempt % 2])
            time.sleep(chance.uniform(0.3, 1.1) * usual)
            process.kill()
            process.join(10)
            killed += process.exitcode != 0
            operator.e4("sync")
            assert alice.reads(protect_for_topic(_open(operator), b"hello %d" % attempt, "lab"), "lab"), attempt
    assert killed >= 2


def test_a_password_in_its_url_is_shown_nowhere(operator: Operator, server: PostgreSQL) -> None:
    wrong = operator.e4("client", "list", expect=5, E4_STORE=server.url(password="not-the-one"))  # noqa: S106
    assert "password authentication failed" in wrong["error"] and "not-the-one" not in str(wrong)
    gone = operator.e4("client", "list", expect=5, E4_STORE=server.url("no_such_database"))
    assert "does not exist" in gone["error"] and PASSWORD not in str(gone)
    hidden = operator.e4("store", "show", E4_STORE=operator.environment["E4_STORE"] + f"?application_name={PASSWORD}")
    assert PASSWORD not in str(hidden)
    refused = operator.text("client", "list", "--store", server.url(), expect=2)
    assert "command line" in refused and PASSWORD not in refused


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql+psycopg2://u:secret@h/d", "pip install 'psycopg2-binary'"),
        ("postgresql+nonsense://u:secret@h/d", "use postgresql"),
        ("mysql://u:secret@h/d", "in SQLite or in PostgreSQL"),
        ("postgresql+psycopg://u:secret@h:port/d", "neither a path nor a URL"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_do(tmp_path: Path, url: str, complaint: str) -> None:
    error = Operator(tmp_path, 1).e4("client", "add", "alice", expect=5, E4_STORE=url)["error"]
    assert complaint in error and "nothing was done" in error and "secret" not in error
