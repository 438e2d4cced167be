"""The key store: its file, its encrypted secrets, and what locks it."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from unittest.mock import patch

from e4_tools.errors import KeyStoreError, UnknownName
from e4_tools.fleet import listing
from e4_tools.fleet.messages import TopicReader
from e4_tools.fleet.operations import Fleet
from e4_tools.keystore import KEY_FILE, PASSPHRASE, make_store, open_store
from e4_tools.keystore.completion import CLIENTS, TOPICS, list_names
from e4_tools.keystore.vault import KeySlot, Vault, unlock
from fuzz import mutation
from fuzz.mutation import pick
from fuzz.parser import Parser, check
from helpers.portable.support import Dice

SECRET = b"s" * 32
_PLACE = ("topics", "0011", "key")


def make_fleet(path: Path) -> None:
    """Make a key store with two clients, two topics, a grant, and an ID key that waits to be confirmed.

    Its random numbers are the same each time.
    """
    generator = random.Random(1)  # noqa: S311 (these keys protect nothing)
    with patch("os.urandom", generator.randbytes), patch("secrets.token_bytes", generator.randbytes):
        store = make_store(str(path), KEY_FILE, SECRET)
        fleet = Fleet(store)
        fleet.add_client("alice", bytes(range(32)))
        fleet.add_client("bob", b"b" * 32, "another/topic")
        fleet.add_topic("sensors/lab", b"t" * 32)
        fleet.add_topic("sensors/roof", b"u" * 32)
        fleet.grant("alice", "sensors/lab")
        fleet.rotate_topic("sensors/lab")
        fleet.rekeying.rekey("bob")


class SealedSecret(Parser):
    """A secret of the key store, which may be damaged or moved."""

    refusals = (KeyStoreError,)

    def make(self, dice: Dice) -> tuple[bytes, tuple[str, ...]]:
        sealed = Vault(SECRET).seal(b"a secret", *_PLACE)
        place = _PLACE if dice.below(3) else tuple(mutation.mutate_text(dice, _PLACE) for _ in range(3))
        return (mutation.mutate(dice, (sealed,), 60) if dice.below(3) else sealed), place

    def parse(self, given: tuple[bytes, tuple[str, ...]]) -> None:
        sealed, place = given
        check(Vault(SECRET).open(sealed, *place) == b"a secret", "it is another secret")


class Slot(Parser):
    """What a key store has recorded about the secret that opens it."""

    refusals = (KeyStoreError,)

    def __init__(self) -> None:
        self._slot = Vault(SECRET).make_slot(KEY_FILE, b"key")

    def make(self, dice: Dice) -> KeySlot:
        # Costs that take more than a moment are left out: up to 2^20 they are allowed.
        cost = pick(dice, (0, 1, 2, 3, 5, 16, 1023, 1024, -1, -16, (1 << 20) + 1, 1 << 21, 1 << 31, 1 << 62))
        return KeySlot(
            pick(dice, (KEY_FILE, KEY_FILE, PASSPHRASE, mutation.mutate_text(dice, (KEY_FILE, PASSPHRASE)))),
            mutation.mutate(dice, (self._slot.salt,), 40),
            cost if dice.below(2) else 0,
            mutation.mutate(dice, (self._slot.wrapped,), 80) if dice.below(2) else self._slot.wrapped,
        )

    def parse(self, given: KeySlot) -> None:
        opened = unlock(given, b"key")
        check(opened.open(Vault(SECRET).seal(b"x", *_PLACE), *_PLACE) == b"x", "it opens another vault")


class StoreFile(Parser):
    """The file of a key store with damage in it: in its pages, in its rows, in their types."""

    refusals = (KeyStoreError, UnknownName)

    def __init__(self) -> None:
        path = Path("fuzz-sample.db")
        path.unlink(missing_ok=True)
        make_fleet(path)
        self._image = path.read_bytes()
        with sqlite3.connect(path) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            self._columns = [
                (table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")
            ]
        connection.close()

    def make(self, dice: Dice) -> tuple[bytes, list[tuple[str, str, object]]]:
        image, changes = self._image, []
        if dice.below(3) == 0:
            for _ in range(1 + dice.below(3)):
                image = mutation.change(dice, image)
        else:
            for _ in range(1 + dice.below(2)):
                table, column = pick(dice, self._columns)
                value = pick(
                    dice, (None, 0, -1, 1 << 62, 1.5, "", "text", "current", "0001", b"", b"\xff" * 40, "\x1b[2J")
                )
                changes.append((table, column, value))
        return image, changes

    def parse(self, given: tuple[bytes, list[tuple[str, str, object]]]) -> None:
        image, changes = given
        path = Path("fuzz.db")
        path.write_bytes(image)
        if changes:
            connection = sqlite3.connect(path)
            for table, column, value in changes:
                try:
                    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 (our own names)
                except sqlite3.Error:
                    pass  # the schema does not allow this value
            connection.commit()
            connection.close()
        for table in (CLIENTS, TOPICS):
            check(all(isinstance(name, str) for name in list_names(str(path), table, "")), "a name is no text")
        store = open_store(str(path), lambda kind: SECRET if kind == KEY_FILE else b"passphrase")
        listing.summarize_store(store)
        listing.list_topics(store)
        for client in listing.list_clients(store):
            listing.read_client(store, client.name)
        listing.read_id_keys(store, "alice")
        listing.read_topic(store, "sensors/lab")
        TopicReader(store)
        fleet = Fleet(store)
        fleet.grant("bob", "sensors/lab")
        fleet.rotate_topic("sensors/lab")
        fleet.remove_client("alice")
        fleet.rekeying.rekey("bob")
