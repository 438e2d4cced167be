"""What makes a board a member of a fleet.

The host sends this code over the serial port once, and then calls its functions.

The board does not keep the code, because it is needed only while the board is being provisioned. No function here
returns a key.

A key is pending from the moment it is written until the host has had it proved and calls `confirm`. A host that was
killed in between may have lost the key. So a pending key gives way to another one without `replace`, and no other key
does.
"""

import binascii
import json
import os
from errno import ENOENT

import e4
from e4.siv import check_key
from firmware import config

_PENDING_PATH = "/e4.pending"  # holds a proof of the pending key; there is no such file when no key is pending
_NONCE = b"pending"  # for that proof
_FOREIGN, _PENDING, _CONFIRMED = range(3)


def _clock():
    raise e4.ClockNotSet("provisioning needs no clock")


def _client(store: e4.FileStore, wanted: config.Config, key: bytes | None = None) -> e4.Client:
    return e4.Client(e4.id_of(wanted.name), key, store, _clock, wanted.receiving_topic)


def write_identity(entries: str, key: str | None, replace: bool = False) -> None:
    """Write the configuration and the ID key.

    `entries` is JSON text, see `firmware.config`. `key` is 32 bytes in hexadecimal, or None: then the board keeps its
    key. A store that holds this client with this key is kept with all its topic keys. A store that holds anything else
    is refused and kept too, unless `replace` is set or the key in it is pending. Raises ValueError, OSError, E4Error;
    then the board holds what it held before.
    """
    wanted = json.loads(entries)
    checked = config.Config(wanted)
    if checked.problems:
        raise ValueError("not written: " + "; ".join(checked.problems))
    if key is not None:
        _install_key(checked, check_key(binascii.unhexlify(key)), replace)
    elif not holds(checked.name):
        raise e4.InvalidKey("this board holds no ID key of that name")
    with open(config.CONFIG_PATH + ".new", "w") as file:
        json.dump(wanted, file)
    os.rename(config.CONFIG_PATH + ".new", config.CONFIG_PATH)


def _install_key(wanted: config.Config, key: bytes, replace: bool) -> None:
    if _exists(config.KEYS_PATH):
        try:
            _client(e4.FileStore(config.KEYS_PATH), wanted, key)
            return
        except (e4.InvalidKey, e4.StoreError):
            if not replace and _state(wanted.name) != _PENDING:
                raise
    with open(_PENDING_PATH, "wb") as file:
        file.write(e4.proof_of_key(key, _NONCE))
    store = e4.FileStore(config.KEYS_PATH, True)
    _client(store, wanted, key)
    while store.tidy(16):
        pass


def prove(nonce: str) -> str:
    """Return a digest that shows which ID key this board holds, for a nonce of the host. Both are in hexadecimal."""
    client = _client(e4.FileStore(config.KEYS_PATH), config.load())
    return binascii.hexlify(client.prove_key(binascii.unhexlify(nonce))).decode()


def confirm() -> None:
    """Note that the host has had the key proved and keeps it. From now on the board gives it up only for `replace`."""
    _remove(_PENDING_PATH)


def holds(name: str) -> bool:
    """Tell whether this board holds a confirmed ID key of the client `name`."""
    return _state(name) == _CONFIRMED


def _state(name: str) -> int:
    """Tell whose key the store holds. Nothing is written."""
    try:
        client = e4.Client(e4.id_of(name), None, e4.FileStore(config.KEYS_PATH), _clock)
    except (e4.InvalidKey, e4.StoreError):  # There is no store, or it belongs to another client.
        return _FOREIGN
    try:
        with open(_PENDING_PATH, "rb") as file:
            return _PENDING if file.read() == client.prove_key(_NONCE) else _CONFIRMED
    except OSError:
        return _CONFIRMED


def _exists(path: str) -> bool:
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != ENOENT:
            raise
