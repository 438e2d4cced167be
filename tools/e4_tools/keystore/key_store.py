"""A key store: opening and making one, its transactions, and the lock that a process holds while it sends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from e4_tools.errors import KeyStoreError
from e4_tools.keys.secret_files import PRIVATE
from e4_tools.keystore import engine as database
from e4_tools.keystore import vault
from e4_tools.keystore.models import StoreRow
from e4_tools.keystore.reencryption import reencrypt

LOCK_SECONDS = 60.0  # how long a process waits for another one that sends
_RETRY_SECONDS = 0.05  # between two attempts to take the lock

# A function that is told what opens the store (`vault.PASSPHRASE` or `vault.KEY_FILE`), and returns that secret.
Secrets = Callable[[str], bytes]


class KeyStore:
    """A key store, as `read_store`, `open_store` and `make_store` return it.

    `location` is its path or its URL, as a person may read it.
    """

    def __init__(
        self, location: str, engine: Engine, opened: vault.Vault | None = None, slot: vault.KeySlot | None = None
    ) -> None:
        self.location = location
        self._vault = opened
        self._slot = slot  # the slot that held the data key of `_vault` when the store was unlocked
        self._engine = engine

    @property
    def vault(self) -> vault.Vault:
        """What encrypts its secrets. Raises KeyStoreError if the store has not been unlocked."""
        if self._vault is None:
            raise KeyStoreError(f"the key store {self.location} has not been unlocked")
        return self._vault

    def unlock(self, secrets: Secrets) -> None:
        """Unlock the vault with the secret that `secrets` returns. Raises KeyStoreError if the secret is wrong."""
        self._vault = self._slot = None
        with self.transaction() as session:
            slot = _read_slot(session.scalars(select(StoreRow)).one())
        self._vault = vault.unlock(slot, secrets(slot.kind))
        self._slot = slot

    def now(self) -> int:
        """Return the time by the clock of this machine, in Unix seconds. Commands are stamped with it."""
        return int(time.time())

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session. All its changes are made when the block ends, or none if it raises. Raises KeyStoreError.

        If the store was unlocked, and another process has relocked it since, nothing is done: what was encrypted under
        the old data key could never be read again.
        """
        with self._session(alone=False) as session:
            yield session

    @contextmanager
    def _session(self, alone: bool) -> Iterator[Session]:
        """Yield a session for `transaction`. With `alone`, no other process can use the data key until it ends."""
        with database.explain_errors(self.location), Session(self._engine) as session, session.begin():
            if self._slot is not None:
                database.lock_data_key(session, alone)
                if session.scalars(select(StoreRow.wrapped_key)).one() != self._slot.wrapped:
                    raise KeyStoreError(
                        f"another e4 has changed what opens the key store {self.location}; this one has done nothing "
                        "more since. Run the command again"
                    )
            yield session

    @contextmanager
    def sending_lock(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Hold the lock of the store, so that no other process changes the store and sends.

        A broker retains only one message for each client. If two processes sent at once, the older command could be
        the one that is retained. The operating system, or the server, frees the lock when this process ends, even if
        it is killed. Raises KeyStoreError if another process holds the lock for `seconds`.
        """
        path = database.sqlite_path(self._engine.url)
        with self._file_lock(path, seconds) if path else self._server_lock(seconds):
            yield

    @contextmanager
    def _file_lock(self, path: Path, seconds: float) -> Iterator[None]:
        try:
            handle = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, PRIVATE)
        except OSError as error:
            raise KeyStoreError(f"the key store {path} cannot be locked ({error.strerror}); nothing was done") from None
        try:
            self._wait(lambda: lock_descriptor(handle, blocking=False), seconds)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _server_lock(self, seconds: float) -> Iterator[None]:
        """Hold a lock on the server.

        It is held by a connection of its own, outside any transaction, so that others can read the store meanwhile.
        """
        with database.explain_errors(self.location):
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            with database.explain_errors(self.location):
                self._wait(lambda: database.try_lock(connection), seconds)
            yield

    def _wait(self, try_lock: Callable[[], bool], seconds: float) -> None:
        """Try again and again until the lock is taken. Raises KeyStoreError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not try_lock():
            if time.monotonic() > deadline:
                raise KeyStoreError(
                    f"another e4 has been sending from {self.location} for {seconds:.0f} s; nothing was done"
                )
            time.sleep(_RETRY_SECONDS)

    def relock(self, kind: str, secret: bytes, progress: Callable[[int, int], None] = lambda done, of: None) -> int:
        """Change the secret that opens the store. `kind` is PASSPHRASE or KEY_FILE.

        There is a new data key then, and all secrets are encrypted anew under it. Whoever has an old copy of the store
        and its old secret, and with them the old data key, can open nothing of the new store. All of that is one
        transaction, so a crash leaves the old state or the new one.

        `progress` is called with the number of rows that are done and the number of all. Return the latter. Raises
        KeyStoreError; then nothing has changed.
        """
        old, new = self.vault, vault.new_vault()
        slot = new.make_slot(kind, secret)
        with self._session(alone=True) as session:
            count = reencrypt(session, old, new, progress)
            _write_slot(session.scalars(select(StoreRow)).one(), slot)
        self._vault, self._slot = new, slot
        return count


def store_exists(location: str) -> bool:
    """Return whether there is a key store at a path or URL. Raises KeyStoreError."""
    url = database.store_url(location)
    path = database.sqlite_path(url)
    if path and not os.path.exists(path):  # `Path.exists` raises an exception for a name that is too long
        return False
    with database.explain_errors(database.describe_url(url)), database.make_engine(url).begin() as connection:
        return database.schema_of(connection) is not None


def read_store(location: str) -> KeyStore:
    """Return the store at a path or URL, locked: names and states can be read, and secrets cannot.

    A store of an older version is migrated. Raises KeyStoreError if there is no store, or if it is damaged or of a
    later version.
    """
    url = database.store_url(location)
    name = database.describe_url(url)
    if not store_exists(location):
        raise KeyStoreError(f"there is no key store at {name}; e4 client add or e4 topic add makes one")
    engine = database.make_engine(url)
    with database.explain_errors(name), engine.begin() as connection:
        database.upgrade_schema(connection)
        database.check_whole(connection)
    return KeyStore(name, engine)


def open_store(location: str, secrets: Secrets) -> KeyStore:
    """Return the store at a path or URL, unlocked. Raises KeyStoreError as `read_store` and `unlock` do."""
    store = read_store(location)
    store.unlock(secrets)
    return store


def make_store(location: str, kind: str, secret: bytes) -> KeyStore:
    """Make a store that `secret` opens, in one transaction. Raises KeyStoreError if there is a store already."""
    url = database.store_url(location)
    name = database.describe_url(url)
    path = database.sqlite_path(url)
    if path:
        database.make_file(path)
    opened = vault.new_vault()
    slot = opened.make_slot(kind, secret)
    engine = database.make_engine(url)
    with database.explain_errors(name), engine.begin() as connection:
        if database.schema_of(connection) is not None:
            raise KeyStoreError(f"there is a key store at {name} already; it was left as it is")
        database.upgrade_schema(connection)
        with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
            session.add(_write_slot(StoreRow(id=1, made_at=int(time.time())), slot))
    return KeyStore(name, engine, opened, slot)


def _write_slot(row: StoreRow, slot: vault.KeySlot) -> StoreRow:
    row.lock_kind, row.lock_salt, row.lock_cost, row.wrapped_key = slot.kind, slot.salt, slot.cost, slot.wrapped
    return row


def _read_slot(row: StoreRow) -> vault.KeySlot:
    return vault.KeySlot(row.lock_kind, row.lock_salt, row.lock_cost, row.wrapped_key)
