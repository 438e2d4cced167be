"""The tables of a key store. Times are Unix seconds; columns of secrets hold what `vault.Vault.seal` returned.

A change here needs a migration in `migrations/versions`, and its number in SCHEMA.
"""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "0002"  # the newest of migrations/versions

# States of a client
MEMBER = "member"
LEAVING = "leaving"  # removed, but not all of its last commands are with the broker yet

# States of an ID key; a client has one current key, at most one pending one, and any number of previous ones
CURRENT = "current"  # the one that the client is known to hold, or held before the pending one was sent
PENDING = "pending"  # sent, perhaps; not known to work
PREVIOUS = "previous"  # replaced by one that the operator confirmed; deleted once a board proves the newer one


Long = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"))]


class Table(DeclarativeBase):
    """The base of all tables."""


class StoreRow(Table):
    """One row: the lock of the store, see `vault.Lock`."""

    __tablename__ = "meta"

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[Long]
    lock_kind: Mapped[str]
    lock_salt: Mapped[bytes]
    lock_cost: Mapped[int]
    wrapped_key: Mapped[bytes]


class ClientRow(Table):
    """An E4 client whose ID key is known here."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(primary_key=True)  # E4's 16-byte ID in hexadecimal
    name: Mapped[str] = mapped_column(unique=True)
    receiving_topic: Mapped[str]
    mode: Mapped[str]  # "symmetric"; room for the public-key mode
    state: Mapped[str]
    added_at: Mapped[Long]
    keys: Mapped[list[IdKeyRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    grants: Mapped[list[GrantRow]] = relationship(cascade="all, delete-orphan", back_populates="client")

    def key(self, state: str) -> IdKeyRow | None:
        """Return the ID key in this state, the newest if there are several."""
        return max((key for key in self.keys if key.state == state), key=lambda key: key.since, default=None)


class IdKeyRow(Table):
    """An ID key of a client."""

    __tablename__ = "id_keys"

    uid: Mapped[str] = mapped_column(primary_key=True)  # random
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    state: Mapped[str]
    since: Mapped[Long]
    key: Mapped[bytes]  # a secret

    @property
    def place(self) -> tuple[str, ...]:
        return "id_keys", self.client_id, self.uid, "key"


class TopicRow(Table):
    """A topic and its key."""

    __tablename__ = "topics"

    hash: Mapped[str] = mapped_column(primary_key=True)  # E4's 16-byte topic hash in hexadecimal
    name: Mapped[str] = mapped_column(unique=True)
    added_at: Mapped[Long]
    rotated_at: Mapped[Long | None]
    key: Mapped[bytes]  # a secret
    previous_key: Mapped[bytes | None]  # a secret: what `key` replaced
    grants: Mapped[list[GrantRow]] = relationship(cascade="all, delete-orphan", back_populates="topic")

    def place(self, column: str) -> tuple[str, ...]:
        return "topics", self.hash, column


class GrantRow(Table):
    """A client may hold the key of a topic."""

    __tablename__ = "grants"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True)
    topic_hash: Mapped[str] = mapped_column(ForeignKey("topics.hash", ondelete="CASCADE"), primary_key=True)
    granted_at: Mapped[Long]
    sent_at: Mapped[Long | None]  # when the broker took the topic's current key for this client
    client: Mapped[ClientRow] = relationship(back_populates="grants")
    topic: Mapped[TopicRow] = relationship(back_populates="grants")


class CommandRow(Table):
    """A command that the broker has not confirmed. The order of `seq` is the order of sending."""

    __tablename__ = "outbox"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[Long] = mapped_column(primary_key=True, autoincrement=True)
    uid: Mapped[str]  # random
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    opcode: Mapped[int]  # as in e4.commands
    topic_hash: Mapped[str | None]
    queued_at: Mapped[Long]
    failure: Mapped[str | None]  # why the last attempt failed
    command: Mapped[bytes]  # a secret: the plain command
    client: Mapped[ClientRow] = relationship()

    @property
    def place(self) -> tuple[str, ...]:
        return "outbox", self.client_id, self.uid, "command"
