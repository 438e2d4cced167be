"""What the store asks of a file system: whole small files, on littlefs under MicroPython or on a PC.

Every function raises StoreError for whatever fails, except `write`, which lets the OSError through.
"""

import os
from errno import ENOENT

from e4.errors import StoreCorrupt, StoreError

_ENOSPC = 28  # MicroPython's `errno` does not have these two
_ENOTDIR = 20

KEEPS_OLD_CONTENTS = not hasattr(os, "fsync")  # littlefs; what a PC's disks keep is beyond us
_MAX_SIZE = 40000  # bytes of a root with the largest records
_ZEROS = 100  # bytes; littlefs writes at least 28 more along with them, and its blocks have 4096
REWRITES = 2 * 4096 // (_ZEROS + 28) + 2  # then both blocks of a directory have been erased


def described(error: OSError) -> str:
    return "no space is left" if error.args[0] == _ENOSPC else str(error)


def read(path: str) -> bytes | None:
    """Return a file's contents, or None if there is none. Raises StoreCorrupt for one that is far too large."""
    try:
        if os.stat(path)[6] > _MAX_SIZE:
            raise StoreCorrupt("{} is not of this store: it is too large; it was left as found".format(path))
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        if error.args[0] == ENOENT:
            return None
        raise StoreError("cannot read {}: {}".format(path, described(error))) from None


def write(path: str, image) -> None:
    with _open_private(path) as file:
        file.write(image)
        file.flush()
        if hasattr(os, "fsync"):
            os.fsync(file.fileno())


def write_zeros(path: str) -> None:
    """Write a small file without contents, to use up the room in its directory's blocks."""
    try:
        write(path, bytes(_ZEROS))
    except OSError as error:
        raise StoreError("cannot write {}: {}".format(path, described(error))) from None


def _open_private(path: str):
    """Open a file for writing that, where the system has users, only its owner may read."""
    if not hasattr(os, "O_CREAT"):  # MicroPython: one user
        return open(path, "wb")
    return os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")  # type: ignore[attr-defined]


def make_private(folder: str) -> None:
    if hasattr(os, "chmod"):
        os.chmod(folder, 0o700)


def sync_folder(path: str) -> None:
    """Make a new or renamed file last before anything that is written after it; littlefs does so by itself."""
    if hasattr(os, "fsync"):
        folder = os.open(path[: path.rfind("/") + 1] or ".", os.O_RDONLY)  # type: ignore[attr-defined]
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def list_folder(folder: str):
    """Return the names in a folder, which may be missing, or None for what is no folder."""
    try:
        return os.listdir(folder)
    except OSError as error:
        if error.args[0] == _ENOTDIR:
            return None
        if error.args[0] == ENOENT:
            return []
        raise StoreError("cannot read {}: {}".format(folder, described(error))) from None


def remove(path: str) -> bool:
    """Remove a file; return whether there was one."""
    try:
        os.remove(path)
        return True
    except OSError as error:
        if error.args[0] == ENOENT:
            return False
        raise StoreError("cannot remove {}: {}".format(path, described(error))) from None


def exists(path: str) -> bool:
    try:
        os.stat(path)
        return True
    except OSError as error:
        if error.args[0] == ENOENT:
            return False
        raise StoreError("cannot look at {}: {}".format(path, described(error))) from None
