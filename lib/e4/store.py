"""Where a client keeps its keys.

A store is a small table of named records, and changes to it are atomic: all of them take place or none. A
client asks a store for

    get(name)         the record's bytes, or None
    names()           all names there are
    commit(changes)   a dict of names to new bytes, or to None for a record to be removed;
                      raises StoreError, and then nothing has changed, here or in flash
"""

import binascii
import os
from errno import ENOENT

from e4.errors import StoreCorrupt, StoreError

_MAGIC = b"E4 store 1\n"
_MAX_NAME = 255
_MAX_RECORD = 65535


class MemoryStore:
    """A store that lasts as long as the program."""

    def __init__(self) -> None:
        self._records: dict = {}

    def get(self, name: bytes) -> bytes | None:
        return self._records.get(name)

    def names(self) -> list:
        return list(self._records)

    def commit(self, changes: dict) -> None:
        if all(self._records.get(name) == record for name, record in changes.items()):
            return  # nothing differs: spare the flash
        after = dict(self._records)
        for name, record in changes.items():
            if record is None:
                after.pop(name, None)
            elif not 1 <= len(name) <= _MAX_NAME or len(record) > _MAX_RECORD:
                raise StoreError("a record's name has 1 to 255 bytes, its value at most 65535")
            else:
                after[name] = bytes(record)
        self._persist(after)
        self._records = after

    def _persist(self, records: dict) -> None:
        """Make `records` last. Raises StoreError if that failed and the old ones still stand."""


class FileStore(MemoryStore):
    """A store in one file, on littlefs or on a PC.

    A change goes to a second file that then takes the first one's name (atomic on littlefs and POSIX), so that a
    power cut leaves the old state or the new one. Raises StoreCorrupt for a file that is damaged or of a foreign
    version, StoreError for one that cannot be read; neither touches it.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._next = path + ".new"
        _remove(self._next)  # an interrupted change: the file itself still holds the state before it
        try:
            with open(path, "rb") as file:
                image = file.read()
        except OSError as error:
            if error.args[0] != ENOENT:  # a new store
                raise StoreError("cannot read the store {}: {}".format(path, error)) from None
        else:
            self._records = _decode(image, path)

    def _persist(self, records: dict) -> None:
        _remove(self._next)  # of a change that was interrupted in this very program
        try:
            with _create_private(self._next) as file:
                _encode(records, file)
            os.rename(self._next, self._path)
        except OSError as error:
            _remove(self._next)
            raise StoreError("cannot write the store {}: {}; the old state stands".format(self._path, error)) from None


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError as error:
        if error.args[0] != ENOENT:
            raise StoreError("cannot remove {}: {}".format(path, error)) from None


def _create_private(path: str):
    """Open a new file that, where the system has users, only its owner may read."""
    if not hasattr(os, "O_CREAT"):  # MicroPython: one user
        return open(path, "wb")
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")  # type: ignore[attr-defined]


def _encode(records: dict, file) -> None:
    """Write magic, records (name size, name, record size, record), CRC-32 of all that."""
    file.write(_MAGIC)
    crc = binascii.crc32(_MAGIC)
    for name, record in records.items():
        part = bytes((len(name),)) + name + len(record).to_bytes(2, "little") + record
        crc = binascii.crc32(part, crc)
        file.write(part)
    file.write(crc.to_bytes(4, "little"))
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())


def _decode(image: bytes, path: str) -> dict:
    start = len(_MAGIC)
    end = len(image) - 4
    if end < start or image[:start] != _MAGIC:
        raise StoreCorrupt("{} is not a store of this version; it was left as found".format(path))
    if binascii.crc32(memoryview(image)[:end]) != int.from_bytes(image[end:], "little"):
        raise StoreCorrupt("{} is damaged (checksum); it was left as found".format(path))
    records = {}
    at = start
    while at < end:
        name, at = _field(image, at + 1, image[at])
        records[name], at = _field(image, at + 2, int.from_bytes(image[at : at + 2], "little"))
    if at != end:
        raise StoreCorrupt("{} is damaged (its records do not fit); it was left as found".format(path))
    return records


def _field(image: bytes, start: int, size: int) -> tuple:
    return image[start : start + size], start + size
