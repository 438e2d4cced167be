"""The store in a file: what is written is read again, and what is damaged is neither used nor overwritten."""

import binascii
import os

from support import raises

import e4

_PATH = "e4-test-store"


def _clean():
    for path in (_PATH, _PATH + ".new"):
        try:
            os.remove(path)
        except OSError:
            pass


def _read():
    with open(_PATH, "rb") as file:
        return file.read()


def _write(data, path=_PATH):
    with open(path, "wb") as file:
        file.write(data)


def _filled():
    _clean()
    store = e4.FileStore(_PATH)
    store.commit({b"one": b"1", b"two": bytes(range(256)) * 2, b"empty": b""})
    return store


def test_what_is_committed_is_there_again():
    _filled().commit({b"one": b"uno", b"empty": None, b"absent": None})
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
    _filled()
    image = _read()
    for n in range(0, len(image), 7):
        _write(image[:n])
        raises(e4.StoreCorrupt, e4.FileStore, _PATH)
        assert _read() == image[:n]
    _clean()


def test_every_flipped_byte_is_noticed():
    _filled()
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
    _filled()
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
    store = _filled()
    before = _read()
    raises(e4.StoreError, store.commit, {b"one": b"new", b"big": bytes(65536)})
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
        return  # MicroPython knows no other users
    _filled()
    assert os.stat(_PATH).st_mode & 0o077 == 0
    _clean()


def test_records_that_do_not_fit_are_noticed_although_the_checksum_fits():
    for tail in (b"\x01", b"\x03ab", b"\x01a\x09\x00b"):
        image = b"E4 store 1\n" + tail
        _write(image + binascii.crc32(image).to_bytes(4, "little"))
        raises(e4.StoreCorrupt, e4.FileStore, _PATH)
    _clean()


def test_a_leftover_of_this_very_program_does_not_stop_the_next_change():
    store = _filled()
    _write(b"interrupted", _PATH + ".new")
    store.commit({b"one": b"2"})
    assert e4.FileStore(_PATH).get(b"one") == b"2"
    _clean()
