"""A key store: opening and making one, its transactions, and the lock for those who send."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from e4_tools.errors import KeyStoreError
from e4_tools.keystore import engine as database
from e4_tools.keystore import vault
from e4_tools.keystore.models import StoreRow

LOCK_SECONDS = 60.0
_LOOK_SECONDS = 0.05  # between two attempts to take the lock

# Given the kind of a lock (`vault.PASSPHRASE`, `vault.KEY_FILE`), returns the secret for it.
Secrets = Callable[[str], bytes]


class KeyStore:
    """A store. `place` is what a person calls it; `read_store`, `open_store` or `make_store` give one."""

    def __init__(self, place: str, engine: Engine, opened: vault.Vault | None = None) -> None:
        self.place = place
        self._vault = opened
        self._engine = engine

    @property
    def vault(self) -> vault.Vault:
        """What its secrets are encrypted with. Raises KeyStoreError if the store was opened for reading names only."""
        if self._vault is None:
            raise KeyStoreError(f"the key store {self.place} has not been unlocked")
        return self._vault

    def unlock(self, secrets: Secrets) -> None:
        """Open the vault. Raises KeyStoreError for a wrong secret."""
        with self.transaction() as session:
            lock = _read_lock(session.scalars(select(StoreRow)).one())
        self._vault = vault.unlock(lock, secrets(lock.kind))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session whose changes are all made at its end, or none of them. Raises KeyStoreError."""
        with database.explained(self.place), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def sending(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Be the only process that changes and sends: two would race for a client's one retained slot.

        The lock ends with the process, however that ends. Raises KeyStoreError after `seconds`.
        """
        path = database.sqlite_path(self._engine.url)
        with self._file_lock(path, seconds) if path else self._server_lock(seconds):
            yield

    @contextmanager
    def _file_lock(self, path: Path, seconds: float) -> Iterator[None]:
        try:
            handle = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KeyStoreError(f"the key store {path} cannot be locked ({error.strerror}); nothing was done") from None
        try:
            self._wait(lambda: _flock(handle), seconds)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _server_lock(self, seconds: float) -> Iterator[None]:
        """Hold a lock of the server's on a connection of its own, outside transactions: readers do not mind."""
        with database.explained(self.place):
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            with database.explained(self.place):
                self._wait(lambda: database.try_lock(connection), seconds)
            yield

    def _wait(self, locked: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not locked():
            if time.monotonic() > deadline:
                raise KeyStoreError(
                    f"another e4 has been sending from {self.place} for {seconds:.0f} s; nothing was done"
                )
            time.sleep(_LOOK_SECONDS)

    def relock(self, kind: str, secret: bytes) -> None:
        """Have the store opened by another secret from now on. Raises KeyStoreError."""
        lock = self.vault.lock(kind, secret)
        with self.transaction() as session:
            _write_lock(session.scalars(select(StoreRow)).one(), lock)


def _flock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def store_exists(place: str) -> bool:
    """Tell whether there is a key store at a path or URL. Raises KeyStoreError."""
    url = database.store_url(place)
    path = database.sqlite_path(url)
    if path and not path.exists():
        return False
    with database.explained(database.shown(url)), database.make_engine(url).begin() as connection:
        return database.schema_of(connection) is not None


def read_store(place: str) -> KeyStore:
    """Return the store at a path or URL, locked: names and states can be read. An older one is migrated.

    Raises KeyStoreError: there is none, it is damaged or of a later version.
    """
    url = database.store_url(place)
    name = database.shown(url)
    if not store_exists(place):
        raise KeyStoreError(f"there is no key store at {name}; e4 client add or e4 topic add makes one")
    engine = database.make_engine(url)
    with database.explained(name), engine.begin() as connection:
        database.upgrade(connection)
    return KeyStore(name, engine)


def open_store(place: str, secrets: Secrets) -> KeyStore:
    """Return the store at a path or URL, unlocked. Raises KeyStoreError as `read_store` does, or for a wrong secret."""
    store = read_store(place)
    store.unlock(secrets)
    return store


def make_store(place: str, kind: str, secret: bytes) -> KeyStore:
    """Make a store that `secret` opens, in one transaction. Raises KeyStoreError if there is one."""
    url = database.store_url(place)
    name = database.shown(url)
    path = database.sqlite_path(url)
    if path:
        database.make_file(path)
    opened = vault.new_vault()
    lock = opened.lock(kind, secret)
    engine = database.make_engine(url)
    with database.explained(name), engine.begin() as connection:
        if database.schema_of(connection) is not None:
            raise KeyStoreError(f"there is a key store at {name} already; it was left as it is")
        database.upgrade(connection)
        with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
            session.add(_write_lock(StoreRow(id=1, made_at=int(time.time())), lock))
    return KeyStore(name, engine, opened)


def _write_lock(meta: StoreRow, lock: vault.Lock) -> StoreRow:
    meta.lock_kind, meta.lock_salt, meta.lock_cost, meta.wrapped_key = lock.kind, lock.salt, lock.cost, lock.wrapped
    return meta


def _read_lock(meta: StoreRow) -> vault.Lock:
    return vault.Lock(meta.lock_kind, meta.lock_salt, meta.lock_cost, meta.wrapped_key)
