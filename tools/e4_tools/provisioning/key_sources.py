"""Where the ID key of a board comes from, and where it is kept. There is one class for each way.

KeySource
    StoredKeys   the key is in the key store, or is made there
    KeyFolder    the key is in a file of a folder, or is made there
    GivenKey     the user has typed the key, or the password that it is derived from
    RandomKey    nobody keeps the key: the board keeps the one that it has, or gets a random one that is shown once
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any
from urllib.parse import quote

import e4
from e4_tools.errors import ToolError, UnknownName
from e4_tools.fleet import listing
from e4_tools.fleet.operations import Fleet
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keys.secret_files import check_folder, read_private_file, write_file
from e4_tools.keys.symmetric import KEY_SIZE, check_size, new_key
from e4_tools.keystore import KeyStore
from e4_tools.keystore.models import LEAVING, PREVIOUS

_KEY_FILE = "key file"


class HeldKey(Enum):
    """What becomes of a final ID key of the same client that a board holds before it is provisioned.

    With `replace`, the board keeps its key only if it is the key that it would get, or one that a key store counts as
    current or pending.
    """

    COMPARED = auto()  # The board compares it with the key of the source, and refuses a key that differs.
    KEEP_IF_KNOWN = auto()  # It stays if the source knows it and has not replaced it; a pending key stays, for example.
    KEEP = auto()  # It stays, and nobody but the board knows it.


class KeySource(ABC):
    """One way in which the ID key of a client comes about."""

    # What becomes of the key that a board holds already. Each class says it for its boards.
    held_key = HeldKey.COMPARED

    @abstractmethod
    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the ID key of a client; make the key if there is none.

        A source that keeps keys has stored the key when this returns, and gives the same key after a crash. With
        `renew` it makes a new key although there is one, because another board may hold that one.
        """

    def known_keys(self, name: str) -> list[bytes]:
        """Return all ID keys that the client may hold and that are kept here. No key is made."""
        return []

    def is_replaced(self, name: str, key: bytes) -> bool:
        """Tell whether a known key of the client has been replaced by a newer one, and no board should get it again."""
        return False

    def settings_of(self, name: str) -> dict[str, Any]:
        """Return entries of the board's configuration that are kept with the key of a client that is known here."""
        return {}

    def topics_of(self, name: str) -> list[str] | None:
        """Return the topics that were granted to the client, or None if the key is not in a key store."""
        return None

    def note_proof(self, name: str, key: bytes) -> None:  # noqa: B027 (some sources have nothing to note)
        """Note that a board has proved to hold this key. The key is not final on the board before this returns."""


class StoredKeys(KeySource):
    """ID keys in the key store, with which C2 can command the boards. The methods raise ToolError."""

    held_key = HeldKey.KEEP_IF_KNOWN

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the client's current ID key. With `renew` that is a new one, and the one before is kept as previous.

        A client that the store does not have is added with a random key.
        """
        with self._store.sending_lock():
            known = self.known_keys(name)
            if not known:
                Fleet(self._store).add_client(name, new_key())
            elif renew:
                Rekeying(self._store).renew(name)
            return self.known_keys(name)[0]

    def known_keys(self, name: str) -> list[bytes]:
        """Return the ID keys that the client may hold, the current one first. A client that is not known has none.

        Raises UnknownName for a client that is being removed.
        """
        try:
            client = listing.read_client(self._store, name)
        except UnknownName:
            return []
        if client.state == LEAVING:
            raise UnknownName(f"{name} has been removed; nothing was done. e4 sync ends its removal")
        return [id_key.key for id_key in listing.read_id_keys(self._store, name)]

    def is_replaced(self, name: str, key: bytes) -> bool:
        """Tell whether this key counts as a previous one in the key store."""
        id_keys = listing.read_id_keys(self._store, name)
        return any(id_key.state == PREVIOUS for id_key in id_keys if id_key.key == key)

    def settings_of(self, name: str) -> dict[str, Any]:
        """Return the client's receiving topic if it is another one than clients usually have."""
        topic = listing.read_client(self._store, name).receiving_topic
        return {} if topic == e4.receiving_topic(e4.id_of(name)) else {"receiving_topic": topic}

    def topics_of(self, name: str) -> list[str]:
        """Return the topics that the client has been granted."""
        return listing.read_client(self._store, name).topics

    def note_proof(self, name: str, key: bytes) -> None:
        """Make the key that the board has proved the current one, as `Rekeying.record_proof` describes it."""
        with self._store.sending_lock():
            id_keys = listing.read_id_keys(self._store, name)
            uid = next((id_key.uid for id_key in id_keys if id_key.key == key), None)
            if uid is not None:
                Rekeying(self._store).record_proof(name, uid)


class KeyFolder(KeySource):
    """ID keys in files `NAME.key` (mode 0600) of a folder (mode 0700, if it is made here).

    Raises ToolError, also for a folder or a key file that breaks the rule of `read_private_file`: somebody else could
    read the keys of the fleet, or replace them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"the folder for keys, {folder}, cannot be made: {error.strerror}") from None
        check_folder(folder, _KEY_FILE)

    def path_of(self, name: str) -> Path:
        """Return the path of a client's key file, whether there is one or not."""
        return self._folder / file_name_of(name, ".key")

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the key in the client's file. A random one is written if there is no file, or if `renew` is set."""
        path = self.path_of(name)
        check_folder(self._folder, _KEY_FILE)
        try:
            if renew or not os.path.lexists(path):
                write_file(path, new_key(), overwrite=True)
        except OSError as error:
            raise ToolError(f"the key file {path} cannot be written ({error.strerror}); nothing was done") from None
        return self._read(path)

    def known_keys(self, name: str) -> list[bytes]:
        """Return the key in the client's file, or nothing if there is no file."""
        path = self.path_of(name)
        return [self._read(path)] if os.path.lexists(path) else []

    def _read(self, path: Path) -> bytes:
        key = read_private_file(path, _KEY_FILE, most=KEY_SIZE + 1)  # one byte more shows that a file is too long
        complaint = f"{path} has not the {KEY_SIZE} bytes of a key; it was left as it is, nothing was done"
        return check_size(key, complaint)


class GivenKey(KeySource):
    """An ID key that the user has and keeps."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the key that was given. It cannot be renewed."""
        return self._key

    def known_keys(self, name: str) -> list[bytes]:
        """Return the key that was given."""
        return [self._key]


class RandomKey(KeySource):
    """A random ID key that is kept nowhere but on the board, and shown to the user once.

    `show` is called with the key when the board has proved it. Without it nobody could tell the user the key, so no
    key is made: a board that holds a key keeps it, and another board is refused.
    """

    held_key = HeldKey.KEEP

    def __init__(self, show: Callable[[bytes], None] | None) -> None:
        self._show = show

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return a new key each time. Raises ToolError if it could not be shown."""
        if self._show is None:
            raise ToolError(
                "a random key would be in the answer only, and lost if this is interrupted; nothing was done. "
                "--in-store or --keys keeps it first"
            )
        return new_key()

    def note_proof(self, name: str, key: bytes) -> None:
        """Show the key. If that fails, the key is still pending on the board, and gives way to the next one."""
        if self._show is not None:
            self._show(key)


def file_name_of(client_name: str, extension: str) -> str:
    """Return the file name for something of a client. Characters that file names cannot have are written as %XX."""
    return quote(client_name, safe="") + extension
