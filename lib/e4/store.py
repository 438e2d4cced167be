"""Where a client keeps its keys.

A store is a small table of named records, and changes to it are atomic: all of them take place or none. A
client asks a store for `get` and `commit`; whoever runs the client for `tidy`, now and then.

    get(name)                       the record's bytes, or None. Raises StoreError, StoreCorrupt
    names()                         all names there are
    commit(changes, clear=False)    a dict of names to new bytes, or to None for a record to be removed; with
                                    `clear` everything else goes. Raises StoreError, and then nothing has changed
    tidy(steps)                     clean up a little; return whether there is more to do

A record whose name has one byte is part of every commit, so it should be small. Others may have 16384 bytes, names 64,
and one commit as a whole, with all records whose name has one byte, 40000 in a `FileStore`.
"""

from e4._const import const
from e4.errors import StoreCorrupt, StoreError

_MAX_NAME = const(64)
_MAX_RECORD = const(16384)


def check_changes(changes: dict) -> None:
    """Raise StoreError unless all names, also of what is removed, and records have sizes that a store can keep."""
    for name, record in changes.items():
        if not 1 <= len(name) <= _MAX_NAME or (record is not None and len(record) > _MAX_RECORD):
            raise StoreError("a record's name has 1 to 64 bytes, its value at most 16384")


def damaged(what: str) -> StoreCorrupt:
    """Return the error for a part of a store."""
    return StoreCorrupt("{} is damaged, or of another program; it was left as found".format(what))


class MemoryStore:
    """A store that lasts as long as the program."""

    def __init__(self) -> None:
        self._records: dict = {}

    def get(self, name: bytes) -> bytes | None:
        return self._records.get(name)

    def names(self) -> list:
        return list(self._records)

    def commit(self, changes: dict, clear: bool = False) -> None:
        check_changes(changes)
        after = {} if clear else dict(self._records)
        for name, record in changes.items():
            if record is None:
                after.pop(name, None)
            else:
                after[name] = bytes(record)
        self._records = after

    def tidy(self, steps: int = 1) -> bool:
        return False
