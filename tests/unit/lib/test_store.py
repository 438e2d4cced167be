"""The store in files.

What was written must be read again. A damaged record must neither be used nor overwritten.
"""

import binascii
import os

import e4
from e4 import _files
from helpers.portable.store_files import record_files, remove_store
from helpers.portable.support import raises

try:
    from micropython import heap_lock, heap_unlock
except ImportError:
    # CPython has no heap that can be locked.

    def heap_lock():
        pass

    heap_unlock = heap_lock

_PATH = "e4-test-store"


def _clean():
    remove_store(_PATH)


def _read():
    with open(_PATH, "rb") as file:
        return file.read()


def _write(data, path=_PATH):
    with open(path, "wb") as file:
        file.write(data)


def _make_store():
    _clean()
    store = e4.FileStore(_PATH)
    store.commit({b"one": b"1", b"two": bytes(range(256)) * 2, b"empty": b""})
    return store


def test_what_is_committed_is_there_again():
    _make_store().commit({b"one": b"uno", b"empty": None, b"absent": None})
    again = e4.FileStore(_PATH)
    assert sorted(again.names()) == [b"one", b"two"]
    assert again.get(b"one") == b"uno"
    assert again.get(b"two") == bytes(range(256)) * 2
    assert again.get(b"empty") is None
    _clean()


def test_a_new_store_writes_nothing_until_it_is_told_to():
    _clean()
    assert e4.FileStore(_PATH).names() == []
    assert _PATH not in os.listdir()


def test_every_truncation_is_noticed_and_left_as_found():
    _make_store()
    image = _read()
    for n in range(0, len(image), 7):
        _write(image[:n])
        raises(e4.StoreCorrupt, e4.FileStore, _PATH)
        assert _read() == image[:n]
    _clean()


def test_every_flipped_byte_is_noticed():
    _make_store()
    image = _read()
    for i in range(0, len(image), 5):
        damaged = bytearray(image)
        damaged[i] ^= 0x10
        _write(damaged)
        raises(e4.StoreCorrupt, e4.FileStore, _PATH)
    _clean()


def test_a_file_of_something_else_is_not_taken_for_a_store():
    _write(b"somebody's holiday photographs, all of them")
    raises(e4.StoreCorrupt, e4.FileStore, _PATH)
    assert _read().startswith(b"somebody")
    _clean()


def test_an_interrupted_change_leaves_the_old_state():
    _make_store()
    _write(b"half of a new sta", _PATH + ".new")
    assert e4.FileStore(_PATH).get(b"one") == b"1"
    assert _PATH + ".new" not in os.listdir()
    _clean()


def test_a_change_that_cannot_be_written_changes_nothing():
    _clean()
    store = e4.FileStore("no-such-folder/" + _PATH)
    raises(e4.StoreError, store.commit, {b"one": b"1"})
    assert store.names() == []


def test_oversized_records_are_refused_whole():
    store = _make_store()
    before = _read()
    raises(e4.StoreError, store.commit, {b"one": b"new", b"big": bytes(16385)})
    raises(e4.StoreError, store.commit, {b"": b"nameless"})
    assert store.get(b"one") == b"1"
    assert _read() == before
    _clean()


def test_a_client_lives_through_restarts():
    _clean()
    clock, key = lambda: 1774894944, b"k" * 32
    client = e4.Client(e4.id_of("board"), key, e4.FileStore(_PATH), clock)
    command = e4.protect(e4.commands.set_topic_key(b"t" * 32, "topic"), key, clock())
    client.unprotect(command, client.receiving_topic)
    again = e4.Client(e4.id_of("board"), None, e4.FileStore(_PATH), clock)
    assert again.unprotect(client.protect_message(b"x", "topic"), "topic") == b"x"
    _clean()


def test_other_users_may_not_read_it():
    if not hasattr(os, "O_CREAT"):
        # MicroPython knows no users, and so no permissions.
        return
    _make_store()
    assert os.stat(_PATH).st_mode & 0o077 == 0
    _clean()


def test_records_that_do_not_fit_are_noticed_although_the_checksum_fits():
    for tail in (b"\x01", b"\x01\x09\x00ab", b"\x05\x00\x00ab"):
        image = b"E4\x00\x02gen!\x00" + tail
        _write(image + binascii.crc32(image).to_bytes(4, "little"))
        raises(e4.StoreCorrupt, e4.FileStore, _PATH)
    _clean()


def test_a_damaged_record_is_noticed_and_left_as_found():
    _make_store()
    (path,) = [path for path in record_files(_PATH) if path.endswith(binascii.hexlify(b"two").decode())]
    with open(path, "rb") as file:
        image = file.read()
    for damaged in (image[:-1], image[:20], b"", image[:30] + b"\xff" + image[31:], b"a" * 40):
        _write(damaged, path)
        # While the root file still holds the change of this record, it would repair the damage.
        _settle_root()
        _write(damaged, path)
        again = e4.FileStore(_PATH)
        raises(e4.StoreCorrupt, again.get, b"two")
        assert again.get(b"one") == b"1"
        while again.tidy(100):
            pass
        with open(path, "rb") as file:
            assert file.read() == damaged
    e4.FileStore(_PATH).commit({b"two": b"2"})
    assert e4.FileStore(_PATH).get(b"two") == b"2"
    _clean()


def _settle_root():
    """Commit another change, so that the root file no longer holds the record that a test is about."""
    e4.FileStore(_PATH).commit({b"xyz": b"?"})


def test_a_record_under_another_name_is_noticed():
    _make_store().commit({b"ten": b"10"})
    two, ten = [
        next(path for path in record_files(_PATH) if path.endswith(binascii.hexlify(name).decode()))
        for name in (b"two", b"ten")
    ]
    _settle_root()
    os.remove(ten)
    os.rename(two, ten)
    raises(e4.StoreCorrupt, e4.FileStore(_PATH).get, b"ten")
    _clean()


def test_an_interrupted_change_is_carried_out_when_the_store_is_opened():
    _make_store().commit({b"two": b"2", b"one": None})
    paths = record_files(_PATH)
    for path in paths:
        _write(b"E4 torn", path)
    again = e4.FileStore(_PATH)
    assert again.get(b"two") == b"2"
    assert again.get(b"one") is None
    _clean()


def test_what_is_cleared_is_gone_at_once_and_removed_in_steps():
    store = _make_store()
    for i in range(20):
        store.commit({b"t" + bytes((i * 13,)) * 16: bytes((i,))})
    store.commit({b"two": b"kept", b"c": b"now"}, True)
    for _ in range(2):
        assert sorted(store.names()) == [b"c", b"two"]
        store = e4.FileStore(_PATH)
    assert len(record_files(_PATH)) > 20
    store.commit({b"t" + bytes(16): b"again"})
    steps = 0
    while store.tidy(2):
        steps += 1
    assert steps >= 5
    assert len(record_files(_PATH)) == 2
    assert store.get(b"t" + bytes(16)) == b"again"
    assert store.get(b"two") == b"kept"
    assert store.tidy() is False
    _clean()


def test_a_fresh_store_replaces_the_old_one_in_one_step():
    _make_store()
    fresh = e4.FileStore(_PATH, True)
    assert fresh.names() == []
    assert e4.FileStore(_PATH).get(b"one") == b"1"
    fresh.commit({b"new": b"1"})
    for store in (fresh, e4.FileStore(_PATH)):
        assert store.names() == [b"new"]
        assert store.get(b"two") is None
    _write(b"no store at all")
    fresh = e4.FileStore(_PATH, True)
    fresh.commit({b"newer": b"1"})
    assert e4.FileStore(_PATH).names() == [b"newer"]
    _clean()


def test_the_size_of_a_change_does_not_depend_on_what_is_stored():
    _clean()
    store = e4.FileStore(_PATH)
    sizes = []
    for i in range(60):
        store.commit({b"t" + bytes((i * 4,)) * 16: bytes(72), b"c": bytes(16)})
        sizes.append(len(_read()))
    assert len(set(sizes)) == 1
    # littlefs keeps a file of this size inside its directory, which saves a block of flash.
    assert sizes[0] <= 128
    for path in record_files(_PATH):
        assert os.stat(path)[6] <= 128
    _clean()


def test_what_a_store_cannot_keep_is_refused_and_nothing_is_lost():
    impossible = ({b"": None}, {b"q" * 65: None}, {b"q" * 300: None}, {b"q": bytes(16385)})
    too_much = {bytes((i, i)): bytes(16384) for i in range(3)}
    for changes in impossible:
        raises(e4.StoreError, e4.MemoryStore().commit, changes)
    for changes in impossible + (too_much,):
        store = _make_store()
        raises(e4.StoreError, store.commit, changes)
        store.commit({b"one": b"uno"})
        for again in (store, e4.FileStore(_PATH)):
            assert sorted(again.names()) == [b"empty", b"one", b"two"]
            assert again.get(b"one") == b"uno"
    _clean()


def test_cleaning_up_that_fails_forgets_nothing_that_was_replaced():
    for error in (e4.StoreError("the flash is worn out"), MemoryError(), KeyboardInterrupt()):
        for meanwhile in (False, True):
            _check_failing_tidy(error, meanwhile)


def _check_failing_tidy(error, meanwhile):
    real, keeps = _files.write_zeros, _files.ON_LITTLEFS
    written = []
    expected = (e4.StoreError, MemoryError, KeyboardInterrupt)

    def recorded(path):
        written.append(path)
        real(path)

    def failing(path):
        # Handling the error must not need memory either.
        heap_lock()
        raise error

    # Only on a board do replaced files leave their contents in flash. This test is about cleaning those up.
    _files.ON_LITTLEFS = True
    try:
        store = _make_store()
        # Earlier tests may have left something to clean up.
        while store.tidy():
            pass
        store.commit({b"two": b"2"})
        store.tidy()
        if meanwhile:
            store.commit({b"empty": b"no longer"})
        _files.write_zeros = failing
        failed = False
        try:
            store.tidy()
        except expected:
            heap_unlock()
            failed = True
        _files.write_zeros = recorded
        while store.tidy():
            pass
    finally:
        _files.write_zeros, _files.ON_LITTLEFS = real, keeps
    assert failed
    folder = [path for path in written if path.startswith(_PATH + ".d/")]
    assert len(folder) >= _files.REWRITES
    if meanwhile:
        # The records "empty" and "two" are in these two folders.
        assert any(path.startswith(_PATH + ".d/6/") for path in written)
        assert any(path.startswith(_PATH + ".d/7/") for path in written)
    _clean()


def test_a_leftover_of_this_very_program_does_not_stop_the_next_change():
    store = _make_store()
    _write(b"interrupted", _PATH + ".new")
    store.commit({b"one": b"2"})
    assert e4.FileStore(_PATH).get(b"one") == b"2"
    _clean()


def test_a_store_that_another_program_has_changed_is_not_overwritten():
    store = _make_store()
    e4.FileStore(_PATH).commit({b"one": b"newer", b"c": b"newer"})
    raises(e4.StoreError, store.commit, {b"two": b"2"})
    assert store.get(b"one") == b"newer" and store.get(b"c") == b"newer"
    # By reading, the store has taken over the change of the other program. Now it may write.
    store.commit({b"two": b"2"})
    assert e4.FileStore(_PATH).get(b"two") == b"2"
    _clean()


def test_a_huge_file_is_not_read_into_memory():
    _clean()
    with open(_PATH, "wb") as file:
        for _ in range(1024):
            file.write(bytes(1024))
    raises(e4.StoreCorrupt, e4.FileStore, _PATH)
    fresh = e4.FileStore(_PATH, True)
    fresh.commit({b"one": b"1"})
    assert e4.FileStore(_PATH).names() == [b"one"]
    _clean()
