"""Sending what the key store has recorded.

The commands of a client go out in the order of their recording, QoS 2, retained, stamped when they leave. A broker
keeps one retained message for a topic: a client without a session there finds the last one.

While an ID key is pending, nobody knows which of two keys the client holds, so every command goes out under both; the
client refuses the one that it cannot read, and nothing changes for it. The one under the key that was known to work
is the retained one: a client that was not there when SetIDKey was sent still holds that key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, selectinload

import e4
from e4_tools.errors import BrokerError, ToolError
from e4_tools.keystore import KeyStore
from e4_tools.keystore.models import CURRENT, LEAVING, PENDING, ClientRow, CommandRow, GrantRow
from e4_tools.mqtt.broker import BrokerConnection, Message

_BATCH = 100  # commands between two records of what the broker has; a crash sends at most so many once more
_FAILURE_SIZE = 255
_MOMENT = 0.02  # seconds


@dataclass(frozen=True)
class Waiting:
    """A command that waits, with all that is needed to send it. Its secrets are still encrypted."""

    seq: int
    client_id: str
    client: str
    receiving_topic: str
    opcode: int
    topic_hash: str | None
    sealed: bytes
    place: tuple[str, ...]


@dataclass
class Outcome:
    """What became of a delivery: the number of commands the broker has, and clients (names) with why not."""

    sent: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class Delivery:
    """Sends the unsent commands of some clients, or of all. `progress` is called with the number settled, of how many.

    Whoever calls holds the store's `sending` lock.
    """

    def __init__(self, store: KeyStore, broker: BrokerConnection) -> None:
        self._store = store
        self._broker = broker
        self._outcome = Outcome()
        self._keys: dict[str, list[tuple[bytes, bool]]] = {}  # client ID: its ID keys, whether to retain
        self._parts: dict[int, int] = {}  # seq: messages of it that are not settled
        self._done: list[Waiting] = []
        self._protected: set[bytes] = set()

    def send(
        self, client_ids: Collection[str] | None = None, progress: Callable[[int, int], None] = lambda done, of: None
    ) -> Outcome:
        """Send, and record what the broker has. Raises BrokerError, KeyStoreError: what is unsent stays recorded."""
        waiting = self._load(client_ids)
        settled = 0

        def settle(command: Waiting, failure: str | None) -> None:
            nonlocal settled
            settled += self._settled(command, failure)
            progress(settled, len(waiting))

        try:
            self._broker.publish_all(self._messages(waiting), settle)
        except BrokerError as error:
            left = len(waiting) - self._outcome.sent
            raise BrokerError(
                f"{error}; {self._outcome.sent} commands were sent, {left} wait in the key store for e4 sync"
            ) from None
        finally:
            self._record()
        return self._outcome

    @property
    def sent(self) -> int:
        """How many commands the broker has confirmed so far."""
        return self._outcome.sent

    def _load(self, client_ids: Collection[str] | None) -> list[Waiting]:
        wanted = None if client_ids is None else set(client_ids)
        with self._store.transaction() as session:
            rows = session.scalars(
                select(CommandRow)
                .order_by(CommandRow.seq)
                .options(selectinload(CommandRow.client).selectinload(ClientRow.keys))
            ).all()
            rows = [row for row in rows if wanted is None or row.client_id in wanted]
            for client in {row.client_id: row.client for row in rows}.values():
                self._open_keys(client)
            return [_waiting(row) for row in rows]

    def _open_keys(self, client: ClientRow) -> None:
        """Open the ID keys to send under: the one known to work first, as a client that holds both takes it quietly."""
        keys = []
        try:
            for state in (CURRENT, PENDING):
                key = client.key(state)
                if key is not None:
                    keys.append((self._store.vault.open(key.key, *key.place), state == CURRENT))
        except ToolError as error:
            self._outcome.failures[client.name] = str(error)
        self._keys[client.id] = keys

    def _messages(self, waiting: list[Waiting]) -> Iterator[tuple[Waiting, Message]]:
        for command in waiting:
            if command.client in self._outcome.failures:  # what follows must not overtake what failed
                continue
            try:
                plain = self._store.vault.open(command.sealed, *command.place)
                keys = self._keys[command.client_id]
                if command.opcode == e4.commands.SET_ID_KEY:
                    keys = [(key, retain) for key, retain in keys if retain]  # whoever holds the new key has it
                payloads = [(self._protect(plain, key), retain) for key, retain in keys]
            except (ToolError, e4.E4Error) as error:
                self._outcome.failures[command.client] = str(error)
                continue
            self._parts[command.seq] = len(payloads)
            for payload, retain in payloads:
                yield command, Message(command.receiving_topic, payload, retain)

    def _protect(self, plain: bytes, key: bytes) -> bytes:
        """Protect a command so that it is like none sent before: an equal one would be taken for a copy."""
        while (payload := e4.protect(plain, key, int(time.time()))) in self._protected:
            time.sleep(_MOMENT)
        self._protected.add(payload)
        return payload

    def _settled(self, command: Waiting, failure: str | None) -> int:
        """Note what became of one message; return 1 if its command needs no further one."""
        if failure:
            self._outcome.failures[command.client] = failure
        self._parts[command.seq] -= 1
        if self._parts[command.seq]:
            return 0
        if command.client not in self._outcome.failures:
            self._outcome.sent += 1
            self._done.append(command)
            if len(self._done) >= _BATCH:
                self._record()
        return 1

    def _record(self) -> None:
        """Record what the broker has, and what failed."""
        now = int(time.time())
        with self._store.transaction() as session:
            for command in self._done:
                session.execute(delete(CommandRow).where(CommandRow.seq == command.seq))
                if command.opcode == e4.commands.SET_TOPIC_KEY:
                    mine = (GrantRow.client_id == command.client_id, GrantRow.topic_hash == command.topic_hash)
                    session.execute(update(GrantRow).where(*mine).values(sent_at=now))
            for name, failure in self._outcome.failures.items():
                failed = select(ClientRow.id).where(ClientRow.name == name).scalar_subquery()
                reason = failure[:_FAILURE_SIZE]
                session.execute(update(CommandRow).where(CommandRow.client_id == failed).values(failure=reason))
            _forget_departed(session)
        self._done.clear()


def _waiting(row: CommandRow) -> Waiting:
    client = row.client
    return Waiting(
        row.seq, client.id, client.name, client.receiving_topic, row.opcode, row.topic_hash, row.command, row.place
    )


def _forget_departed(session: Session) -> None:
    """Delete removed clients to which nothing is left to send."""
    for client in session.scalars(select(ClientRow).where(ClientRow.state == LEAVING)):
        left = select(func.count()).select_from(CommandRow).where(CommandRow.client_id == client.id)
        if not session.scalar(left):
            session.delete(client)
