"""What the host calls over the serial port to make a board a member of a fleet. Nothing here reads a key back."""

import binascii
import json
import os

import e4
from e4.siv import check_key
from firmware import config


def _clock():
    raise e4.ClockNotSet("provisioning needs no clock")


def _client(path: str, wanted: config.Config, key: bytes | None = None):
    return e4.Client(e4.id_of(wanted.name), key, e4.FileStore(path), _clock, wanted.receiving_topic)


def install(entries: str, key: str, replace: bool = False) -> None:
    """Write configuration (JSON text, see `firmware.config`) and ID key (32 bytes in hexadecimal).

    A store that holds this client with this key is kept, topic keys and all. Any other store is kept too and
    refused, unless `replace` is set. Raises ValueError, OSError, E4Error; then the old state stands.
    """
    wanted = json.loads(entries)
    checked = config.Config(wanted)
    if checked.problems:
        raise ValueError("not written: " + "; ".join(checked.problems))
    secret = check_key(binascii.unhexlify(key))
    try:
        _client(config.KEYS_PATH, checked, secret)
    except (e4.InvalidKey, e4.StoreError):
        if not replace:
            raise
        following = config.KEYS_PATH + ".replacement"
        _client(following, checked, secret)
        os.rename(following, config.KEYS_PATH)
    config.save(wanted)


def prove(nonce: str) -> str:
    """Return a digest that shows which ID key this board holds, for a nonce (hexadecimal) of the host's choice."""
    client = _client(config.KEYS_PATH, config.load())
    return binascii.hexlify(client.prove_key(binascii.unhexlify(nonce))).decode()
