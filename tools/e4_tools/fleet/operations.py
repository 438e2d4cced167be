"""The operations on a fleet: adding and removing clients and topics, granting topics, changing their keys.

Nothing here sends. A change, and the MQTT commands that follow from it, are recorded in the key store in one
transaction, and `delivery.Delivery` sends what is recorded. If a crash comes in between, the commands stay recorded as
unsent, and the next delivery to that client sends them.

A client understands the previous key of a topic for a while (the key transition), and a client whose grant was
withdrawn may know that key. So it could still write to the others. Therefore a topic whose key such a client may know
is `exposed`, and its next rotation takes two keys, one after the other: a client that has received both holds only
keys that the former client does not know.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

import e4
from e4_tools.errors import NameTaken, UnknownName
from e4_tools.fleet.rekeying import Rekeying, add_id_key, command_without_effect
from e4_tools.keys.symmetric import new_key
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_client, find_pair, find_topic
from e4_tools.keystore.models import CURRENT, LEAVING, MEMBER, PREVIOUS, ClientRow, GrantRow, TopicRow
from e4_tools.keystore.outbox import Outbox
from e4_tools.mqtt.topics import check_publishable

SYMMETRIC = "symmetric"


class Fleet:
    """The operations on the clients and topics of a key store; `rekeying` has those on ID keys.

    Each operation takes names and is one transaction. Where commands follow from it, it returns the IDs of the clients
    that have something to be sent. All raise UnknownName, NameTaken, E4Error (for a bad name, topic or key) and
    KeyStoreError; then nothing has changed. `add_client` and `add_topic` raise ToolError too, for a topic on which MQTT
    cannot publish, and those that have something to be sent, if the clock of this machine is too far behind the last
    command of a client.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.rekeying = Rekeying(store)
        self._outbox = Outbox(store)

    def ids_of(self, names: Iterable[str]) -> list[str]:
        """Return the IDs of the clients with these names."""
        with self._store.transaction() as session:
            return [find_client(session, name).id for name in names]

    # Clients

    def add_client(self, name: str, key: bytes, receiving_topic: str | None = None) -> str:
        """Add a client that holds the ID key `key` (32 bytes). Return its ID (32 hexadecimal digits).

        `receiving_topic` is where the client gets its commands, if that is not the standard topic made from its ID.
        """
        client_id = e4.id_of(name).hex()
        topic = receiving_topic or e4.receiving_topic(bytes.fromhex(client_id))
        check_publishable(topic)
        e4.siv.check_key(key)
        with self._store.transaction() as session:
            if session.get(ClientRow, client_id) is not None:
                raise NameTaken(f"the key store has a client {name} already; nothing was done")
            now = self._store.now()
            client = ClientRow(
                id=client_id, name=name, receiving_topic=topic, mode=SYMMETRIC, state=MEMBER, added_at=now
            )
            session.add(client)
            session.flush()
            add_id_key(session, self._store, client, CURRENT, key)
        return client_id

    def remove_client(self, name: str) -> list[str]:
        """Take all topic keys from a client, and give a new key to all other clients of its topics.

        The client gets ResetTopics. It is deleted from the key store once the broker has confirmed that command.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            client.state = LEAVING
            topics = _withdraw_grants(client)
            self._outbox.queue(session, client, e4.commands.reset_topics())
            session.flush()
            return [client.id, *(stayed for topic in topics for stayed in self._rotate(session, topic))]

    def forget_client(self, name: str) -> None:
        """Delete a client, its keys and its unsent commands. Nothing is sent to it."""
        with self._store.transaction() as session:
            client = find_client(session, name)
            _withdraw_grants(client)
            session.delete(client)

    def reset_client(self, name: str) -> list[str]:
        """Have a client forget all topic keys, and withdraw its grants. The topics keep their keys."""
        with self._store.transaction() as session:
            client = find_client(session, name)
            _withdraw_grants(client)
            self._outbox.queue(session, client, e4.commands.reset_topics())
            return [client.id]

    def resend_topic_keys(self, names: Iterable[str]) -> list[str]:
        """Have the current keys of all their topics sent to these clients again.

        A client that has no topic and more than one ID key gets a command without effect, which makes it forget its
        previous ID key if it comes under the current one; see `Rekeying.confirm`.
        """
        with self._store.transaction() as session:
            clients = [find_client(session, name) for name in names]
            for client in clients:
                for grant in client.grants:
                    self._queue_key(session, grant)
                if not client.grants and client.key(PREVIOUS) is not None:
                    self._outbox.queue(session, client, command_without_effect())
            return [client.id for client in clients]

    def trust_clock(self, names: Iterable[str]) -> None:
        """Forget the timestamps of commands for these clients that are later than the clock of this machine.

        A client that has applied a command of such a time refuses all other commands until that time has come.
        """
        with self._store.transaction() as session:
            now = self._store.now()
            for client in [find_client(session, name) for name in names]:
                client.added_at = min(client.added_at, now)
                if client.stamp > now:
                    client.stamp, client.marks = now, None

    # Topics

    def add_topic(self, name: str, key: bytes | None = None) -> None:
        """Add a topic with the key `key` (32 bytes), or with a random key."""
        hashed = e4.topic_hash(name).hex()
        check_publishable(name)
        secret = e4.siv.check_key(new_key() if key is None else key)
        with self._store.transaction() as session:
            if session.get(TopicRow, hashed) is not None:
                raise NameTaken(f"the key store has a topic {name} already; nothing was done")
            topic = TopicRow(hash=hashed, name=name, added_at=self._store.now())
            topic.key = self._store.vault.seal(secret, *topic.place("key"))
            session.add(topic)

    def rotate_topic(self, name: str) -> list[str]:
        """Give a topic a new key, and have that key sent to all clients of the topic.

        If a client that has no grant any more may know the current key, these are two keys, one after the other.
        """
        with self._store.transaction() as session:
            return self._rotate(session, find_topic(session, name))

    def remove_topic(self, name: str) -> list[str]:
        """Forget a topic and its key, and have its clients forget it."""
        with self._store.transaction() as session:
            topic = find_topic(session, name)
            clients = [grant.client for grant in topic.grants]
            for client in clients:
                self._outbox.queue(session, client, e4.commands.remove_topic(name))
            session.delete(topic)
            return [client.id for client in clients]

    def grant(self, client_name: str, topic_name: str) -> list[str]:
        """Let a client have the key of a topic. If it has that grant already, the key is sent again."""
        with self._store.transaction() as session:
            client, topic = find_pair(session, client_name, topic_name)
            if client.state == LEAVING:
                raise UnknownName(f"{client_name} has been removed; nothing was done. e4 sync ends its removal")
            grant = session.get(GrantRow, (client.id, topic.hash))
            if grant is None:
                grant = GrantRow(client=client, topic=topic, granted_at=self._store.now())
                session.add(grant)
            self._queue_key(session, grant)
            return [client.id]

    def revoke(self, client_name: str, topic_name: str) -> list[str]:
        """Have a client forget a topic, and give two new keys, one after the other, to the clients that keep it.

        The new keys are what really shuts the client out: a stolen client may ignore the command RemoveTopic. Raises
        UnknownName also if the client has no grant of the topic.
        """
        with self._store.transaction() as session:
            client, topic = find_pair(session, client_name, topic_name)
            grant = session.get(GrantRow, (client.id, topic.hash))
            if grant is None:
                raise UnknownName(
                    f"{client_name} has no grant of {topic_name}; nothing was done. e4 topic rotate {topic_name} "
                    "gives those who have one a new key; e4 sync sends what waits"
                )
            topic.grants.remove(grant)
            topic.exposed = True
            self._outbox.queue(session, client, e4.commands.remove_topic(topic_name))
            session.flush()
            return [client.id, *self._rotate(session, topic)]

    # Steps of the operations

    def _rotate(self, session: Session, topic: TopicRow) -> list[str]:
        """Give a topic a new key, or two if it is exposed, and queue them for all its clients. Return their IDs.

        Of two keys the first one is queued for all clients before the second one. So each client can read the others
        while both are on their way.
        """
        vault, clients = self._store.vault, [grant.client_id for grant in topic.grants]
        for _ in range(2 if topic.exposed else 1):
            key, replaced = new_key(), vault.open(topic.key, *topic.place("key"))
            topic.previous_key = vault.seal(replaced, *topic.place("previous_key"))
            topic.key = vault.seal(key, *topic.place("key"))
            command = e4.commands.set_topic_key(key, topic.name)
            self._outbox.queue_rotation(session, clients, command, topic.hash)
        topic.rotated_at = self._store.now()
        topic.exposed = False
        for grant in topic.grants:
            grant.sent_at = None
        return clients

    def _queue_key(self, session: Session, grant: GrantRow) -> None:
        """Queue the current key of a granted topic for the client of the grant.

        A client that has missed a rotation would keep the key it holds as the previous one, and a revoked client may
        know that key. So it is made to forget the topic first, unless the topic has had one key only.
        """
        topic = grant.topic
        grant.sent_at = None
        if topic.rotated_at is not None:
            self._outbox.queue(session, grant.client, e4.commands.remove_topic(topic.name))
        key = self._store.vault.open(topic.key, *topic.place("key"))
        self._outbox.queue(session, grant.client, e4.commands.set_topic_key(key, topic.name))


def _withdraw_grants(client: ClientRow) -> list[TopicRow]:
    """Delete all grants of a client, and return their topics. Each is exposed then: the client may know its key."""
    topics = [grant.topic for grant in client.grants]
    for topic in topics:
        topic.exposed = True
    client.grants.clear()
    return topics
