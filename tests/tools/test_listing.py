"""The listings of a key store: plain values that commands can show, without the secrets of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

import e4
from e4_tools.errors import KeyStoreError, UnknownName
from e4_tools.fleet import listing
from e4_tools.fleet.operations import Fleet
from e4_tools.keystore import KEY_FILE, KeyStore, make_store, read_store
from e4_tools.keystore.models import CURRENT, MEMBER, PENDING

_KEY = bytes(range(100, 132))


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """A store with two clients. Alice has a grant for a topic, and its command has not been sent."""
    store = make_store(str(tmp_path / "store.db"), KEY_FILE, bytes(32))
    fleet = Fleet(store)
    fleet.add_client("bob", _KEY)
    fleet.add_client("alice", _KEY)
    fleet.add_topic("lab")
    fleet.grant("alice", "lab")
    return store


def test_clients_are_listed_by_name_with_what_waits_for_them(store: KeyStore) -> None:
    alice, bob = listing.list_clients(store)
    assert (alice.name, alice.id, alice.state) == ("alice", e4.id_of("alice").hex(), MEMBER)
    assert alice.topics == alice.topics_not_sent == ["lab"]
    assert [command.opcode for command in alice.unsent] == [e4.commands.SET_TOPIC_KEY]
    assert (bob.name, bob.topics, bob.unsent) == ("bob", [], [])
    assert listing.read_client(store, "alice") == alice


def test_the_current_id_key_comes_before_a_pending_one_and_none_is_in_a_representation(store: KeyStore) -> None:
    Fleet(store).rekeying.rekey("alice")
    keys = listing.read_id_keys(store, "alice")
    assert [key.state for key in keys] == [CURRENT, PENDING]
    assert keys[0].key == _KEY and keys[1].key != _KEY
    assert repr(keys[0].key) not in repr(keys)
    assert listing.read_client(store, "alice").pending


def test_topics_and_the_store_are_counted(store: KeyStore) -> None:
    (topic,) = listing.list_topics(store)
    assert (topic.name, topic.clients, topic.sent, topic.rotated_at) == ("lab", 1, 0, None)
    assert listing.read_topic(store, "lab").grants == [listing.TopicGrant("alice", None)]
    assert listing.summarize_store(store) == listing.StoreSummary(clients=2, topics=1, unsent=1, opened_by=KEY_FILE)


def test_only_id_keys_need_a_store_that_is_unlocked(store: KeyStore) -> None:
    locked = read_store(store.location)
    assert listing.list_clients(locked) == listing.list_clients(store)
    with pytest.raises(KeyStoreError, match="has not been unlocked"):
        listing.read_id_keys(locked, "alice")


def test_an_unknown_name_is_an_error(store: KeyStore) -> None:
    for read in (listing.read_client, listing.read_id_keys, listing.read_topic):
        with pytest.raises(UnknownName, match="nothing was done"):
            read(store, "carol")
