"""The commands that are recorded in the key store before they are sent."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

import e4
from e4_tools.keystore.models import ClientRow, CommandRow
from e4_tools.keystore.vault import Vault


class Outbox:
    """The table of commands that the broker has not confirmed. All methods work in the transaction of the caller."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def queue(self, session: Session, client: ClientRow, command: bytes) -> None:
        """Record a command for a client, and delete unsent commands for it that the new one makes pointless."""
        opcode, _, hash_bytes = e4.commands.parse(command)
        topic_hash = hash_bytes.hex() if hash_bytes is not None else None
        if opcode == e4.commands.RESET_TOPICS:
            # An unsent SetIDKey stays: the ID key has nothing to do with topics.
            its_own = CommandRow.client_id == client.id
            session.execute(delete(CommandRow).where(its_own, CommandRow.opcode != e4.commands.SET_ID_KEY))
        elif opcode == e4.commands.SET_ID_KEY:
            session.execute(delete(CommandRow).where(CommandRow.client_id == client.id, CommandRow.opcode == opcode))
        elif topic_hash is not None:
            self.drop(session, topic_hash, [client.id])
        self.record(session, client.id, command, topic_hash)

    @staticmethod
    def drop(session: Session, topic_hash: str, client_ids: list[str]) -> None:
        """Delete the unsent commands about a topic for these clients, because newer ones replace them."""
        unsent = select(CommandRow.seq, CommandRow.client_id).where(CommandRow.topic_hash == topic_hash)
        # Compared here and not in SQL, because a topic may have more clients than a statement may have parameters.
        wanted = set(client_ids)
        for seq, client_id in session.execute(unsent).all():
            if client_id in wanted:
                session.execute(delete(CommandRow).where(CommandRow.seq == seq))

    def record(self, session: Session, client_id: str, command: bytes, topic_hash: str | None) -> None:
        """Record a plain command for a client, encrypted. `topic_hash` is that of the topic it is about, if any."""
        row = CommandRow(
            uid=secrets.token_hex(16),
            client_id=client_id,
            opcode=command[0],
            topic_hash=topic_hash,
            queued_at=int(time.time()),
        )
        row.command = self._vault.seal(command, *row.place)
        session.add(row)
