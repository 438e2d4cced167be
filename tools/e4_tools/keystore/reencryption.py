"""Encrypting all secrets of a key store anew, under another data key."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from e4_tools.keystore.models import Table
from e4_tools.keystore.vault import Vault

TABLES = [table for table in Table.__subclasses__() if table.secrets is not Table.secrets]  # those with secrets
_BATCH_SIZE = 500  # rows that are in memory at a time


def reencrypt(session: Session, old: Vault, new: Vault, progress: Callable[[int, int], None]) -> int:
    """Encrypt every secret with `new` instead of `old`, in the transaction of the caller.

    `progress` is called with the number of rows that are done and the number of all. Return the latter. Raises
    KeyStoreError if `old` does not open one of the secrets; the caller then takes back what was changed.
    """
    of = sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES)
    done = 0
    for table in TABLES:
        for rows in _batches(session, table):
            for row in rows:
                for column, place in row.secrets().items():
                    sealed = getattr(row, column)
                    if sealed is not None:
                        setattr(row, column, new.seal(old.open(sealed, *place), *place))
            session.flush()
            session.expunge_all()
            done += len(rows)
            progress(done, of)
    return done


def _batches(session: Session, table: type[Table]) -> Iterator[list[Table]]:
    """Yield all rows of a table in the order of its primary key, some at a time.

    Each batch is a query of its own, because the rows change between two batches.
    """
    (key,) = table.__mapper__.primary_key
    query = select(table).order_by(key).limit(_BATCH_SIZE)
    rows = list(session.scalars(query))
    while rows:
        last = getattr(rows[-1], str(key.key))
        yield rows
        rows = list(session.scalars(query.where(key > last)))
