"""A folder with one file for each client: its ID key, 32 bytes, for its owner's eyes only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from e4_tools.errors import ToolError

_KEY_SIZE = 32


class KeySource(Protocol):
    """Where the key of a client comes from. The same name gives the same key, also after a crash."""

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the ID key of `name`, made now or, unless `renew`, before; it is safe from crashes then."""


class KeyFolder:
    """Keys in files `NAME.key` (0600) in a folder (0700). Raises ToolError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"the folder for keys, {folder}, cannot be made: {error.strerror}") from None

    def path_of(self, name: str) -> Path:
        """Return the file of a client. Characters that file names cannot have are written as %XX."""
        return self._folder / f"{quote(name, safe='')}.key"

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the key in the file of `name`; a new one if there is no file, or if it is to be renewed."""
        path = self.path_of(name)
        try:
            if renew or not path.exists():
                _write(path, secrets.token_bytes(_KEY_SIZE))
            key = path.read_bytes()
        except OSError as error:
            raise ToolError(f"the key file {path} cannot be used ({error.strerror}); nothing was done") from None
        if len(key) != _KEY_SIZE:
            raise ToolError(f"{path} has not the {_KEY_SIZE} bytes of a key; it was left as it is, nothing was done")
        return key


def _write(path: Path, key: bytes) -> None:
    """Write a file that is there with all its bytes or not at all, whatever happens."""
    following = path.with_name(path.name + ".new")
    following.unlink(missing_ok=True)
    descriptor = os.open(following, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    following.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
