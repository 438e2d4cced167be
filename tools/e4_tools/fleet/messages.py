"""The host as an E4 client: it protects and unprotects messages with the topic keys of its key store."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

import e4
from e4 import protection
from e4.client import receive
from e4.recent_messages import RecentMessages
from e4_tools.errors import UnknownName
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_topic
from e4_tools.keystore.models import TopicRow
from e4_tools.mqtt.topics import check_publishable

_REMEMBERED = 1024  # messages of which a copy is refused


# The cipher of a topic's current key, its previous key, and when that was replaced (Unix seconds), as `receive` wants
# them. Such a tuple must never be printed, because it holds secrets.
_TopicKeys = tuple[e4.siv.SIV, bytes | None, int]


class TopicReader:
    """Unprotects what arrives on some topics, or on all topics that the key store has when the reader is made.

    The attribute `topics` has their names.

    Raises UnknownName for a topic that the store does not have, or if it has none at all, and KeyStoreError.
    """

    def __init__(self, store: KeyStore, topics: tuple[str, ...] = ()) -> None:
        self._store = store
        self._accepted = RecentMessages(_REMEMBERED)
        with store.transaction() as session:
            self.topics = list(topics or session.scalars(select(TopicRow.name).order_by(TopicRow.name)))
            for name in self.topics:
                find_topic(session, name)
        if not self.topics:
            raise UnknownName("the key store has no topics; e4 topic add makes one")

    def unprotect(self, payload: bytes, topic: str) -> bytes:
        """Return the message in a payload that arrived on a topic.

        Raises E4Error if the payload cannot be accepted, as `e4.Client.unprotect` does; UnknownName if the topic is
        none of `topics`, or has been removed meanwhile; KeyStoreError.
        """
        if topic not in self.topics:
            raise UnknownName("this topic is not one of those that are read")
        # The keys are read for every message. Another `e4` may have replaced them, and a revoked client could otherwise
        # write to us under the key that we hold.
        with self._store.transaction() as session:
            keys = self._load_keys(session, topic)
        limits = protection.MAX_AGE, protection.FUTURE_TOLERANCE
        return receive(payload, self._store.now(), self._accepted, keys, *limits)

    def _load_keys(self, session: Session, name: str) -> _TopicKeys:
        topic, vault = find_topic(session, name), self._store.vault
        previous = vault.open(topic.previous_key, *topic.place("previous_key")) if topic.previous_key else None
        return e4.siv.SIV(vault.open(topic.key, *topic.place("key"))), previous, topic.rotated_at or 0


def protect_for_topic(store: KeyStore, message: bytes, topic: str) -> bytes:
    """Return `message` protected with the key of a topic. Raises ToolError, E4Error."""
    check_publishable(topic)
    with store.transaction() as session:
        found = find_topic(session, topic)
        key = store.vault.open(found.key, *found.place("key"))
    return e4.protect(message, key, store.now())


def wait_for_next_second(payload: bytes) -> None:
    """Wait until no later message can get the same timestamp as this protected one.

    Two equal messages that are protected in the same second are equal, and receivers take the second one for a copy. A
    process that sends one message and ends cannot tell the next process what it has sent, so it waits instead.
    """
    timestamp = int.from_bytes(payload[:8], "little")
    time.sleep(max(0.0, min(1.0, timestamp + 1 - time.time())))
