"""The commands that are recorded in the key store before they are sent."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

import e4
from e4_tools.keystore.key_store import KeyStore
from e4_tools.keystore.models import ClientRow, CommandRow
from e4_tools.keystore.stamps import check_clock


class Outbox:
    """The table of commands that the broker has not confirmed. All methods work in the transaction of the caller.

    They raise ToolError if the clock of this machine is too far behind the last command of a client.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def queue(self, session: Session, client: ClientRow, command: bytes) -> None:
        """Record a command for a client, and delete unsent commands for it that the new one makes pointless."""
        check_clock(session, [client.id], self._store.now())
        opcode, _, hash_bytes = e4.commands.parse(command)
        topic_hash = hash_bytes.hex() if hash_bytes is not None else None
        pointless = delete(CommandRow).where(CommandRow.client_id == client.id)
        if opcode == e4.commands.RESET_TOPICS:
            # An unsent SetIDKey stays: the ID key has nothing to do with topics.
            session.execute(pointless.where(CommandRow.opcode != e4.commands.SET_ID_KEY))
        elif opcode == e4.commands.SET_ID_KEY:
            session.execute(pointless.where(CommandRow.opcode == opcode))
        elif opcode == e4.commands.REMOVE_TOPIC:
            session.execute(pointless.where(CommandRow.topic_hash == topic_hash))
        else:
            # An unsent RemoveTopic stays: without it the client would keep its key as the previous one.
            session.execute(pointless.where(CommandRow.topic_hash == topic_hash, CommandRow.opcode == opcode))
        self._record(session, client.id, command, topic_hash)

    def queue_rotation(self, session: Session, client_ids: Collection[str], command: bytes, topic_hash: str) -> None:
        """Record the command SetTopicKey that brings these clients the new key of a topic.

        Of the unsent commands about the topic, the last one for each client stays. It brings the key before this one,
        or makes the client forget the topic. Without it a client would keep an older key as its previous one, and a
        client that was revoked meanwhile may know that key.
        """
        # Compared here and not in SQL, because a topic may have more clients than a statement may have parameters.
        wanted = set(client_ids)
        check_clock(session, wanted, self._store.now())
        unsent = select(CommandRow.seq, CommandRow.client_id).where(CommandRow.topic_hash == topic_hash)
        last: dict[str, int] = {}
        for seq, client_id in session.execute(unsent.order_by(CommandRow.seq)).all():
            if client_id in wanted:
                if client_id in last:
                    session.execute(delete(CommandRow).where(CommandRow.seq == last[client_id]))
                last[client_id] = seq
        for client_id in client_ids:
            self._record(session, client_id, command, topic_hash)

    def _record(self, session: Session, client_id: str, command: bytes, topic_hash: str | None) -> None:
        """Record a plain command for a client, encrypted. `topic_hash` is that of the topic it is about, if any."""
        row = CommandRow(
            uid=secrets.token_hex(16),
            client_id=client_id,
            opcode=command[0],
            topic_hash=topic_hash,
            queued_at=self._store.now(),
        )
        row.command = self._store.vault.seal(command, *row.place)
        session.add(row)
