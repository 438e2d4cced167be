"""The file operations of the store: reading and writing small files as a whole, on littlefs or on a PC.

Every function raises StoreError if it fails. `make_folder`, `write`, `overwrite` and `keep_spare` also raise OSError:
the store then says in its own error what state it is in, or finds another way.
"""

import os

from e4._const import const
from e4.errors import StoreError
from e4.store import damage_error

# MicroPython's `errno` lacks most of these, and an import of the others would take room on a board.
_ENOENT = const(2)
_ENOSPC = const(28)
_ENOTDIR = const(20)
_EISDIR = const(21)
_EILSEQ = const(84)  # what littlefs says of a damaged directory or file
# littlefs says this of any file that is to be made if the blocks of its directory are full and there is no block for
# further ones.
_ENAMETOOLONG = const(36)

# On littlefs the blocks that keep old contents can be overwritten. Nobody can tell what the disk of a PC keeps.
ON_LITTLEFS = not hasattr(os, "fsync")
MAX_SIZE = const(40000)  # bytes of a file; a client writes a quarter of that at most
# The bytes of a file of zeros. It is no larger than the record of a topic, so that it fits where one was removed.
# littlefs writes at least 28 more along with them, and its blocks have 4096.
_ZEROS = const(84)
REWRITES = 2 * 4096 // (_ZEROS + 28) + 2  # writes after which both blocks of a directory were erased
# The least size of a file that certainly takes a block of its own. littlefs keeps files of up to an eighth of a block
# inside their directory; with MicroPython's usual settings it does so up to 128 bytes.
OWN_BLOCK = const(513)


def is_full(error: Exception) -> bool:
    """Return whether an error says that there is no space for a file."""
    return error.args[0] == _ENOSPC or (ON_LITTLEFS and error.args[0] == _ENAMETOOLONG)


def failure(verb: str, path: str, error: OSError, state: str = "") -> StoreError:
    """Return the error for a failed operation. `state` says in which state the store is now."""
    reason = "no space is left" if is_full(error) else error
    return StoreError("cannot {} {}: {}{}".format(verb, path, reason, state))


def _try(verb: str, function, path: str):
    """Return what a function of a path returns, or None if there is no such file. Raises StoreError.

    Raises StoreCorrupt if a folder is where a file should be, or the other way round, or if littlefs finds damage.
    """
    try:
        return function(path)
    except OSError as error:
        if error.args[0] == _ENOENT:
            return None
        if error.args[0] in (_ENOTDIR, _EISDIR, _EILSEQ):
            raise damage_error(path) from None
        raise failure(verb, path, error) from None


def _contents(path: str) -> bytes:
    if os.stat(path)[6] > MAX_SIZE:
        raise damage_error(path)
    with open(path, "rb") as file:
        return file.read()


def read(path: str) -> bytes | None:
    """Return the contents of a file, or None if there is no file. Raises StoreCorrupt if it is far too large."""
    return _try("read", _contents, path)


def write_zeros(path: str) -> bool:
    """Write a small file of zeros, which uses up room in the blocks of its directory.

    Return whether these blocks are too full for it; then there is no such file.
    """
    try:
        write(path, bytes(_ZEROS))
    except OSError as error:
        if is_full(error):
            remove(path)  # There may be an empty file.
            return True
        raise failure("write", path, error) from None
    return False


def keep_spare(path: str) -> None:
    """Make a file that takes a block of its own, unless there is one. Without space an empty file may be left."""
    found = _try("read", os.stat, path)
    if not (found and found[6]):
        write(path, bytes(OWN_BLOCK))


def list_folder(folder: str) -> list[str] | None:
    """Return the names in a folder: none if it does not exist. Return None if it is a file."""
    try:
        return os.listdir(folder)
    except UnicodeError:  # There is a name that no file of ours has.
        raise damage_error(folder) from None
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


def overwrite(path: str, image: bytes | bytearray) -> None:
    """Write over a file that is no longer than `image`. A power cut leaves the old contents or the new ones.

    littlefs neither writes over the old contents nor changes the directory before the file is flushed. The file is not
    emptied when it is opened, so that an exception between two statements leaves the old contents or the new ones too.
    On other file systems this is not atomic.
    """
    with open(path, "r+b") as file:
        file.write(image)
        file.flush()


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
