"""The file operations of the store: reading and writing small files as a whole, on littlefs or on a PC.

Every function raises StoreError if it fails, except `make_folder` and `write`, which raise OSError: the store then says
in its own error what state it is in.
"""

import os

from e4._const import const
from e4.errors import StoreError
from e4.store import damage_error

# MicroPython's `errno` lacks the last two, and an import of the first one would take room on a board.
_ENOENT = const(2)
_ENOSPC = const(28)
_ENOTDIR = const(20)

# On littlefs the blocks that keep old contents can be overwritten. Nobody can tell what the disk of a PC keeps.
ON_LITTLEFS = not hasattr(os, "fsync")
MAX_SIZE = const(40000)  # bytes of a file; a client writes a quarter of that at most
_ZEROS = const(100)  # bytes; littlefs writes at least 28 more along with them, and its blocks have 4096
REWRITES = 2 * 4096 // (_ZEROS + 28) + 2  # writes after which both blocks of a directory were erased


def failure(verb: str, path: str, error: OSError, state: str = "") -> StoreError:
    """Return the error for a failed operation. `state` says in which state the store is now."""
    reason = "no space is left" if error.args[0] == _ENOSPC else error
    return StoreError("cannot {} {}: {}{}".format(verb, path, reason, state))


def _try(verb: str, function, path: str):
    """Return what a function of a path returns, or None if there is no such file. Raises StoreError."""
    try:
        return function(path)
    except OSError as error:
        if error.args[0] == _ENOENT:
            return None
        raise failure(verb, path, error) from None


def _contents(path: str) -> bytes:
    if os.stat(path)[6] > MAX_SIZE:
        raise damage_error(path)
    with open(path, "rb") as file:
        return file.read()


def read(path: str) -> bytes | None:
    """Return the contents of a file, or None if there is no file. Raises StoreCorrupt if it is far too large."""
    return _try("read", _contents, path)


def write_zeros(path: str) -> None:
    """Write a small file of zeros, which uses up room in the blocks of its directory."""
    try:
        write(path, bytes(_ZEROS))
    except OSError as error:
        raise failure("write", path, error) from None


def list_folder(folder: str) -> list[str] | None:
    """Return the names in a folder: none if it does not exist. Return None if it is a file."""
    try:
        return os.listdir(folder)
    except OSError as error:
        if error.args[0] == _ENOTDIR:
            return None
        if error.args[0] == _ENOENT:
            return []
        raise failure("read", folder, error) from None


def remove(path: str) -> None:
    """Remove a file if it exists."""
    _try("remove", os.remove, path)


def exists(path: str) -> bool:
    return _try("read", os.stat, path) is not None


if ON_LITTLEFS:  # It has one user, and what is closed or renamed there survives a power cut.
    make_folder = os.mkdir

    def write(path: str, image: bytes | bytearray) -> None:
        with open(path, "wb") as file:
            file.write(image)
            file.flush()

    def sync_folder(path: str) -> None:
        pass

else:
    from e4._posix import make_folder, sync_folder, write  # noqa: F401 (the store uses them)
