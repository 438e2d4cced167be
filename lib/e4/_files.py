"""What the store asks of a file system: whole small files, on littlefs under MicroPython or on a PC.

Every function raises StoreError for whatever fails, except those for which `_posix` has its own: they let the
OSError through.
"""

import os

from e4._const import const
from e4.errors import StoreError
from e4.store import damaged

# MicroPython's `errno` lacks the last two, and an import of the first one would take room on a board.
_ENOENT = const(2)
_ENOSPC = const(28)
_ENOTDIR = const(20)

KEEPS_OLD_CONTENTS = not hasattr(os, "fsync")  # littlefs; what a PC's disks keep is beyond us
MAX_SIZE = const(40000)  # bytes of a file; a client takes a quarter of that at most
_ZEROS = const(100)  # bytes; littlefs writes at least 28 more along with them, and its blocks have 4096
REWRITES = 2 * 4096 // (_ZEROS + 28) + 2  # then both blocks of a directory have been erased


def failure(verb: str, path: str, error: OSError, state: str = "") -> StoreError:
    """Return the error for an operation that failed; `state` says what became of the store."""
    reason = "no space is left" if error.args[0] == _ENOSPC else error
    return StoreError("cannot {} {}: {}{}".format(verb, path, reason, state))


def _tried(verb: str, function, path: str):
    """Return what a function of a path returns, or None if there is no such file."""
    try:
        return function(path)
    except OSError as error:
        if error.args[0] == _ENOENT:
            return None
        raise failure(verb, path, error) from None


def _contents(path: str) -> bytes:
    if os.stat(path)[6] > MAX_SIZE:
        raise damaged(path)
    with open(path, "rb") as file:
        return file.read()


def read(path: str) -> bytes | None:
    """Return a file's contents, or None if there is none. Raises StoreCorrupt for one that is far too large."""
    return _tried("read", _contents, path)


def write_zeros(path: str) -> None:
    """Write a small file without contents, to use up the room in its directory's blocks."""
    try:
        write(path, bytes(_ZEROS))
    except OSError as error:
        raise failure("write", path, error) from None


def list_folder(folder: str) -> list | None:
    """Return the names in a folder, which may be missing, or None for what is no folder."""
    try:
        return os.listdir(folder)
    except OSError as error:
        if error.args[0] == _ENOTDIR:
            return None
        if error.args[0] == _ENOENT:
            return []
        raise failure("read", folder, error) from None


def remove(path: str) -> None:
    """Remove a file, if there is one."""
    _tried("remove", os.remove, path)


def exists(path: str) -> bool:
    return _tried("read", os.stat, path) is not None


if KEEPS_OLD_CONTENTS:  # littlefs: one user, and what is closed or renamed lasts
    make_folder = os.mkdir

    def write(path: str, image) -> None:
        with open(path, "wb") as file:
            file.write(image)
            file.flush()

    def sync_folder(path: str) -> None:
        pass

else:
    from e4._posix import make_folder, sync_folder, write  # noqa: F401 (for the store)
