"""A stand-in for the module `esp32`. Its key-value store (NVS) is kept in a file beside the flash image."""

import json

from host import link as _link
from micropython import const

HEAP_DATA = 4
HEAP_EXEC = 1
WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True

_NOT_FOUND = const(0x1102)
_NO_SPACE = const(0x1105)
_KEY_TOO_LONG = const(0x1109)
_INVALID_LENGTH = const(0x110C)
_NAME_MAX = const(15)  # characters
# The partition of 24 KiB has 5 usable pages with 126 entries of 32 bytes each.
_ENTRIES = const(630)
_NAMES = {
    _NOT_FOUND: "ESP_ERR_NVS_NOT_FOUND",
    _NO_SPACE: "ESP_ERR_NVS_NOT_ENOUGH_SPACE",
    _KEY_TOO_LONG: "ESP_ERR_NVS_KEY_TOO_LONG",
    _INVALID_LENGTH: "ESP_ERR_NVS_INVALID_LENGTH",
}

# The whole store as this run of the board sees it: for each namespace a dict from keys to values. A value is an int, or
# a str of hex digits for a blob. The store is None until the first use loads it.
_live = None


def raw_temperature():
    """Return the temperature of the chip in degrees Fahrenheit, which never changes here."""
    return 128


class NVS:
    """One namespace of the store.

    As on a board, a key or namespace of more than 15 characters, a missing key and a full store raise
    OSError(-code, name) with the codes of ESP-IDF.
    """

    def __init__(self, namespace):
        global _live  # noqa: PLW0603 (loaded at the first use)
        _check_name(namespace)
        if _live is None:
            _live = _load()
        self._name = namespace
        self._items = _live.setdefault(namespace, {})

    def set_i32(self, key, value):
        """Set the value of `key` to a signed 32-bit integer."""
        if not isinstance(value, int):
            raise TypeError(f"can't convert {type(value).__name__} to int")
        self._set(key, ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000)

    def get_i32(self, key):
        """Return the signed 32-bit integer of `key`."""
        return self._get(key, int)

    def set_blob(self, key, value):
        """Set the value of `key` to the bytes of a buffer."""
        self._set(key, bytes(memoryview(value)).hex())

    def get_blob(self, key, buffer):
        """Copy a blob to the start of `buffer` and return their number. Raises OSError if they do not fit."""
        value = bytes.fromhex(self._get(key, str))
        if len(value) > len(buffer):
            _fail(_INVALID_LENGTH)
        memoryview(buffer)[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        """Remove `key` and its value."""
        _check_name(key)
        if key not in self._items:
            _fail(_NOT_FOUND)
        del self._items[key]

    def commit(self):
        """Write this namespace to the file, so that it survives a reset.

        If the power is cut meanwhile, either all changes survive or none.
        """
        stored = _load()
        stored[self._name] = self._items
        _link.write_store(json.dumps(stored))

    def _set(self, key, value):
        """Set a value, or raise OSError and leave the old one if the partition has no room for it."""
        _check_name(key)
        old = self._items.get(key)
        self._items[key] = value
        if sum(sum(_entries(item) for item in items.values()) + 1 for items in _live.values()) > _ENTRIES:
            if old is None:
                del self._items[key]
            else:
                self._items[key] = old
            _fail(_NO_SPACE)

    def _get(self, key, kind):
        """Return the value of a key. Raises OSError if there is none of this type."""
        _check_name(key)
        value = self._items.get(key)
        if not isinstance(value, kind):
            _fail(_NOT_FOUND)
        return value


def _entries(value):
    """Return how many entries of 32 bytes a value takes in the partition."""
    return 1 if isinstance(value, int) else 2 + (len(value) // 2 + 31) // 32


def _check_name(name):
    """Raise TypeError or OSError if this is no name for a key or a namespace."""
    if not isinstance(name, str):
        raise TypeError(f"can't convert '{type(name).__name__}' object to str implicitly")
    if len(name) > _NAME_MAX:
        _fail(_KEY_TOO_LONG)


def _fail(code):
    """Raise OSError as ESP-IDF's error `code` does on a board."""
    raise OSError(-code, _NAMES[code])


def _load():
    """Return the store as it is in the file, or an empty one if there is no file."""
    text = _link.read_store()
    return json.loads(text) if text else {}
