"""Records that cannot be written: they wait, and neither they nor any other key is lost."""

import binascii
import os

import e4
from helpers.portable.store_files import remove_store
from helpers.portable.support import raises

_PATH = "e4-test-waiting"


def _clean():
    remove_store(_PATH)


def _write(data, path=_PATH):
    with open(path, "wb") as file:
        file.write(data)


def _make_client():
    return e4.Client(e4.id_of("board"), b"k" * 32, e4.FileStore(_PATH), lambda: 1774894944)


def _give_key(client, topic, key=b"t" * 32):
    client.unprotect(e4.protect(e4.commands.set_topic_key(key, topic), b"k" * 32, 1774894944), client.receiving_topic)


def _remove_topic(client, topic):
    client.unprotect(e4.protect(e4.commands.remove_topic(topic), b"k" * 32, 1774894944), client.receiving_topic)


def _block(topic):
    """Put a folder with something in it where the file of a topic's record belongs. Return its path."""
    name = binascii.hexlify(b"t" + e4.topic_hash(topic)).decode()
    folder = "{}.d/{}".format(_PATH, name[2])
    for path in (folder, folder + "/" + name):
        try:
            os.mkdir(path)
        except OSError:
            pass
    _write(b"?", folder + "/" + name + "/x")
    return folder + "/" + name


def _unblock(path):
    os.remove(path + "/x")
    os.rmdir(path)


def test_a_record_that_cannot_be_written_keeps_no_other_waiting():
    _clean()
    client = _make_client()
    path = _block("blocked")
    for number in range(3):
        _give_key(client, "blocked", bytes((number + 1,)) * 32)
        _give_key(client, "free", bytes((number + 1,)) * 32)
        for again in (client, _make_client()):
            for topic in ("blocked", "free"):
                payload = again.protect_message(b"x", topic)
                assert e4.unprotect(payload, bytes((number + 1,)) * 32, 1774894944) == b"x"
    _remove_topic(client, "free")
    assert not _make_client().holds_key("free")
    _unblock(path)
    _give_key(client, "other")
    # The record that waited is a file now, and no longer part of the root.
    _give_key(client, "another")
    assert os.stat(path)[6] == 84
    assert os.stat(_PATH)[6] < 200
    assert _make_client().holds_key("blocked")
    _clean()


def test_a_folder_that_is_a_file_keeps_no_other_topic_waiting():
    _clean()
    client = _make_client()
    folder = _block("blocked")
    _unblock(folder)
    folder = folder[: folder.rfind("/")]
    os.rmdir(folder)
    _write(b"a file", folder)
    _give_key(client, "blocked")
    _give_key(client, "free")
    for again in (client, _make_client()):
        assert again.holds_key("blocked")
        assert again.holds_key("free")
    os.remove(folder)
    assert _make_client().holds_key("blocked")
    _clean()


def test_a_record_that_cannot_be_removed_is_gone_all_the_same():
    _clean()
    client = _make_client()
    path = _block("blocked")
    _give_key(client, "blocked")
    _remove_topic(client, "blocked")
    _give_key(client, "free")
    for again in (client, _make_client()):
        assert not again.holds_key("blocked")
        assert again.holds_key("free")
    _unblock(path)
    _clean()


def _holds(client, topic):
    """Return whether the client holds a key, where a folder may be in the place of its file."""
    try:
        return client.holds_key(topic)
    except e4.StoreCorrupt:
        return False


def test_so_many_records_may_wait_until_no_more_can_be_added():
    _clean()
    client = _make_client()
    topics = ["blocked/{}".format(number) for number in range(40)]
    paths = [_block(topic) for topic in topics]
    _give_key(client, "free")
    _give_key(client, "free/too")
    waiting = 0
    try:
        for topic in topics:
            _give_key(client, topic)
            waiting += 1
    except e4.StoreError:
        pass
    assert 20 <= waiting < 30
    # Nothing has changed, and nothing is lost.
    for again in (client, _make_client()):
        assert [_holds(again, topic) for topic in topics] == [True] * waiting + [False] * (40 - waiting)
        assert again.holds_key("free")
    # A command of a later second has a root without the marks of this one, which takes less than a block of 4 KB.
    assert os.stat(_PATH)[6] < 4096
    raises(e4.StoreError, _give_key, client, topics[-1])
    # What takes no more room than before is no matter of the limit.
    id_key, new_key = b"k" * 32, b"n" * 32
    _give_key(client, "free", b"r" * 32)
    _give_key(client, topics[1], b"r" * 32)
    for old, new in ((id_key, new_key), (new_key, id_key)):
        client.unprotect(e4.protect(e4.commands.set_id_key(new), old, 1774894944), client.receiving_topic)
    for topic in ("free", topics[1]):
        e4.unprotect(_make_client().protect_message(b"x", topic), b"r" * 32, 1774894944)
    _remove_topic(client, "free/too")
    _remove_topic(client, topics[0])
    assert not _make_client().holds_key("free/too") and not _make_client().holds_key(topics[0])
    # There is room for others again.
    _give_key(client, "new")
    for again in (client, _make_client()):
        assert [_holds(again, topic) for topic in topics[1:waiting]] == [True] * (waiting - 1)
        assert again.holds_key("new")
    client.unprotect(e4.protect(e4.commands.reset_topics(), b"k" * 32, 1774894944), client.receiving_topic)
    for again in (client, _make_client()):
        assert not any([_holds(again, topic) for topic in topics + ["free", "new"]])
    _give_key(client, topics[-1])
    assert _make_client().holds_key(topics[-1])
    for path in paths:
        _unblock(path)
    _clean()


class _StoreWithoutMemory(e4.FileStore):
    """A store that has no memory left for the path of a record, once so many of them were made."""

    paths_left = 1000

    def _place(self, name):
        self.paths_left -= 1
        if self.paths_left == 0:
            raise MemoryError
        return super()._place(name)


def test_a_commit_is_refused_without_memory_or_it_is_made():
    refused = made = 0
    for paths in range(1, 6):
        _clean()
        store = _StoreWithoutMemory(_PATH)
        store.commit({b"ta": b"old"})
        store.paths_left = paths
        try:
            store.commit({b"ta": b"new"})
            made += 1
            expected = b"new"
        except MemoryError:
            refused += 1
            expected = b"old"
        store.paths_left = 1000
        assert store.get(b"ta") == expected and e4.FileStore(_PATH).get(b"ta") == expected
    assert refused and made > 1
    _clean()
