"""The host as an E4 client: it protects and unprotects messages with the topic keys of its key store."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

import e4
from e4.client import KEY_TRANSITION
from e4.copies import Copies
from e4_tools.errors import UnknownName
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_topic
from e4_tools.keystore.models import TopicRow
from e4_tools.mqtt.topics import check_publishable

_REMEMBERED = 1024  # messages of which a copy is refused


@dataclass(frozen=True)
class _Keys:
    current: bytes
    previous: bytes | None
    rotated_at: int


class TopicReader:
    """Unprotects what arrives on some topics, or on all that the store has when it is made.

    Keys are read anew when a message does not verify: another process may have rotated them. Raises UnknownName,
    KeyStoreError.
    """

    def __init__(self, store: KeyStore, topics: tuple[str, ...] = ()) -> None:
        self._store = store
        self._accepted = Copies(_REMEMBERED)
        with store.transaction() as session:
            names = topics or tuple(session.scalars(select(TopicRow.name).order_by(TopicRow.name)))
            self._keys = {name: self._load(session, name) for name in names}
        if not names:
            raise UnknownName("the key store has no topics; e4 topic add makes one")

    @property
    def topics(self) -> list[str]:
        return list(self._keys)

    def _load(self, session: Session, name: str) -> _Keys:
        topic, vault = find_topic(session, name), self._store.vault
        before = vault.open(topic.previous_key, *topic.place("previous_key")) if topic.previous_key else None
        return _Keys(vault.open(topic.key, *topic.place("key")), before, topic.rotated_at or 0)

    def unprotect(self, payload: bytes, topic: str) -> bytes:
        """Return the message. Raises E4Error; UnknownName if the topic has been removed; KeyStoreError."""
        message = self._unprotect(payload, topic)
        self._accepted.check(payload, int(time.time()))
        self._accepted.add(payload)
        return message

    def _unprotect(self, payload: bytes, topic: str) -> bytes:
        try:
            return _unprotect(payload, self._keys[topic])
        except e4.NotAuthentic:
            with self._store.transaction() as session:
                found = self._load(session, topic)
            if found == self._keys[topic]:
                raise
        self._keys[topic] = found
        return _unprotect(payload, found)


def _unprotect(payload: bytes, keys: _Keys) -> bytes:
    now = int(time.time())
    try:
        return e4.unprotect(payload, keys.current, now)
    except e4.NotAuthentic:
        if keys.previous is None or now - keys.rotated_at > KEY_TRANSITION:
            raise
    return e4.unprotect(payload, keys.previous, now)


def protect(store: KeyStore, message: bytes, topic: str) -> bytes:
    """Return `message` protected for a topic. Raises ToolError, E4Error."""
    check_publishable(topic)
    with store.transaction() as session:
        found = find_topic(session, topic)
        key = store.vault.open(found.key, *found.place("key"))
    return e4.protect(message, key, int(time.time()))


def outlive_its_second(payload: bytes) -> None:
    """Wait until no later message can bear the same timestamp.

    Two equal messages of one second are equal when protected, and receivers take the second one for a copy. A program
    that sends one message cannot remember it for the next.
    """
    stamp = int.from_bytes(payload[:8], "little")
    time.sleep(max(0.0, min(1.0, stamp + 1 - time.time())))
