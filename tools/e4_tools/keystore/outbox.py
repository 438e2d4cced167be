"""Commands that are recorded before they are sent."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

import e4
from e4_tools.keystore.models import ClientRow, CommandRow
from e4_tools.keystore.vault import Vault


class Outbox:
    """The table of commands that the broker has not confirmed. All methods are part of the caller's transaction."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def queue(self, session: Session, client: ClientRow, command: bytes) -> None:
        """Record a command, in place of unsent ones that it makes pointless."""
        opcode, _, hashed = e4.commands.parse(command)
        topic_hash = hashed.hex() if hashed is not None else None
        if opcode == e4.commands.RESET_TOPICS:
            mine = CommandRow.client_id == client.id
            session.execute(delete(CommandRow).where(mine, CommandRow.opcode != e4.commands.SET_ID_KEY))
        elif opcode == e4.commands.SET_ID_KEY:
            session.execute(delete(CommandRow).where(CommandRow.client_id == client.id, CommandRow.opcode == opcode))
        elif topic_hash is not None:
            self.drop(session, topic_hash, [client.id])
        self.add(session, client.id, command, topic_hash)

    @staticmethod
    def drop(session: Session, topic_hash: str, client_ids: list[str]) -> None:
        """Delete unsent commands about a topic: a newer one follows."""
        waiting = select(CommandRow.seq, CommandRow.client_id).where(CommandRow.topic_hash == topic_hash)
        wanted = set(client_ids)
        for seq, client_id in session.execute(waiting).all():
            if client_id in wanted:
                session.execute(delete(CommandRow).where(CommandRow.seq == seq))

    def add(self, session: Session, client_id: str, command: bytes, topic_hash: str | None) -> None:
        row = CommandRow(
            uid=secrets.token_hex(16),
            client_id=client_id,
            opcode=command[0],
            topic_hash=topic_hash,
            queued_at=int(time.time()),
        )
        row.command = self._vault.seal(command, *row.place)
        session.add(row)
