"""The key store: who can open it, what can be read without opening it, and how it is made, migrated and locked."""

from __future__ import annotations

import base64
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select, text
from sqlalchemy.orm import Session

from e4_tools.errors import KeyStoreError, ToolError
from e4_tools.fleet.delivery import Delivery
from e4_tools.fleet.operations import Fleet
from e4_tools.fleet.rekeying import Rekeying, add_id_key
from e4_tools.keys.passwords import derive_key
from e4_tools.keystore import KEY_FILE, PASSPHRASE, KeyStore, engine, make_store, open_store, read_store
from e4_tools.keystore.completion import CLIENTS, list_names
from e4_tools.keystore.engine import has_password
from e4_tools.keystore.models import SCHEMA, ClientRow, StoreRow, Table
from e4_tools.keystore.reencryption import TABLES
from e4_tools.keystore.vault import new_vault, unlock
from e4_tools.mqtt.broker import BrokerConnection, Message
from helpers.operator import Operator

_SECRET = b"a secret of 32 bytes, no less!!!"
_KEY = bytes(range(100, 132))
_TOPIC_KEY = bytes(range(200, 232))


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "folder" / "store.db")


@pytest.fixture
def store(place: str) -> KeyStore:
    made = make_store(place, KEY_FILE, _SECRET)
    Fleet(made).add_client("alice", _KEY)
    Fleet(made).add_topic("lab", _TOPIC_KEY)
    return made


def test_the_right_secret_opens_it_and_a_wrong_one_is_told_at_once(store: KeyStore, place: str) -> None:
    open_store(place, lambda kind: _SECRET)
    with pytest.raises(KeyStoreError, match="wrong key file"):
        open_store(place, lambda kind: bytes(32))


_TWICE = b"correct horse\n" * 2


def test_a_passphrase(tmp_path: Path) -> None:
    operator = Operator(tmp_path, 1)
    del operator.environment["E4_KEYFILE"]
    assert "no passphrase" in operator.e4("topic", "add", "lab", expect=5)["error"]
    typed = operator.text("topic", "add", "typed", "--store", str(tmp_path / "typed.db"), stdin=b"short\n" + _TWICE)
    assert typed.count("8 bytes or more") == 2 and "typed has been added" in typed
    operator.give("E4_PASSPHRASE", "")
    assert "no passphrase" in operator.e4("topic", "add", "lab", expect=5)["error"]
    operator.give("E4_PASSPHRASE", "short")
    assert "at least 8" in operator.e4("topic", "add", "lab", expect=5)["error"]
    assert not operator.store.exists()
    operator.give("E4_PASSPHRASE", "correct horse")
    operator.e4("topic", "add", "lab")
    operator.give("E4_PASSPHRASE", "correct house")
    wrong = operator.e4("topic", "add", "other", expect=5)
    assert "wrong passphrase" in wrong["error"] and "correct" not in wrong["error"]
    operator.give("E4_PASSPHRASE", "correct horse")
    operator.e4("topic", "add", "other")
    assert [topic["topic"] for topic in operator.e4("topic", "list")["topics"]] == ["lab", "other"]


def test_relock_changes_what_opens_it(tmp_path: Path) -> None:
    operator = Operator(tmp_path, 1)
    operator.e4("client", "add", "alice")
    before = operator.e4("client", "show", "alice")["keys"]
    operator.give("E4_NEW_PASSPHRASE", "correct horse")
    assert operator.e4("store", "relock")["encrypted_anew"] == 1
    operator.give("E4_PASSPHRASE", "the wrong one")
    assert "wrong passphrase" in operator.e4("client", "show", "alice", expect=5)["error"]
    operator.give("E4_PASSPHRASE", "correct horse")
    assert operator.e4("client", "show", "alice")["keys"] == before


def _contents(store: KeyStore) -> dict[tuple[str, ...], bytes]:
    """Return all secrets of a store, decrypted, by their places."""
    with store.transaction() as session:
        return {place: store.vault.open(sealed, *place) for place, sealed in _sealed(session).items()}


def _sealed(session: Session) -> dict[tuple[str, ...], bytes]:
    """Return all secrets of a store as they are in the database, by their places."""
    return {
        place: getattr(row, column)
        for table in TABLES
        for row in session.scalars(select(table))
        for column, place in row.secrets().items()
        if getattr(row, column) is not None
    }


def _fill(store: KeyStore) -> None:
    """Put a secret of every kind into a store that has alice and lab: keys of all states, and commands."""
    fleet = Fleet(store)
    fleet.grant("alice", "lab")
    fleet.rotate_topic("lab")
    Rekeying(store).renew("alice")
    Rekeying(store).rekey("alice")


def test_an_old_copy_opens_nothing_of_a_relocked_store(store: KeyStore, place: str) -> None:
    _fill(store)
    old = Path(place).with_name("copy.db")
    shutil.copyfile(place, old)
    fleet = Fleet(store)
    fleet.add_client("after the copy", bytes(range(32)))
    with store.transaction() as session:
        before = _sealed(session)
        rows = sum(len(session.scalars(select(table)).all()) for table in TABLES)
    contents, done = _contents(store), []
    assert len({(place[0], place[-1]) for place in contents}) == 4  # every column with secrets has some
    assert store.relock(PASSPHRASE, b"correct horse", lambda *of: done.append(of)) == rows
    assert done[-1] == (rows, rows)
    fleet.add_client("after the relock", bytes(range(32)))
    copied = open_store(str(old), lambda kind: _SECRET)
    with store.transaction() as session:
        after = _sealed(session)
    assert set(before) < set(after)
    for where, sealed in after.items():
        with pytest.raises(KeyStoreError, match="damaged"):
            copied.vault.open(sealed, *where)
    image = Path(place).read_bytes()
    assert not [where for where, sealed in before.items() if sealed in image], "an old secret is left in the file"
    for opened in (store, open_store(place, lambda kind: b"correct horse")):
        assert {where: secret for where, secret in _contents(opened).items() if where in contents} == contents
    with pytest.raises(KeyStoreError, match="wrong passphrase"):
        open_store(place, lambda kind: _SECRET)


def test_what_was_opened_before_a_relock_changes_nothing_after_it(store: KeyStore, place: str) -> None:
    other = open_store(place, lambda kind: _SECRET)
    store.relock(KEY_FILE, _SECRET)
    for change in (lambda: Fleet(other).add_topic("new"), lambda: other.relock(KEY_FILE, _SECRET)):
        with pytest.raises(KeyStoreError, match="another e4 has changed what opens"):
            change()
    other.unlock(lambda kind: _SECRET)
    Fleet(other).add_topic("new")
    assert len(_contents(store)) == 3


def test_a_store_with_a_damaged_secret_is_not_relocked(store: KeyStore, place: str) -> None:
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE topics SET key = x'00'")
    before = Path(place).read_bytes()
    with pytest.raises(KeyStoreError, match="damaged"):
        store.relock(PASSPHRASE, b"correct horse")
    assert Path(place).read_bytes() == before
    open_store(place, lambda kind: _SECRET)


def test_every_column_with_secrets_is_known_to_relock() -> None:
    binary = {
        (table.name, column.name)
        for table in Table.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary) and table.name != StoreRow.__tablename__
    }
    known = {(table.__tablename__, column) for table in TABLES for column in table().secrets()}
    assert known == binary


def _relock(place: str, last: int) -> None:
    """Relock a store, and die when `last` rows or more are done."""

    def die(done: int, _of: int) -> None:
        if done >= last:
            os.kill(os.getpid(), signal.SIGKILL)

    open_store(place, lambda kind: _SECRET).relock(KEY_FILE, _SECRET[::-1], die)


def test_a_relock_that_is_killed_leaves_the_old_state(store: KeyStore, place: str) -> None:
    number = 1600
    with store.transaction() as session:
        for index in range(number):
            name = f"{index:032x}"
            client = ClientRow(id=name, name=name, receiving_topic="", mode="", state="member", added_at=0)
            session.add(client)
            session.flush()
            add_id_key(session, store, client, "current", bytes([index % 255 + 1]) * 32)
    contents = _contents(store)
    spawning = multiprocessing.get_context("spawn")
    for last in (1, number // 2, number, number * 2):
        process = spawning.Process(target=_relock, args=(place, last))
        process.start()
        process.join(60)
        finished = last > number + 2
        assert process.exitcode == (0 if finished else -signal.SIGKILL)
        secret = _SECRET[::-1] if finished else _SECRET
        assert _contents(open_store(place, lambda kind, secret=secret: secret)) == contents  # type: ignore[misc]


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    operator = Operator(tmp_path, 1)
    for name, tables in (("one", ["places (x)"]), ("two", ["alembic_version (version_num VARCHAR)"])):
        path = tmp_path / name
        with sqlite3.connect(path) as connection:
            for table in tables:
                connection.execute(f"CREATE TABLE {table}")
            if name == "two":
                connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        before = path.read_bytes()
        error = operator.e4("topic", "add", "lab", "--store", str(path), expect=5)["error"]
        assert "another program" in error and path.read_bytes() == before


def test_an_empty_file_that_becomes_a_store_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o644)
    make_store(str(path), KEY_FILE, _SECRET)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    operator = Operator(tmp_path, 1)
    Path(operator.environment["E4_KEYFILE"]).chmod(0o640)
    assert "open to others" in operator.e4("client", "add", "alice", expect=1)["error"]
    assert not operator.store.exists()


def test_its_files_are_nobody_elses_from_the_first_byte(place: str) -> None:
    path = Path(place)
    seen: dict[str, int] = {}
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            for file in path.parent.glob("*") if path.parent.exists() else ():
                try:
                    seen[file.name] = seen.get(file.name, 0) | file.stat().st_mode & 0o077
                except FileNotFoundError:
                    continue

    before = os.umask(0)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        made = make_store(place, KEY_FILE, _SECRET)
        with made.sending_lock():
            for number in range(10):
                Fleet(made).add_client(f"client {number}", _KEY)
    finally:
        watching.set()
        thread.join()
        os.umask(before)
    assert {"store.db", "store.db-journal", "store.db.lock"} <= set(seen)
    assert not any(seen.values()), seen
    assert path.parent.stat().st_mode & 0o077 == 0


def test_no_secret_can_be_found_in_it(store: KeyStore, place: str) -> None:
    Fleet(store).grant("alice", "lab")
    Rekeying(store).rekey("alice")
    images = b"".join(file.read_bytes() for file in Path(place).parent.iterdir())
    assert b"alice" in images
    for secret in (_KEY, _TOPIC_KEY, _SECRET):
        for form in (secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)[:40]):
            assert form not in images


def test_a_secret_that_was_moved_or_altered_is_noticed(store: KeyStore, place: str, tmp_path: Path) -> None:
    Fleet(store).add_topic("other")
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE topics SET key = (SELECT key FROM topics WHERE name = 'lab') WHERE name = 'other'")
    with pytest.raises(KeyStoreError, match="not what was put there"):
        Fleet(store).rotate_topic("other")


def test_errors_of_the_database_are_told_without_its_contents(store: KeyStore, place: str) -> None:
    Path(place).write_bytes(b"not a database, but long enough to be looked at as one" * 10)
    with pytest.raises(KeyStoreError, match="not a database") as caught:
        read_store(place)
    assert "SELECT" not in str(caught.value)


def test_there_is_none_and_there_is_one_already(place: str) -> None:
    with pytest.raises(KeyStoreError, match="there is no key store"):
        read_store(place)
    make_store(place, KEY_FILE, _SECRET)
    with pytest.raises(KeyStoreError, match="already"):
        make_store(place, PASSPHRASE, b"correct horse")
    open_store(place, lambda kind: _SECRET)


def test_one_that_was_being_made_when_the_power_went_is_made_anew(place: str) -> None:
    Path(place).parent.mkdir()
    Path(place).touch(0o600)
    make_store(place, KEY_FILE, _SECRET)


def test_a_later_schema_is_refused_and_left_alone(store: KeyStore, place: str) -> None:
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = Path(place).read_bytes()
    with pytest.raises(KeyStoreError, match="later e4"):
        read_store(place)
    assert Path(place).read_bytes() == before


def test_an_older_schema_is_migrated_in_one_transaction(store: KeyStore, place: str, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    (migrations / "versions").mkdir(parents=True)
    for file in ("env.py", *(f"versions/{path.name}" for path in engine.MIGRATIONS.glob("versions/*.py"))):
        (migrations / file).write_bytes((engine.MIGRATIONS / file).read_bytes())
    following = migrations / "versions" / "9000_next.py"
    source = f"from alembic import op\nrevision, down_revision = '9000', '{SCHEMA}'\ndef upgrade():\n    "
    add = "op.execute('ALTER TABLE topics ADD COLUMN note VARCHAR')"
    database = engine.make_engine(engine.store_url(place))
    following.write_text(f"{source}{add}; raise RuntimeError('the power went')\n")
    with pytest.raises(RuntimeError), database.begin() as connection:
        engine.upgrade_schema(connection, migrations, "9000")
    with database.begin() as connection:
        assert engine.schema_of(connection) == SCHEMA
        assert "note" not in list(connection.execute(text("SELECT * FROM topics")).keys())
    following.write_text(f"{source}{add}\n")
    with database.begin() as connection:
        engine.upgrade_schema(connection, migrations, "9000")
    with database.begin() as connection:
        assert engine.schema_of(connection) == "9000"
        assert connection.execute(text("SELECT name, note FROM topics")).all() == [("lab", None)]


def test_one_of_the_schema_before_is_opened_and_sends(store: KeyStore, place: str) -> None:
    Fleet(store).grant("alice", "lab")
    with sqlite3.connect(place) as connection:
        for table, column in (("clients", "stamp"), ("clients", "marks"), ("topics", "exposed")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    opened = open_store(place, lambda kind: _SECRET)
    Fleet(opened).add_client("bob", _KEY)
    Fleet(opened).grant("bob", "lab")
    sent: list[bytes] = []

    class Broker(BrokerConnection):
        def publish_all(self, messages: Iterable[tuple[Any, Message]], on_result: Callable[..., None]) -> None:
            for label, message in messages:
                sent.append(message.payload)
                on_result(label, None)

    assert Delivery(opened, Broker("127.0.0.1", 1)).send().sent == len(sent) == 2
    # A rotation after somebody has lost the topic sends two keys, also in a store that was made before that was so.
    Fleet(opened).revoke("alice", "lab")
    assert Delivery(opened, Broker("127.0.0.1", 1)).send().sent == 3


def test_the_tables_are_those_of_the_models(store: KeyStore, place: str) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    from e4_tools.keystore.models import Table  # noqa: PLC0415

    with engine.make_engine(engine.store_url(place)).begin() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Table.metadata)
    assert differences == []


def test_only_one_process_sends(store: KeyStore, place: str) -> None:
    other = read_store(place)
    with store.sending_lock():
        started = time.monotonic()
        with pytest.raises(KeyStoreError, match="another e4"), other.sending_lock(0.3):
            pass
        assert time.monotonic() - started < 5
    with other.sending_lock(0.3):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE id_keys SET since = 'x'",
        "UPDATE id_keys SET since = -1",
        "UPDATE id_keys SET since = 1 << 62",
        "UPDATE id_keys SET state = 'odd'",
        "UPDATE id_keys SET key = 'text'",
        "UPDATE id_keys SET client_id = 'nobody'",
        "UPDATE clients SET name = x'ff'",
        "UPDATE topics SET previous_key = 1.5",
        "UPDATE meta SET lock_salt = 'text'",
        "UPDATE alembic_version SET version_num = '0'",
        "UPDATE alembic_version SET version_num = ''",
        "UPDATE alembic_version SET version_num = '0000'",
        "INSERT INTO grants (client_id, topic_hash, granted_at) VALUES ('nobody', 'nothing', 1)",
    ],
)
def test_a_damaged_store_is_refused_and_left_alone(store: KeyStore, place: str, damage: str) -> None:
    with sqlite3.connect(place) as connection:
        connection.execute(damage)
    connection.close()
    before = Path(place).read_bytes()
    with pytest.raises(KeyStoreError, match="damaged"):
        read_store(place)
    assert Path(place).read_bytes() == before
    assert all(isinstance(name, str) for name in list_names(place, CLIENTS, ""))


def test_a_lock_with_a_cost_that_is_none_is_damage() -> None:
    slot = new_vault().make_slot(PASSPHRASE, b"passphrase")
    for cost in (-1, 0, 1, 3, 1000, 1 << 21):
        with pytest.raises(KeyStoreError, match="damaged"):
            unlock(replace(slot, cost=cost), b"passphrase")


def test_a_path_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyStoreError, match="there is no key store"):
        read_store(str(tmp_path / ("x" * 300)))
    with pytest.raises(KeyStoreError, match="no key store can be made"):
        make_store(str(tmp_path / ("x" * 300)), KEY_FILE, _SECRET)


@pytest.mark.parametrize("where", ["~nobody-of-this-name/x.db", "postgresql+a+b://h/d", "postgresql://h/\udcff", "://"])
def test_a_place_that_is_none_is_told(where: str) -> None:
    assert not has_password(where)
    with pytest.raises(KeyStoreError, match="nothing was done"):
        read_store(where)


def test_what_is_no_utf8_is_refused_wherever_it_comes_from(tmp_path: Path, place: str) -> None:
    """Python makes halves of characters of such bytes, which nothing below can write."""
    operator = Operator(tmp_path, 1)
    operator.e4("topic", "add", "lab")
    bad = "lab\udcff"
    assert "no topic" in operator.text("topic", "show", bad, expect=6)
    assert "no client" in operator.text("client", "show", bad, expect=6)
    for variable in ("E4_BROKER_USER", "E4_BROKER_PASSWORD"):
        assert f"{variable} is not UTF-8" in operator.text("sync", expect=1, stdin=None, **{variable: bad})
    assert "not UTF-8" in operator.text("client", "add", "alice", "--from-password", expect=1, E4_PASSWORD=bad * 4)
    assert "not UTF-8" in operator.text("store", "relock", expect=5, E4_NEW_PASSPHRASE=bad * 4)
    with pytest.raises(ToolError, match="UTF-8"):
        derive_key(bad * 4)


def test_completion_offers_names_without_a_secret(store: KeyStore, place: str) -> None:
    def complete(words: str, place: str) -> str:
        asked = {"_E4_COMPLETE": "bash_complete", "COMP_CWORD": "3", "COMP_WORDS": words, "E4_STORE": place}
        command = [sys.executable, "-m", "e4_tools.cli"]
        return subprocess.run(command, env={**os.environ, **asked}, capture_output=True, check=True).stdout.decode()

    Fleet(store).add_client("\x1b]52;c;aGk=\x07", bytes(range(32)))  # It would write to the clipboard.
    assert complete("e4 client show ", place) == "plain,alice\n"
    assert complete("e4 topic rotate l", place) == "plain,lab\n"
    assert complete("e4 client show ", "/nowhere").strip() == ""
