"""Changing ID keys so that no failure leaves a client that nobody can reach.

SetIDKey takes effect at once, and nothing tells that it did. So the new key is recorded as pending before anything is
sent, and neither key is lost until the new one is known to work.
"""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

import e4
from e4_tools.errors import ToolError
from e4_tools.keys.symmetric import new_key
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_client
from e4_tools.keystore.models import CURRENT, PENDING, PREVIOUS, ClientRow, CommandRow, IdKeyRow
from e4_tools.keystore.outbox import Outbox
from e4_tools.keystore.vault import Vault


class Rekeying:
    """The operations. Each is one transaction, and raises UnknownName and KeyStoreError; then nothing has changed."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def rekey(self, name: str) -> list[str]:
        """Give a client a new ID key, pending until `confirm`; while one is pending, send that one again."""
        vault = self._store.vault
        with self._store.transaction() as session:
            client = find_client(session, name)
            pending = client.key(PENDING)
            if pending is None:
                key = new_key()
                add_id_key(session, vault, client, PENDING, key)
            else:
                key = vault.open(pending.key, *pending.place)
            Outbox(vault).queue(session, client, e4.commands.set_id_key(key))
            return [client.id]

    def renew(self, name: str) -> None:
        """Give a client another ID key that it is to get over its serial port; the one before is kept as previous.

        A pending key is dropped, sent or not: the board that is to get this one has not heard of it.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            _retire(client, client.key(CURRENT))
            pending = client.key(PENDING)
            if pending is not None:
                client.keys.remove(pending)
            mine = (CommandRow.client_id == client.id, CommandRow.opcode == e4.commands.SET_ID_KEY)
            session.execute(delete(CommandRow).where(*mine))
            session.flush()
            add_id_key(session, self._store.vault, client, CURRENT, new_key())

    def confirm(self, name: str) -> None:
        """Have the pending ID key be the one, on the operator's word; the one before it is kept as previous.

        Raises ToolError if none is pending, or if it has never been sent.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            pending, current = client.key(PENDING), client.key(CURRENT)
            if pending is None:
                raise ToolError(f"{name} has no ID key that waits to be confirmed; nothing was done")
            mine = (CommandRow.client_id == client.id, CommandRow.opcode == e4.commands.SET_ID_KEY)
            if session.scalar(select(func.count()).select_from(CommandRow).where(*mine)):
                raise ToolError(
                    f"the new ID key of {name} has not been sent; nothing was done. e4 client rekey sends it"
                )
            _retire(client, current)
            _change_state(pending, CURRENT)

    def unconfirm(self, name: str) -> None:
        """Take the last `confirm` back: the previous key is the current one again, and the other pending."""
        with self._store.transaction() as session:
            client = find_client(session, name)
            current, previous = client.key(CURRENT), client.key(PREVIOUS)
            if previous is None or current is None or client.key(PENDING) is not None:
                raise ToolError(f"{name} has no confirmed change of its ID key to take back; nothing was done")
            _change_state(current, PENDING)
            _change_state(previous, CURRENT)

    def record_proof(self, name: str, uid: str) -> str:
        """Record that the client has proved to hold one of its ID keys; return the state that the key was in.

        Older keys are then of no use and deleted. Newer ones stay: the client may be about to learn them.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            held = next(key for key in client.keys if key.uid == uid)
            was = held.state
            current, pending = client.key(CURRENT), client.key(PENDING)
            if was == PREVIOUS and current is not None:
                _change_state(current, PENDING) if pending is None else _retire(client, current)
            else:
                for key in list(client.keys):
                    if key is not held and key is not pending:
                        client.keys.remove(key)
            if was == PENDING:
                mine = (CommandRow.client_id == client.id, CommandRow.opcode == e4.commands.SET_ID_KEY)
                session.execute(delete(CommandRow).where(*mine))
            held.state = CURRENT
            return was


def add_id_key(session: Session, vault: Vault, client: ClientRow, state: str, key: bytes) -> None:
    """Add an ID key to a client, in the caller's transaction."""
    row = IdKeyRow(uid=secrets.token_hex(16), client_id=client.id, state=state, since=_now())
    row.key = vault.seal(key, *row.place)
    session.add(row)


def _now() -> int:
    return int(time.time())


def _change_state(key: IdKeyRow, state: str) -> None:
    key.state, key.since = state, _now()


def _retire(client: ClientRow, key: IdKeyRow | None) -> None:
    """Keep a key as the newest of the previous ones."""
    if key is not None:
        before = client.key(PREVIOUS)
        key.since = max(_now(), before.since + 1 if before is not None else 0)
        key.state = PREVIOUS
