"""Changing the ID keys of clients so that no failure leaves a client that nobody can reach.

SetIDKey takes effect in the client at once, and no answer says that it arrived. So the new key is recorded as pending
before it is sent, and the old key stays in the key store until somebody knows that the client holds the new one.

For the same reason the client keeps its old key too, and obeys commands under it, until a command arrives under the new
key. So a command is sent as soon as the new key is confirmed, and the old key opens nothing once that has arrived.
"""

from __future__ import annotations

import secrets

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

import e4
from e4_tools.errors import ToolError
from e4_tools.keys.symmetric import new_key
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_client
from e4_tools.keystore.models import CURRENT, PENDING, PREVIOUS, ClientRow, CommandRow, IdKeyRow
from e4_tools.keystore.outbox import Outbox


class Rekeying:
    """The operations on ID keys.

    Each operation is one transaction. All raise UnknownName and KeyStoreError; then nothing has changed. Those that
    record commands raise ToolError if the clock of this machine is too far behind the last command of the client.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def rekey(self, name: str) -> list[str]:
        """Record a new ID key for a client, pending until `confirm`, and the command SetIDKey that brings it.

        If the client has a pending key already, that key is sent again. Return the ID of the client, in a list.
        """
        vault = self._store.vault
        with self._store.transaction() as session:
            client = find_client(session, name)
            pending = client.key(PENDING)
            if pending is None:
                key = new_key()
                add_id_key(session, self._store, client, PENDING, key)
            else:
                key = vault.open(pending.key, *pending.place)
            Outbox(self._store).queue(session, client, e4.commands.set_id_key(key))
            return [client.id]

    def renew(self, name: str) -> None:
        """Give a client another ID key, which a board will get over its serial port. The old key is kept as previous.

        A pending key is dropped, whether it was sent or not: the board that will get the new key never had it.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            self._make_previous(client, client.key(CURRENT))
            pending = client.key(PENDING)
            if pending is not None:
                client.keys.remove(pending)
            session.execute(delete(CommandRow).where(*_set_id_key_for(client)))
            session.flush()
            add_id_key(session, self._store, client, CURRENT, new_key())

    def confirm(self, name: str) -> list[str]:
        """Make the pending ID key the current one, on the operator's word. The old key is kept as previous.

        At least one command is recorded, which makes the client forget the old key. Return the ID of the client, in a
        list. Raises ToolError if no key is pending, or if the pending key has never been sent.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            pending, current = client.key(PENDING), client.key(CURRENT)
            if pending is None:
                raise ToolError(f"{name} has no ID key that waits to be confirmed; nothing was done")
            if session.scalar(select(func.count()).select_from(CommandRow).where(*_set_id_key_for(client))):
                raise ToolError(
                    f"the new ID key of {name} has not been sent; nothing was done. e4 client rekey sends it"
                )
            self._queue_under_new_key(session, client, pending.since)
            self._make_previous(client, current)
            self._change_state(pending, CURRENT)
            return [client.id]

    def unconfirm(self, name: str) -> None:
        """Undo the last `confirm`: the previous key is the current one again, and the current one is pending.

        Raises ToolError if there is no `confirm` to undo.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            current, previous = client.key(CURRENT), client.key(PREVIOUS)
            if previous is None or current is None or client.key(PENDING) is not None:
                raise ToolError(f"{name} has no confirmed change of its ID key to take back; nothing was done")
            self._change_state(current, PENDING)
            self._change_state(previous, CURRENT)

    def record_proof(self, name: str, uid: str, undo: bool = False) -> str:
        """Record that the client has proved to hold the ID key `uid`. Return the state in which that key was before.

        The key is the current one then. Keys that are older are of no use any more, and are deleted. A newer key stays,
        because the command that brings it may still be on its way to the client. If the key was pending, at least one
        command is recorded, which makes the client forget its old key.

        A previous key proves nothing that could be relied on: somebody else may have it, and may be the one who proves
        it. Raises ToolError for it, and nothing has changed. With `undo`, which is the word of the operator that the
        newer keys have not reached the client, a previous key becomes the current one, and the newest key is pending.
        """
        with self._store.transaction() as session:
            client = find_client(session, name)
            held = next(key for key in client.keys if key.uid == uid)
            state_before = held.state
            current, pending = client.key(CURRENT), client.key(PENDING)
            if state_before == PREVIOUS:
                if not undo:
                    raise ToolError(
                        f"the board proves an earlier ID key of {name}, which was replaced; nothing was changed, and "
                        "commands go out under the newer key as before. If this is the board itself: e4 provision "
                        f"{name} --in-store --replace gives it the current key. If the newer key has never reached it, "
                        "and nobody else can have the earlier one: --undo counts that one again"
                    )
                if current is not None:
                    self._change_state(current, PENDING) if pending is None else self._make_previous(client, current)
            else:
                for key in list(client.keys):
                    if key is not held and key is not pending:
                        client.keys.remove(key)
            if state_before == PENDING:
                session.execute(delete(CommandRow).where(*_set_id_key_for(client)))
                self._queue_under_new_key(session, client, held.since)
            if state_before != CURRENT:
                self._change_state(held, CURRENT)
            return state_before

    def _queue_under_new_key(self, session: Session, client: ClientRow, since: int) -> None:
        """Make sure that a command goes to a client under its new ID key, which has been pending since `since`.

        The broker will retain this command. Topic keys that were sent since then may be retained now, and a client
        without a session may not have got them. So they are sent again, the last one last; a client that has them
        changes nothing. If there are none, the client gets a command without effect.
        """
        if session.scalar(select(func.count()).select_from(CommandRow).where(CommandRow.client_id == client.id)):
            return
        outbox, vault = Outbox(self._store), self._store.vault
        sent = [grant for grant in client.grants if grant.sent_at is not None and grant.sent_at >= since]
        for grant in sorted(sent, key=lambda grant: grant.sent_at or 0):
            topic_key = vault.open(grant.topic.key, *grant.topic.place("key"))
            outbox.queue(session, client, e4.commands.set_topic_key(topic_key, grant.topic.name))
        if not sent:
            outbox.queue(session, client, command_without_effect())

    def _change_state(self, key: IdKeyRow, state: str) -> None:
        key.state, key.since = state, self._store.now()

    def _make_previous(self, client: ClientRow, key: IdKeyRow | None) -> None:
        """Keep a key as the newest of the client's previous keys.

        Its `since` is later than that of every other previous key, even within one second: `ClientRow.key` takes the
        newest one, and `unconfirm` would otherwise bring the wrong key back.
        """
        if key is not None:
            before = client.key(PREVIOUS)
            key.since = max(self._store.now(), before.since + 1 if before is not None else 0)
            key.state = PREVIOUS


def add_id_key(session: Session, store: KeyStore, client: ClientRow, state: str, key: bytes) -> None:
    """Add an ID key to a client, in the transaction of the caller."""
    row = IdKeyRow(uid=secrets.token_hex(16), client_id=client.id, state=state, since=store.now())
    row.key = store.vault.seal(key, *row.place)
    session.add(row)


def command_without_effect() -> bytes:
    """Return a command that every client accepts and that changes none of its topics: it forgets one that nobody has.

    It matters only under which ID key it is sent.
    """
    return e4.commands.remove_topic(secrets.token_hex(16))


def _set_id_key_for(client: ClientRow) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that select the unsent SetIDKey of a client."""
    return CommandRow.client_id == client.id, CommandRow.opcode == e4.commands.SET_ID_KEY
