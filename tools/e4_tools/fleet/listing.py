"""What the key store knows about clients, topics and itself, as plain values that a command can show.

Every function reads in one transaction and changes nothing. Only `read_id_keys` needs a store that is unlocked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_client, find_topic
from e4_tools.keystore.models import CURRENT, PENDING, PREVIOUS, ClientRow, CommandRow, GrantRow, StoreRow, TopicRow

_ORDER_OF_STATES = (CURRENT, PENDING, PREVIOUS)


@dataclass(frozen=True)
class UnsentCommand:
    """A command that the broker has not confirmed."""

    opcode: int  # as in e4.commands
    queued_at: int  # Unix seconds
    failure: str | None  # why the last attempt to send it failed; None if there was none


@dataclass(frozen=True)
class ClientSummary:
    """A client, without its keys."""

    name: str
    id: str  # 32 hexadecimal digits
    receiving_topic: str
    mode: str
    state: str  # MEMBER or LEAVING, see keystore.models
    topics: list[str]  # the names of the topics that it has been granted, in alphabetical order
    topics_not_sent: list[str]  # those of them whose current key the broker has not confirmed for this client
    pending: bool  # whether it has a new ID key that nobody has confirmed yet
    unsent: list[UnsentCommand]  # in the order in which they will be sent


@dataclass(frozen=True)
class IdKey:
    """An ID key of a client, decrypted."""

    uid: str  # names the key within the store
    state: str  # CURRENT, PENDING or PREVIOUS, see keystore.models
    since: int  # Unix seconds since when it has been in this state
    key: bytes = field(repr=False)  # 32 bytes; kept out of the representation, which may end in a log


@dataclass(frozen=True)
class TopicSummary:
    """A topic, without its key, and how many clients it has."""

    name: str
    rotated_at: int | None  # Unix seconds of the last rotation of its key; None if there was none
    clients: int
    sent: int  # for how many of the clients the broker has confirmed the current key


@dataclass(frozen=True)
class TopicGrant:
    """A client that has been granted a topic."""

    client: str  # the client's name
    sent_at: int | None  # Unix seconds when the broker confirmed the current key for it; None if it has not


@dataclass(frozen=True)
class TopicDetails:
    """A topic, without its key, and each client that it has been granted to."""

    name: str
    hash: str  # 32 hexadecimal digits
    rotated_at: int | None
    grants: list[TopicGrant]  # in alphabetical order of the clients


@dataclass(frozen=True)
class StoreSummary:
    """How much is in a key store, and what opens it."""

    clients: int
    topics: int
    unsent: int  # commands
    opened_by: str  # PASSPHRASE or KEY_FILE, see keystore.vault


def list_clients(store: KeyStore) -> list[ClientSummary]:
    """Return all clients in alphabetical order. Raises KeyStoreError."""
    with store.transaction() as session:
        unsent = _unsent_commands(session)
        rows = session.scalars(select(ClientRow).order_by(ClientRow.name))
        return [_summarize(row, unsent[row.id]) for row in rows]


def read_client(store: KeyStore, name: str) -> ClientSummary:
    """Return one client. Raises UnknownName, KeyStoreError."""
    with store.transaction() as session:
        row = find_client(session, name)
        return _summarize(row, _unsent_commands(session, row.id)[row.id])


def read_id_keys(store: KeyStore, name: str) -> list[IdKey]:
    """Return the ID keys of a client: the current one, the pending one if there is one, then the newest previous one.

    Raises UnknownName, KeyStoreError.
    """
    with store.transaction() as session:
        rows = sorted(find_client(session, name).keys, key=lambda row: (_ORDER_OF_STATES.index(row.state), -row.since))
        return [IdKey(row.uid, row.state, row.since, store.vault.open(row.key, *row.place)) for row in rows]


def list_topics(store: KeyStore) -> list[TopicSummary]:
    """Return all topics in alphabetical order. Raises KeyStoreError."""
    with store.transaction() as session:
        counts = select(GrantRow.topic_hash, func.count(), func.count(GrantRow.sent_at)).group_by(GrantRow.topic_hash)
        counted = {topic_hash: (clients, sent) for topic_hash, clients, sent in session.execute(counts)}
        rows = session.scalars(select(TopicRow).order_by(TopicRow.name))
        return [TopicSummary(row.name, row.rotated_at, *counted.get(row.hash, (0, 0))) for row in rows]


def read_topic(store: KeyStore, name: str) -> TopicDetails:
    """Return one topic. Raises UnknownName, KeyStoreError."""
    with store.transaction() as session:
        row = find_topic(session, name)
        grants = [TopicGrant(grant.client.name, grant.sent_at) for grant in row.grants]
        return TopicDetails(row.name, row.hash, row.rotated_at, sorted(grants, key=lambda grant: grant.client))


def summarize_store(store: KeyStore) -> StoreSummary:
    """Return how much is in the store, and what opens it. Raises KeyStoreError."""
    with store.transaction() as session:
        clients, topics, unsent = (
            session.scalar(select(func.count()).select_from(table)) or 0 for table in (ClientRow, TopicRow, CommandRow)
        )
        return StoreSummary(clients, topics, unsent, session.scalars(select(StoreRow.lock_kind)).one())


def _unsent_commands(session: Session, client_id: str | None = None) -> defaultdict[str, list[UnsentCommand]]:
    """Return the unsent commands of one client, or of all, by the ID of their client."""
    columns = (CommandRow.client_id, CommandRow.opcode, CommandRow.queued_at, CommandRow.failure)
    query = select(*columns).order_by(CommandRow.seq)
    if client_id is not None:
        query = query.where(CommandRow.client_id == client_id)
    found: defaultdict[str, list[UnsentCommand]] = defaultdict(list)
    for owner, opcode, queued_at, failure in session.execute(query):
        found[owner].append(UnsentCommand(opcode, queued_at, failure))
    return found


def _summarize(row: ClientRow, unsent: list[UnsentCommand]) -> ClientSummary:
    return ClientSummary(
        name=row.name,
        id=row.id,
        receiving_topic=row.receiving_topic,
        mode=row.mode,
        state=row.state,
        topics=sorted(grant.topic.name for grant in row.grants),
        topics_not_sent=sorted(grant.topic.name for grant in row.grants if grant.sent_at is None),
        pending=row.key(PENDING) is not None,
        unsent=unsent,
    )
