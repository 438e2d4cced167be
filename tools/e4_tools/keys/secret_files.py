"""Files with secrets: written so that no crash leaves half of one, and read only if nobody else may read them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path

from e4_tools.errors import ToolError
from e4_tools.keys import owners

PRIVATE = 0o600  # the permissions of a file that only its owner may read
# Flags of `os.open`. Windows would change line ends in files that are not opened as binary. It has no flag for not
# waiting at a pipe, which has no name in a folder there.
BINARY: int = getattr(os, "O_BINARY", 0)
NOT_WAITING: int = getattr(os, "O_NONBLOCK", 0)
_OPEN_TO_OTHERS = 0o077  # permissions that a private file gives to nobody
# Permissions of a folder by which the group, or everybody, adds and removes files.
_CHANGED_BY_GROUP = 0o020
_CHANGED_BY_ALL = 0o002
_OPEN_DESCRIPTORS = (Path("/dev/fd"), Path("/proc/self/fd"))  # where this process finds what it has open


def write_file(path: Path, content: bytes, mode: int = PRIVATE, overwrite: bool = False) -> None:
    """Write a file that holds all of `content` or does not hold any of it, whatever interrupts this function.

    The file has the permissions `mode` (less the user's umask) from its first byte on, and it is on the disk when the
    function returns. Raises FileExistsError if there is a file of this name and `overwrite` is false; OSError if the
    file cannot be written. In both cases a file that was there before is as it was.
    """
    if not overwrite:
        # Nobody else can take the name while the contents are written. A crash before the end leaves an empty file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
    # The name is always the same, so that what a killed process left there is removed by the next one.
    unfinished = path.with_name(f".{path.name}.new")
    try:
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY | BINARY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        if not overwrite:
            path.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of `content` to a descriptor. One call of the system may write less, such as on a disk that gets full.

    Raises OSError; a part may be written then.
    """
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to the disk. Without this, a power cut could undo the renaming of a file.

    The file itself is written already, so a folder that may not be read, or a file system that cannot do this, is no
    reason to report a failure.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_private_file(path: Path, kind: str, most: int = -1) -> bytes:
    """Return the contents of a file that only its owner may read, at most `most` bytes of it (-1: all).

    This is the one rule for all files with secrets: keys, key folders, and passwords. The file is a regular one and
    belongs to this user or to root, and its permissions let nobody else read or change it. Its folder is one that
    `check_folder` accepts. The same holds for every symbolic link that the path leads through at its end, and for the
    folder of that link, so that nobody else can put another file in its place. A pipe that the shell has opened for
    this process, as bash does for `<(command)`, is accepted too.

    On Windows only the kind of file is checked: see `owners`.

    `kind` says in errors what the file is for, such as "key file". Raises ToolError if the file cannot be read, or
    if it breaks the rule. Nothing of the contents is in the error.
    """
    try:
        # Without NOT_WAITING this would wait at a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | NOT_WAITING | BINARY), "rb") as file:
            status = os.fstat(file.fileno())
            if sys.platform != "win32" and stat.S_ISFIFO(status.st_mode) and path.parent in _OPEN_DESCRIPTORS:
                os.set_blocking(file.fileno(), True)
            else:
                _check_file(path, status, kind)
                _check_place(path, kind)
            return file.read(most)
    except OSError as error:
        raise ToolError(f"the {kind} {path} cannot be read: {error.strerror}; nothing was done") from None


def check_folder(folder: Path, kind: str) -> None:
    """Raise ToolError unless nobody but this user and root can replace files of ours in a folder.

    The folder belongs to this user or to root. If others may write to it, it has the sticky bit, as /tmp does: then
    nobody can remove or rename files of others. The group may write to it if nobody but the owner is in that group:
    systems that give each user a group of the same name make such folders. `kind` is as in `read_private_file`.
    """
    try:
        status = folder.stat()
    except OSError as error:
        raise ToolError(f"the folder {folder} cannot be used: {error.strerror}; nothing was done") from None
    if not owners.ARE_KNOWN:
        return
    mode = stat.S_IMODE(status.st_mode)
    what = f"others could replace a {kind} in the folder {folder}"
    if not owners.is_trusted(status):
        raise ToolError(f"{what}, which belongs to another user (uid {status.st_uid}); nothing was done")
    changed_by_others = mode & _CHANGED_BY_ALL or (mode & _CHANGED_BY_GROUP and not owners.is_private_group(status))
    if changed_by_others and not mode & stat.S_ISVTX:
        raise ToolError(f"{what} (mode {mode:o}); nothing was done. chmod go-w {folder}")


def _check_file(path: Path, status: os.stat_result, kind: str) -> None:
    """Raise ToolError unless an open file is a regular one, and only this user or root may read or change it."""
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"the {kind} {path} is no regular file; nothing was done")
    if not owners.ARE_KNOWN:
        return
    if not owners.is_trusted(status):
        raise ToolError(f"the {kind} {path} belongs to another user (uid {status.st_uid}); nothing was done")
    if mode & _OPEN_TO_OTHERS:
        raise ToolError(f"the {kind} {path} is open to others (mode {mode:o}); nothing was done. chmod 600 {path}")


def _check_place(path: Path, kind: str) -> None:
    """Check the folder of a file, and, where the file is a symbolic link, the link and where it leads to.

    The system has opened the file already, so there is no circle of links. Raises ToolError, OSError.
    """
    check_folder(path.parent, kind)
    while path.is_symlink():
        status = path.lstat()
        if not owners.is_trusted(status):
            raise ToolError(f"the link {path} belongs to another user (uid {status.st_uid}); nothing was done")
        path = path.parent / path.readlink()
        check_folder(path.parent, kind)
