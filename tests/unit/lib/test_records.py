"""The layout of the records of a client, byte for byte: boards and stores hold such records, so it must not change."""

import e4
from e4 import MemoryStore, records
from helpers.portable.support import raises

_ID = bytes(range(16))
_KEY = bytes(range(16, 48))
_FINGERPRINT = bytes(range(48, 56))
_PREVIOUS = bytes(range(56, 88))
_HASH = bytes(range(200, 216))
_TIME = 0x0102030405
_TIME_BYTES = b"\x05\x04\x03\x02\x01\x00\x00\x00"


def _store(changes):
    store = MemoryStore()
    store.commit(changes)
    return store


def test_the_layout_of_an_identity():
    for previous, previous_bytes in ((_PREVIOUS, _PREVIOUS), (None, bytes(32))):
        for topic in (b"", b"a/topic"):
            fields = (_ID, _KEY, _FINGERPRINT, previous, topic)
            changes = records.put_identity({}, fields)
            assert changes == {b"id": _ID + _KEY + _FINGERPRINT + previous_bytes + topic}
            assert records.get_identity(_store(changes)) == fields


def test_an_identity_that_is_missing_or_damaged():
    assert records.get_identity(MemoryStore(), True) == (b"", b"", b"", None, b"")
    raises(e4.StoreCorrupt, records.get_identity, MemoryStore())
    whole = _ID + _KEY + _FINGERPRINT + _PREVIOUS
    no_key = _ID + bytes(32) + _FINGERPRINT + _PREVIOUS
    for record in (b"", bytes(range(87)), no_key, whole + b"\xff", whole + b"a" * 513):
        for new in (False, True):
            raises(e4.StoreCorrupt, records.get_identity, _store({b"id": record}), new)


def test_the_layout_of_a_topic():
    name = b"t" + _HASH
    changes = {}
    records.put_topic(MemoryStore(), changes, _HASH, _KEY, _TIME)
    assert changes == {name: _KEY + bytes(40)}
    # Version 0.1.0 wrote only the key, as long as there was no previous one.
    for store in (_store(changes), _store({name: _KEY})):
        assert records.get_topic(store, _HASH) == (_KEY, None, 0)
        changes = {}
        records.put_topic(store, changes, _HASH, _PREVIOUS, _TIME)
        # The record of a key that was replaced must not be larger than before: a full flash has no room for it.
        assert changes == {name: _PREVIOUS + _KEY + _TIME_BYTES}
    store = _store(changes)
    assert records.get_topic(store, _HASH) == (_PREVIOUS, _KEY, _TIME)
    changes = {}
    records.put_topic(store, changes, _HASH, _PREVIOUS, _TIME + 1)
    assert changes == {}
    records.put_topic(store, changes, _HASH, None, _TIME)
    assert changes == {name: None}


def test_a_topic_that_is_missing_or_damaged():
    assert records.get_topic(MemoryStore(), _HASH) is None
    for size in (0, 31, 33, 64, 71, 73):
        store = _store({b"t" + _HASH: bytes(size)})
        raises(e4.StoreCorrupt, records.get_topic, store, _HASH)
        changes = {}
        records.put_topic(store, changes, _HASH, _KEY, _TIME)
        assert changes == {b"t" + _HASH: _KEY + bytes(40)}, size


def test_the_layout_of_the_last_commands():
    for marks in (b"12345678", b"12345678abcdefgh", bytes(8 * 1024)):
        changes = records.put_commands(_TIME, marks)
        assert changes == {b"c": _TIME_BYTES + marks}
        assert records.get_commands(_store(changes)) == (_TIME, marks)
    raises(e4.StoreError, records.put_commands, _TIME, bytes(8 * 1025))


def test_commands_that_are_missing_or_damaged():
    assert records.get_commands(MemoryStore()) == (0, b"")
    for size in (0, 7, 8, 15, 17):
        raises(e4.StoreCorrupt, records.get_commands, _store({b"c": bytes(size)}))
