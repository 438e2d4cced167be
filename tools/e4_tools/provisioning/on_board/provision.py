"""What makes a board a member of a fleet. The host sends it over the serial port: it is needed once, and not kept.

Nothing here reads a key back.
A key is pending from when it is written until the host has had it proved and calls `confirm`. A host that was killed
before may have lost it, so that a pending key, and only that, gives way to another one without being asked twice.
"""

import binascii
import json
import os
from errno import ENOENT

import e4
from e4.siv import check_key
from firmware import config

_PENDING_PATH = "/e4.pending"  # a proof of the key that is pending
_NONCE = b"pending"
_FOREIGN, _PENDING, _CONFIRMED = range(3)


def _clock():
    raise e4.ClockNotSet("provisioning needs no clock")


def _client(store: e4.FileStore, wanted: config.Config, key: bytes | None = None) -> e4.Client:
    return e4.Client(e4.id_of(wanted.name), key, store, _clock, wanted.receiving_topic)


def install(entries: str, key: str | None, replace: bool = False) -> None:
    """Write configuration (JSON text, see `firmware.config`) and ID key (32 bytes in hexadecimal; None: as it is).

    A store that holds this client with this key is kept, topic keys and all. Any other store is kept too and
    refused, unless `replace` is set or its key is pending. Raises ValueError, OSError, E4Error; then the old state
    stands.
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
    """Return a digest that shows which ID key this board holds, for a nonce (hexadecimal) of the host's choice."""
    client = _client(e4.FileStore(config.KEYS_PATH), config.load())
    return binascii.hexlify(client.prove_key(binascii.unhexlify(nonce))).decode()


def confirm() -> None:
    """Note that the host has had the key proved and keeps it. From now on only `replace` gives it up."""
    _remove(_PENDING_PATH)


def holds(name: str) -> bool:
    """Tell whether this board holds a confirmed ID key of the client `name`."""
    return _state(name) == _CONFIRMED


def _state(name: str) -> int:
    """Tell whose key the store holds, without touching it."""
    try:
        client = e4.Client(e4.id_of(name), None, e4.FileStore(config.KEYS_PATH), _clock)
    except (e4.InvalidKey, e4.StoreError):  # there is none, or it belongs to another client
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
