"""What makes a board a member of a fleet.

The host sends this code over the serial port once, and then calls its functions.

The board does not keep the code, because it is needed only while the board is being provisioned. No function here
returns a key.

A key is pending from the moment it is written until the host has had it proved and calls `confirm`. A host that was
killed in between may have lost the key. So a pending key gives way to another one without `replace`, and no other key
does.

The key that counts is the one under which the board obeys, the current one of its store. The library also knows two
older ones, the first key and the previous one; C2 has replaced those, and giving one of them back is a change of keys
like any other.
"""

import binascii
import json
import os
from errno import ENOENT

import e4
from e4 import records
from e4.siv import check_key
from firmware import config

_PENDING_PATH = "/e4.pending"  # holds a proof of the pending key; there is no such file when no key is pending
_NONCE = b"pending"  # for that proof
_FOREIGN, _PENDING, _CONFIRMED = range(3)


def _clock():
    raise e4.ClockNotSet("provisioning needs no clock")


def _client(store, name: str, key: bytes | None = None, receiving_topic: str | None = None) -> e4.Client:
    return e4.Client(e4.id_of(name), key, store, _clock, receiving_topic)


def write_identity(entries: str, key: str | None, replace: bool = False) -> None:
    """Write the configuration and the ID key.

    `entries` is JSON text, see `firmware.config`. `key` is 32 bytes in hexadecimal, or None: then the board keeps its
    key. A store whose current key for this client is this one is kept with all its topic keys; with `replace` it gives
    up its older ID keys. A store that holds anything else is refused and kept too, unless `replace` is set or the key
    in it is pending; then the key takes the place of all that is in it.

    Raises ValueError, OSError, E4Error; then the board holds the keys and the configuration that it held before. Only
    if the configuration itself cannot be written, after the key was, the board has the new key and the old
    configuration. A power cut leaves the old keys or the new ones, and calling this again finishes it.
    """
    wanted = json.loads(entries)
    checked = config.Config(wanted)
    if checked.problems:
        raise ValueError("not written: " + "; ".join(checked.problems))
    if key is None and not holds(checked.name):
        raise e4.InvalidKey("this board holds no ID key of that name")
    try:
        # This comes before the keys, because it takes more room in flash than they do.
        with open(config.CONFIG_PATH + ".new", "w") as file:
            json.dump(wanted, file)
        if key is not None:
            _install_key(checked, check_key(binascii.unhexlify(key)), replace)
    except Exception:
        _remove(config.CONFIG_PATH + ".new")
        raise
    os.rename(config.CONFIG_PATH + ".new", config.CONFIG_PATH)


def _install_key(wanted: config.Config, key: bytes, replace: bool) -> None:
    if _exists(config.KEYS_PATH):
        try:
            store = e4.FileStore(config.KEYS_PATH)
            _client(store, wanted.name)  # raises if the store belongs to another client
            if records.get_identity(store)[1] == key:
                _client(store, wanted.name, None, wanted.receiving_topic)
                if replace:
                    _drop_older_keys(store)
                return
            raise e4.InvalidKey("the board holds another ID key of this client; C2 may have replaced the given one")
        except e4.E4Error:
            if not replace and _state(wanted.name) != _PENDING:
                raise
    changes = _first_records(wanted, key)
    with open(_PENDING_PATH, "wb") as file:
        file.write(e4.proof_of_key(key, _NONCE))
    store = e4.FileStore(config.KEYS_PATH, True)
    store.commit(changes)
    _overwrite_old_keys(store)


def _drop_older_keys(store: e4.FileStore) -> None:
    """Have a store know no other ID key than the current one. Under the previous one the client would still obey."""
    client_id, key, _, _, receiving_topic = records.get_identity(store)
    store.commit(records.put_identity({}, (client_id, key, e4.protection.fingerprint(key), None, receiving_topic)))
    _overwrite_old_keys(store)


def _overwrite_old_keys(store: e4.FileStore) -> None:
    """Overwrite what was replaced, as far as possible. What fails, the board does later when it is idle."""
    try:
        while store.tidy(16):
            pass
    except (e4.StoreError, MemoryError):
        pass


def _first_records(wanted: config.Config, key: bytes) -> dict[bytes, bytes | None]:
    """Return the records of a client that begins with an ID key.

    If the store is the same client's, the time of its last command and the marks of the commands of that time stay. A
    key that the client has held before would otherwise open recorded commands once more.
    """
    begun = e4.MemoryStore()
    _client(begun, wanted.name, key, wanted.receiving_topic)
    changes: dict[bytes, bytes | None] = {name: begun.get(name) for name in begun.names()}
    try:
        store = e4.FileStore(config.KEYS_PATH)
        _client(store, wanted.name)  # raises if the store belongs to another client
        timestamp, marks = records.get_commands(store)
        if timestamp:
            changes.update(records.put_commands(timestamp, marks))
    except e4.E4Error:
        pass  # There is no store, or not one of this client, or it is damaged.
    return changes


def prove(nonce: str, name: str | None) -> tuple[str, str] | None:
    """Return a client's ID, and a digest that shows which ID key this board holds for it. All are in hexadecimal.

    The client is `name`, or the one that the configuration names. Return None if the board holds no key of it. The
    digest is over the ID and the host's nonce, so that it proves nothing about another client with the same key.
    """
    try:
        client = _client(e4.FileStore(config.KEYS_PATH), config.load().name if name is None else name)
    except e4.E4Error:
        return None
    proof = client.prove_key(client.id + binascii.unhexlify(nonce))
    return binascii.hexlify(client.id).decode(), binascii.hexlify(proof).decode()


def confirm() -> None:
    """Note that the host has had the key proved and keeps it. From now on the board gives it up only for `replace`."""
    _remove(_PENDING_PATH)


def holds(name: str) -> bool:
    """Tell whether this board holds a confirmed ID key of the client `name`."""
    return _state(name) == _CONFIRMED


def _state(name: str) -> int:
    """Tell whose key the store holds. Nothing is written."""
    try:
        client = _client(e4.FileStore(config.KEYS_PATH), name)
    except e4.E4Error:  # There is no store, or it belongs to another client.
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
