"""Where a client keeps its keys.

A store is a small table of named records. A commit is atomic: either all of its changes take place or none. A client
calls `get` and `commit`. The program that runs the client calls `tidy` from time to time.

    get(name)                       return the bytes of a record, or None. Raises StoreError, StoreCorrupt
    names()                         return the names of all records
    commit(changes, clear=False)    change records: `changes` is a dict from names to new bytes, or to None for a record
                                    that is removed; with `clear`, all records that are not in it are removed as well.
                                    If it raises StoreError, nothing has changed
    tidy(steps)                     do a few steps of cleaning up; return whether there is more to do

A name has 1 to 64 bytes, and a record 16384 at most. A record whose name has one byte is written with every commit, so
it should be small. In a `FileStore`, a commit together with all records of one-byte names has 40000 bytes at most.
"""

from e4._const import const
from e4.errors import StoreCorrupt, StoreError

_MAX_NAME = const(64)
_MAX_RECORD = const(16384)


def check_changes(changes: dict[bytes, bytes | None]) -> None:
    """Raise StoreError unless all names, also of removed records, and all records have a size that a store can keep."""
    for name, record in changes.items():
        if not 1 <= len(name) <= _MAX_NAME or (record is not None and len(record) > _MAX_RECORD):
            raise StoreError("a record's name has 1 to 64 bytes, its value at most 16384")


def damage_error(what: str) -> StoreCorrupt:
    """Return the error for a damaged part of a store."""
    return StoreCorrupt("{} is damaged, or of another program; it was left as found".format(what))


class MemoryStore:
    """A store in memory. It is lost when the program ends."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}

    def get(self, name: bytes) -> bytes | None:
        return self._records.get(name)

    def names(self) -> list[bytes]:
        return list(self._records)

    def commit(self, changes: dict[bytes, bytes | None], clear: bool = False) -> None:
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
