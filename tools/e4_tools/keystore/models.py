"""The tables of a key store.

Times are Unix seconds. A column that is marked as a secret holds what `vault.Vault.seal` returned, and `place` is what
that is bound to. A new secret needs an entry in the method `secrets` of its table. A change of a table needs a
migration in `migrations/versions`, and SCHEMA is the number of the newest migration.
"""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import BigInteger, ForeignKey, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "0003"

# The states of a client.
MEMBER = "member"
LEAVING = "leaving"  # the operator has removed it, and the broker has not confirmed its last commands yet

# The states of an ID key. A client has one current key, at most one pending key, and any number of previous keys.
CURRENT = "current"  # the client is known to hold it, or is known to have held it before the pending key was sent
PENDING = "pending"  # it may have been sent, and nobody knows whether the client holds it
PREVIOUS = "previous"  # the operator has confirmed a newer key; deleted once a board proves that it holds the newer one

VALUES = "values"  # the name, in the `info` of a column, of the only values that the column can have

# An integer of 64 bits. In SQLite it is declared as Integer, which has 64 bits there: SQLite numbers the rows of a
# table by itself only if the primary key has that type.
Long = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"))]


class Table(DeclarativeBase):
    """The base of all tables."""

    def secrets(self) -> dict[str, tuple[str, ...]]:
        """Return the columns with secrets, and the place of each. A table with secrets overrides this."""
        return {}


class StoreRow(Table):
    """The only row of its table: what opens the store, see `vault.KeySlot`."""

    __tablename__ = "meta"

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[Long]
    lock_kind: Mapped[str]
    lock_salt: Mapped[bytes]
    lock_cost: Mapped[int]
    wrapped_key: Mapped[bytes]


class ClientRow(Table):
    """An E4 client whose ID key the store has."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(primary_key=True)  # the 16 bytes of its E4 ID, in hexadecimal
    name: Mapped[str] = mapped_column(unique=True)
    receiving_topic: Mapped[str]
    mode: Mapped[str]  # "symmetric"; E4's public-key mode could be told apart here
    state: Mapped[str] = mapped_column(info={VALUES: (MEMBER, LEAVING)})
    added_at: Mapped[Long]
    # The timestamp of the last command, and the marks of all commands that have it, see `stamps`. 0 and None mean that
    # no command was sent, or only by an `e4` that did not record this.
    stamp: Mapped[Long] = mapped_column(default=0)
    marks: Mapped[str | None]  # 16 hexadecimal digits for each
    keys: Mapped[list[IdKeyRow]] = relationship(cascade="all, delete-orphan", passive_deletes=True)
    grants: Mapped[list[GrantRow]] = relationship(cascade="all, delete-orphan", back_populates="client")

    def key(self, state: str) -> IdKeyRow | None:
        """Return the ID key in this state, or the newest one if there are several, or None."""
        return max((key for key in self.keys if key.state == state), key=lambda key: key.since, default=None)


class IdKeyRow(Table):
    """An ID key of a client."""

    __tablename__ = "id_keys"

    uid: Mapped[str] = mapped_column(primary_key=True)  # 16 random bytes in hexadecimal
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    state: Mapped[str] = mapped_column(info={VALUES: (CURRENT, PENDING, PREVIOUS)})
    since: Mapped[Long]  # when it came into this state
    key: Mapped[bytes]  # a secret

    @property
    def place(self) -> tuple[str, ...]:
        """The place of `key`."""
        return "id_keys", self.client_id, self.uid, "key"

    def secrets(self) -> dict[str, tuple[str, ...]]:
        """Return the columns with secrets, and their places."""
        return {"key": self.place}


class TopicRow(Table):
    """A topic and its key."""

    __tablename__ = "topics"

    hash: Mapped[str] = mapped_column(primary_key=True)  # the 16 bytes of E4's topic hash, in hexadecimal
    name: Mapped[str] = mapped_column(unique=True)
    added_at: Mapped[Long]
    rotated_at: Mapped[Long | None]
    key: Mapped[bytes]  # a secret
    previous_key: Mapped[bytes | None]  # a secret: the key that `key` replaced
    # Whether a client that has no grant of the topic any more may know `key`. A rotation then takes two keys.
    exposed: Mapped[bool] = mapped_column(default=False)
    grants: Mapped[list[GrantRow]] = relationship(cascade="all, delete-orphan", back_populates="topic")

    def place(self, column: str) -> tuple[str, ...]:
        """Return the place of the secret in `column`, which is "key" or "previous_key"."""
        return "topics", self.hash, column

    def secrets(self) -> dict[str, tuple[str, ...]]:
        """Return the columns with secrets, and their places."""
        return {column: self.place(column) for column in ("key", "previous_key")}


class GrantRow(Table):
    """The permission of a client to hold the key of a topic."""

    __tablename__ = "grants"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), primary_key=True)
    topic_hash: Mapped[str] = mapped_column(ForeignKey("topics.hash", ondelete="CASCADE"), primary_key=True)
    granted_at: Mapped[Long]
    sent_at: Mapped[Long | None]  # when the broker confirmed the current key for this client; None: not yet
    client: Mapped[ClientRow] = relationship(back_populates="grants")
    topic: Mapped[TopicRow] = relationship(back_populates="grants")


class CommandRow(Table):
    """A command that the broker has not confirmed. Commands are sent in the order of `seq`."""

    __tablename__ = "outbox"
    __table_args__ = ({"sqlite_autoincrement": True},)

    seq: Mapped[Long] = mapped_column(primary_key=True, autoincrement=True)
    uid: Mapped[str]  # 16 random bytes in hexadecimal
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.id", ondelete="CASCADE"), index=True)
    opcode: Mapped[int]  # as in e4.commands
    topic_hash: Mapped[str | None]  # of the topic that the command is about, if there is one
    queued_at: Mapped[Long]
    failure: Mapped[str | None]  # why the last attempt failed
    command: Mapped[bytes]  # a secret: the plain command
    client: Mapped[ClientRow] = relationship()

    @property
    def place(self) -> tuple[str, ...]:
        """The place of `command`."""
        return "outbox", self.client_id, self.uid, "command"

    def secrets(self) -> dict[str, tuple[str, ...]]:
        """Return the columns with secrets, and their places."""
        return {"command": self.place}
