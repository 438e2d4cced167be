"""Sending the commands that the key store has recorded.

The commands of a client are sent in the order in which they were recorded, with QoS 2 and retained. Each gets the
timestamp of the moment when it is sent, or that of the client's last command if that is later. A broker keeps one
retained message for each topic, so a client that has no session at the broker finds only the last command there.

While a client's new ID key is pending, nobody knows whether the client holds the old key or the new one. Every command
is therefore sent twice, once under each key. The client refuses the message that it cannot decrypt, and its state does
not change. Only the message under the old key, which is known to work, is retained: a client that was offline when
SetIDKey was sent still holds the old key, and finds a command there that it can read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.orm import Session, selectinload

import e4
from e4_tools.errors import BrokerError, ToolError
from e4_tools.keystore import KeyStore
from e4_tools.keystore.models import CURRENT, LEAVING, PENDING, ClientRow, CommandRow, GrantRow
from e4_tools.keystore.stamps import CommandStamps
from e4_tools.mqtt.broker import BrokerConnection, Message

# So many commands are protected at once, and after so many confirmed ones the key store records that they were sent. If
# the process is killed, at most so many commands are sent a second time.
_BATCH_SIZE = 100
_FAILURE_SIZE = 255  # characters, the width of the column `failure`

# The statements that record confirmed commands, each for many commands at once.
_STRIKE_OUT = delete(CommandRow).where(CommandRow.seq == bindparam("its_seq"))
# A rotation may take two keys, and then the first one is not the topic's current key.
_MARK_AS_SENT = (
    update(GrantRow)
    .where(GrantRow.client_id == bindparam("its_client"), GrantRow.topic_hash == bindparam("its_topic"))
    .where(~exists().where(CommandRow.client_id == GrantRow.client_id, CommandRow.topic_hash == GrantRow.topic_hash))
    .values(sent_at=bindparam("sent_at"))
)


@dataclass(frozen=True)
class CommandToSend:
    """A recorded command, with all that is needed to send it. The command itself is still encrypted."""

    seq: int
    client_id: str
    client_name: str
    receiving_topic: str
    opcode: int
    topic_hash: str | None
    sealed: bytes
    place: tuple[str, ...]  # what `sealed` is bound to, see vault.Vault.seal


@dataclass
class Outcome:
    """The outcome of a delivery."""

    sent: int = 0  # commands that the broker has confirmed
    failures: dict[str, str] = field(default_factory=dict)  # why a client was not reached, by the name of the client


@dataclass(frozen=True)
class _SendingKey:
    """An ID key under which the commands of a client are sent."""

    key: bytes = field(repr=False)
    retain: bool  # whether the broker keeps what is sent under this key


class Delivery:
    """One delivery of unsent commands to a broker. The caller holds the store's sending lock."""

    def __init__(self, store: KeyStore, broker: BrokerConnection) -> None:
        self._store = store
        self._broker = broker
        self._outcome = Outcome()
        # The ID keys of each client, and what stamps its commands, by client ID. Filled by `_load`.
        self._keys: dict[str, list[_SendingKey]] = {}
        self._stamps: dict[str, CommandStamps] = {}
        # How many messages of each command the broker has still to confirm, by `seq`. A command has two messages while
        # an ID key is pending.
        self._messages_left: dict[int, int] = {}
        # Commands that the broker has confirmed and the key store has not recorded yet.
        self._confirmed: list[CommandToSend] = []

    def send(
        self, client_ids: Collection[str] | None = None, progress: Callable[[int, int], None] = lambda done, of: None
    ) -> Outcome:
        """Send the unsent commands of these clients, or of all clients, and record what the broker has confirmed.

        `progress` is called after each command with the number of commands that are done and the number of all. Raises
        BrokerError if the connection is lost, and KeyStoreError. Whatever was not confirmed stays recorded as unsent.
        """
        commands = self._load(client_ids)
        done = 0

        def settle(command: CommandToSend, failure: str | None) -> None:
            nonlocal done
            done += self._note_result(command, failure)
            progress(done, len(commands))

        try:
            self._broker.publish_all(self._messages(commands), settle)
        except BrokerError as error:
            left = len(commands) - self._outcome.sent
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

    def _load(self, client_ids: Collection[str] | None) -> list[CommandToSend]:
        """Return the unsent commands in the order of sending, and decrypt the ID keys of their clients."""
        wanted = None if client_ids is None else set(client_ids)
        with self._store.transaction() as session:
            rows = session.scalars(
                select(CommandRow)
                .order_by(CommandRow.seq)
                .options(selectinload(CommandRow.client).selectinload(ClientRow.keys))
            ).all()
            # Compared here and not in SQL, because there may be more clients than a statement may have parameters.
            rows = [row for row in rows if wanted is None or row.client_id in wanted]
            for client in {row.client_id: row.client for row in rows}.values():
                self._open_keys(client)
                self._stamps[client.id] = CommandStamps(client, self._store.now)
            return [_command_to_send(row) for row in rows]

    def _open_keys(self, client: ClientRow) -> None:
        """Decrypt the ID keys to send under, the current key first.

        The order matters to a client that holds both keys. It drops the old key as soon as a command arrives under the
        new one, and would then refuse the message under the old key.
        """
        keys = []
        try:
            for state in (CURRENT, PENDING):
                row = client.key(state)
                if row is not None:
                    keys.append(_SendingKey(self._store.vault.open(row.key, *row.place), retain=state == CURRENT))
        except ToolError as error:
            self._outcome.failures[client.name] = str(error)
        self._keys[client.id] = keys

    def _messages(self, commands: list[CommandToSend]) -> Iterator[tuple[CommandToSend, Message]]:
        """Yield the messages of all commands.

        They are protected only when it is nearly their turn, so that their timestamps are right. These are recorded
        before the messages are sent: if this process is killed, the next command is not stamped earlier.
        """
        for start in range(0, len(commands), _BATCH_SIZE):
            prepared = [(command, self._prepare(command)) for command in commands[start : start + _BATCH_SIZE]]
            self._record_stamps({command.client_id for command, messages in prepared if messages})
            for command, messages in prepared:
                # The order would change if a later command of a client were sent and an earlier one not.
                if command.client_name in self._outcome.failures:
                    continue
                self._messages_left[command.seq] = len(messages)
                for message in messages:
                    yield command, message

    def _prepare(self, command: CommandToSend) -> list[Message]:
        """Protect a command, and return its messages. There are none if the client cannot be sent to."""
        if command.client_name in self._outcome.failures:
            return []
        keys = self._keys[command.client_id]
        if command.opcode == e4.commands.SET_ID_KEY:
            # Under the current key only: a client that reads commands under the pending key holds that key already, and
            # this command would tell it nothing.
            keys = [key for key in keys if key.retain]
        try:
            plain = self._store.vault.open(command.sealed, *command.place)
            payloads = self._stamps[command.client_id].protect(plain, [key.key for key in keys])
        except (ToolError, e4.E4Error) as error:
            self._outcome.failures[command.client_name] = str(error)
            return []
        pairs = zip(keys, payloads, strict=True)
        return [Message(command.receiving_topic, payload, key.retain) for key, payload in pairs]

    def _record_stamps(self, client_ids: Collection[str]) -> None:
        """Record in the key store which timestamps the commands of these clients have got."""
        if client_ids:
            rows = [
                {
                    "id": client_id,
                    "stamp": self._stamps[client_id].timestamp,
                    "marks": self._stamps[client_id].marks.hex(),
                }
                for client_id in client_ids
            ]
            with self._store.transaction() as session:
                session.execute(update(ClientRow), rows)

    def _note_result(self, command: CommandToSend, failure: str | None) -> int:
        """Note what became of one message. Return 1 if it was the last message of its command, and 0 otherwise."""
        if failure:
            self._outcome.failures[command.client_name] = failure
        self._messages_left[command.seq] -= 1
        if self._messages_left[command.seq]:
            return 0
        if command.client_name not in self._outcome.failures:
            self._outcome.sent += 1
            self._confirmed.append(command)
            if len(self._confirmed) >= _BATCH_SIZE:
                self._record()
        return 1

    def _record(self) -> None:
        """Record in the key store what the broker has confirmed and what has failed."""
        now = self._store.now()
        with self._store.transaction() as session:
            if self._confirmed:
                session.connection().execute(_STRIKE_OUT, [{"its_seq": command.seq} for command in self._confirmed])
            sent = [
                {"its_client": command.client_id, "its_topic": command.topic_hash, "sent_at": now}
                for command in self._confirmed
                if command.opcode == e4.commands.SET_TOPIC_KEY
            ]
            if sent:
                session.connection().execute(_MARK_AS_SENT, sent)
            for name, failure in self._outcome.failures.items():
                failed = select(ClientRow.id).where(ClientRow.name == name).scalar_subquery()
                reason = failure[:_FAILURE_SIZE]
                session.execute(update(CommandRow).where(CommandRow.client_id == failed).values(failure=reason))
            _delete_departed(session)
        self._confirmed.clear()


def _command_to_send(row: CommandRow) -> CommandToSend:
    client = row.client
    return CommandToSend(
        row.seq, client.id, client.name, client.receiving_topic, row.opcode, row.topic_hash, row.command, row.place
    )


def _delete_departed(session: Session) -> None:
    """Delete the clients that have been removed and have no unsent command any more."""
    for client in session.scalars(select(ClientRow).where(ClientRow.state == LEAVING)):
        unsent = select(func.count()).select_from(CommandRow).where(CommandRow.client_id == client.id)
        if not session.scalar(unsent):
            session.delete(client)
