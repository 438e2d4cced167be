"""The database under a key store, and its schema. It is one SQLite file, or a database on a PostgreSQL server."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    and_,
    create_engine,
    event,
    func,
    inspect,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from e4_tools.errors import KeyStoreError
from e4_tools.keys.secret_files import PRIVATE
from e4_tools.keystore.models import SCHEMA, VALUES, Table

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30  # how long SQLite waits for another process that is writing
_EXAMPLE = "postgresql+psycopg://user@host/database"
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "pg8000": "pg8000"}
_NUMBER = re.compile("[0-9]{4}")  # the number of a schema, as `SCHEMA` has it
_DAMAGED = "the key store is damaged; it was left as found. A copy of it that is whole can take its place"
_SQLITE_TYPES = {str: "text", bytes: "blob", int: "integer", bool: "integer"}
_LATEST = 253402300799  # 9999-12-31 in Unix seconds; times are the largest numbers in a store
# The numbers of our advisory locks in PostgreSQL.
_SENDING, _UPGRADING, _DATA_KEY = 0xE4000001, 0xE4000002, 0xE4000003


def store_url(location: str) -> URL:
    """Return the database URL of a store that a user gave as a path or as a URL. Raises KeyStoreError."""
    if "://" not in location:
        try:
            return URL.create("sqlite", database=str(Path(location).expanduser()))
        except RuntimeError:
            raise KeyStoreError(f"{location}: there is no user of this name; nothing was done") from None
    try:
        url = make_url(location)
        url.render_as_string().encode()
    except (ArgumentError, ValueError):
        raise KeyStoreError(f"the key store is neither a path nor a URL like {_EXAMPLE}; nothing was done") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise KeyStoreError(
            f"a key store is in SQLite or in PostgreSQL ({_EXAMPLE}), not in {url.drivername}; nothing was done"
        )
    return url


def has_password(location: str) -> bool:
    """Return whether a store was given as a URL that has a password in it."""
    try:
        url = store_url(location)
    except KeyStoreError:  # opening the store will report it
        return False
    return url.password is not None or "password" in url.query


def describe_url(url: URL) -> str:
    """Return the store's path, or its URL without the password and the query, which may hold secrets."""
    path = sqlite_path(url)
    return str(path) if path else url.set(query={}).render_as_string(hide_password=True)


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a store in SQLite, or None for a store on a server."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def make_file(path: Path) -> None:
    """Make an empty file that no other user may read, for SQLite to write into. Raises KeyStoreError.

    SQLite by itself would make a file that others may be able to read. It gives its journal the permissions that the
    file has.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, PRIVATE)
        try:
            # An empty file that was there may have had other permissions.
            os.chmod(descriptor if os.chmod in os.supports_fd else path, PRIVATE)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyStoreError(f"no key store can be made at {path}: {error.strerror}") from None


def make_engine(url: URL) -> Engine:
    """Return the SQLAlchemy engine for a store. Raises KeyStoreError if there is no driver for the URL."""
    try:
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (NoSuchModuleError, ImportError, ArgumentError, ValueError):  # ValueError for more than one "+"
        driver = url.drivername.partition("+")[2] or "psycopg"
        package = _PACKAGES.get(driver)
        hint = f"pip install '{package}'" if package else f"{driver} cannot be used; use {_EXAMPLE}"
        raise KeyStoreError(f"the driver for {url.drivername} is not installed; nothing was done. {hint}") from None
    if engine.dialect.is_async:
        raise KeyStoreError(f"{url.drivername} cannot be used, it is asynchronous; nothing was done. Use {_EXAMPLE}")
    if sqlite_path(url):
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # Without this, sqlite3 begins transactions by itself, and leaves changes of the schema out of them. A migration
    # that is interrupted would then be half done. Now `_begin_sqlite` begins every transaction.
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {_BUSY_SECONDS * 1000}", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def try_lock(connection: Connection) -> bool:
    """Take the lock for sending on a server, if it is free. Return whether it was taken.

    The lock belongs to the connection, and ends with it.
    """
    return bool(connection.execute(select(func.pg_try_advisory_lock(_SENDING))).scalar())


def lock_data_key(session: Session, alone: bool) -> None:
    """Keep others from changing the data key until the transaction ends, or, if `alone`, from using it.

    In SQLite there is one transaction at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
        session.execute(select(lock(_DATA_KEY)))


@contextmanager
def explain_errors(location: str) -> Iterator[None]:
    """Turn the errors of a database into KeyStoreError.

    The statement and its values are left out of the text: they name clients and hold encrypted secrets.
    """
    try:
        yield
    except UnicodeDecodeError:  # SQLite's message quotes a damaged schema.
        raise KeyStoreError(_DAMAGED) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__)
        raise KeyStoreError(f"the key store {location}: {reason}; the last change to it was not made") from None


def schema_of(connection: Connection) -> str | None:
    """Return the number of the schema that a key store has, or None if the database is none and can become one.

    Raises KeyStoreError if the database belongs to another program.
    """
    found = inspect(connection)
    is_versioned = found.has_table("alembic_version")
    # A database on a server may have tables of others beside ours. A file that has tables, and not ours, was named by
    # mistake.
    is_foreign = not found.has_table("meta") if is_versioned else _is_file(connection) and found.get_table_names()
    if is_foreign:
        raise KeyStoreError("this is a database of another program, and no key store; it was left as found")
    if not is_versioned:
        return None
    number = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(number)


def _is_file(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def check_whole(connection: Connection) -> None:
    """Raise KeyStoreError if the file of a store is damaged, or a row has something in it that no store writes.

    SQLite looks at a page only when it reads it, checks foreign keys only when it writes, and takes a value of any type
    into any column. A server does not, and is not asked.
    """
    if not _is_file(connection):
        return
    whole = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() == "ok"
    if not whole or connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise KeyStoreError(_DAMAGED)
    for table in Table.metadata.sorted_tables:
        wrong = or_(*(not_(_is_possible(column)) for column in table.columns))
        if connection.execute(select(func.count()).select_from(table).where(wrong)).scalar():
            raise KeyStoreError(_DAMAGED)


def _is_possible(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that a column has a value that a store may have written."""
    kind = func.typeof(column)
    possible: ColumnElement[bool] = kind == _SQLITE_TYPES[column.type.python_type]
    if column.type.python_type is int:
        possible = and_(possible, column.between(0, _LATEST))
    if column.type.python_type is bool:
        possible = and_(possible, column.in_((False, True)))
    if VALUES in column.info:
        possible = and_(possible, column.in_(column.info[VALUES]))
    return or_(possible, kind == "null") if column.nullable else possible


def upgrade_schema(connection: Connection, migrations: Path = MIGRATIONS, to: str = SCHEMA) -> None:
    """Bring the database to the schema `to`, in the transaction of the connection.

    Raises KeyStoreError if the database has a newer schema; then nothing has changed.
    """
    found = schema_of(connection)
    if found != to and connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_UPGRADING)))
        found = schema_of(connection)  # another e4 may have upgraded it while we waited for the lock
    if found == to:
        return
    if found is not None and not _NUMBER.fullmatch(found):  # Alembic would take "00" for the beginning of a number.
        raise KeyStoreError(_DAMAGED)
    if found is not None and found > to:
        raise KeyStoreError(
            f"the key store was made by a later e4 (schema {found}, ours is {to}); it was left as found"
        )
    # Imported here because importing alembic takes half a second, and few commands upgrade a store.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError:  # There is no migration from the schema that it names.
        raise KeyStoreError(_DAMAGED) from None
