"""Where the ID keys of boards to be provisioned are kept: a folder with a file for each, or the key store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import select

import e4
from e4_tools.errors import ToolError, UnknownName
from e4_tools.fleet.operations import Fleet
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keys.secret_files import write_file
from e4_tools.keys.symmetric import KEY_SIZE, check_size, new_key
from e4_tools.keystore import KeyStore
from e4_tools.keystore.finding import find_client
from e4_tools.keystore.models import CURRENT, LEAVING, ClientRow


class KeySource(Protocol):
    """Where the key of a client comes from. The same name gives the same key, also after a crash."""

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the ID key of `name`, made now or, unless `renew`, before; it is safe from crashes then."""

    def settings_of(self, name: str) -> dict[str, Any]:
        """Return what else of a board's configuration is known here. `key_of` was called before."""

    def proved(self, name: str, key: bytes) -> None:
        """Note that a board has proved to hold this key."""


def file_name(name: str, ending: str) -> str:
    """Return the file name of a client. Characters that file names cannot have are written as %XX."""
    return quote(name, safe="") + ending


class KeyFolder:
    """Keys in files `NAME.key` (0600) in a folder (0700). Raises ToolError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"the folder for keys, {folder}, cannot be made: {error.strerror}") from None

    def path_of(self, name: str) -> Path:
        """Return the file of a client."""
        return self._folder / file_name(name, ".key")

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the key in the file of `name`; a new one if there is no file, or if it is to be renewed."""
        path = self.path_of(name)
        try:
            if renew or not path.exists():
                write_file(path, new_key(), overwrite=True)
            key = path.read_bytes()
        except OSError as error:
            raise ToolError(f"the key file {path} cannot be used ({error.strerror}); nothing was done") from None
        complaint = f"{path} has not the {KEY_SIZE} bytes of a key; it was left as it is, nothing was done"
        return check_size(key, complaint)

    def settings_of(self, name: str) -> dict[str, Any]:
        return {}

    def proved(self, name: str, key: bytes) -> None:
        pass  # a file holds one key only


class StoredKeys:
    """Keys in the key store, so that C2 can command the boards. Raises ToolError."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def key_of(self, name: str, renew: bool = False) -> bytes:
        """Return the client's current ID key; with `renew` a new one, and the one before is kept as previous.

        A client that the store does not have is added with a random key.
        """
        keys = Rekeying(self._store)
        with self._store.sending():
            known = self.known_keys(name)
            if not known:
                Fleet(self._store).add_client(name, new_key())
            elif renew:
                keys.renew(name)
            return self.known_keys(name)[0]

    def known_keys(self, name: str) -> list[bytes]:
        """Return the ID keys that the client may hold, the current one first; none for a client that is not known.

        Raises UnknownName for one that is being removed.
        """
        with self._store.transaction() as session:
            client = session.scalars(select(ClientRow).where(ClientRow.name == name)).one_or_none()
            if client is None:
                return []
            if client.state == LEAVING:
                raise UnknownName(f"{name} has been removed; nothing was done. e4 sync ends its removal")
            rows = sorted(client.keys, key=lambda key: key.state != CURRENT)
            return [self._store.vault.open(row.key, *row.place) for row in rows]

    def topics_of(self, name: str) -> list[str]:
        """Return the topics that the client has been granted."""
        with self._store.transaction() as session:
            return sorted(grant.topic.name for grant in find_client(session, name).grants)

    def settings_of(self, name: str) -> dict[str, Any]:
        with self._store.transaction() as session:
            topic = find_client(session, name).receiving_topic
        return {} if topic == e4.receiving_topic(e4.id_of(name)) else {"receiving_topic": topic}

    def proved(self, name: str, key: bytes) -> None:
        with self._store.sending():
            with self._store.transaction() as session:
                rows = find_client(session, name).keys
                uid = next((row.uid for row in rows if self._store.vault.open(row.key, *row.place) == key), None)
            if uid is not None:
                Rekeying(self._store).record_proof(name, uid)
