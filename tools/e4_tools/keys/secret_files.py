"""Files with secrets: written so that no crash leaves half of one, and read only if nobody else may read them."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from e4_tools.errors import ToolError

PRIVATE = 0o600  # the permissions of a file that only its owner may read
_OPEN_TO_OTHERS = 0o077  # permissions that a private file gives to nobody


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
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        if not overwrite:
            path.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
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

    `kind` says in errors what the file is for, such as "key file". Raises ToolError if the file cannot be read, or if
    its permissions let others read or change it. Nothing of the contents is in the error.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(most)
    except OSError as error:
        raise ToolError(f"the {kind} {path} cannot be read: {error.strerror}; nothing was done") from None
    if mode & _OPEN_TO_OTHERS:
        raise ToolError(f"the {kind} {path} is open to others (mode {mode:o}); nothing was done. chmod 600 {path}")
    return content
