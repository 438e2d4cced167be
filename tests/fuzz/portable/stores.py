"""The files of a `FileStore`: the root file, and the files of its records."""

import binascii
import os

import e4
from e4 import commands
from fuzz import mutation
from fuzz.mutation import pick
from fuzz.parser import Parser, check
from fuzz.portable.library import CLIENT, KEY, NOW, TOPIC, records_of

_PATH = "fuzz.keys"
_TOPICS = (TOPIC, "sensors/roof", "alarms")
_MAGIC = b"E4\x00\x02"


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def _make_folders(path):
    at = path.find("/")
    while at >= 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass  # it exists
        at = path.find("/", at + 1)


def _walk(path):
    """Return the paths of all files of a store, the root file first."""
    found = [path]
    folders = [path + ".d"]
    while folders:
        folder = folders.pop()
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            inner = folder + "/" + name
            # The type of a file is among the bits of its mode.
            (folders if os.stat(inner)[0] & 0x4000 else found).append(inner)
    return found


def _remove_all():
    for path in _walk(_PATH) + [_PATH + ".new"]:
        try:
            os.remove(path)
        except OSError:
            pass


def _crc(data, name=""):
    return binascii.crc32(data, binascii.crc32(name.encode())).to_bytes(4, "little")


def _root(dice, image):
    """Return a root file: a changed one, or one that is put together from parts. In half of the cases its CRC fits."""
    if dice.below(2):
        body = mutation.mutate(dice, (image[:-4],))
    else:
        body = pick(dice, (_MAGIC, _MAGIC, b"E4\x00\x01")) + image[4:8] + bytes((dice.below(3),))
        for _ in range(dice.below(5)):
            name = pick(dice, (b"c", b"x", b"id", b"t" + e4.topic_hash(TOPIC), mutation.noise(dice, 80)))[:255]
            record = mutation.noise(dice, 120)
            n = pick(dice, (len(record), len(record), 65535, 65534, 0, len(record) + 1))
            body += bytes((pick(dice, (len(name), len(name), len(name), dice.below(256))),)) + n.to_bytes(2, "little")
            body += name + (b"" if n == 65535 else record)
    return body + (_crc(body) if dice.below(2) else image[-4:])


class Store(Parser):
    """All files of a client's store, of which one or two are damaged."""

    refusals = (e4.StoreCorrupt, e4.StoreError)

    def __init__(self):
        self._lives = []
        _remove_all()
        client = self._open()
        for number, topic in enumerate(_TOPICS):
            self._apply(client, commands.set_topic_key(bytes((number + 1,)) * 32, topic), number)
            self._lives.append({path: _read(path) for path in _walk(_PATH)})
        # The last command was cut short: the root has its change, and the file of the record does not.
        before = dict(self._lives[-1])
        self._apply(client, commands.set_topic_key(b"last" * 8, TOPIC), 4)
        before[_PATH] = _read(_PATH)
        self._lives.append(before)
        self._apply(client, commands.reset_topics(), 5)
        self._lives.append({path: _read(path) for path in _walk(_PATH)})

    def _open(self):
        return e4.Client(CLIENT, KEY, e4.FileStore(_PATH), lambda: NOW)

    def _apply(self, client, plain, number):
        client.unprotect(e4.protect(plain, KEY, NOW - 100 + number), client.receiving_topic)

    def make(self, dice):
        files = dict(pick(dice, self._lives))
        for _ in range(1 + dice.below(2)):
            self.damage(dice, files)
        return files

    def damage(self, dice, files):
        """Damage one of the files."""
        raise NotImplementedError

    def place(self, files):
        """Write the files of an input, and remove all others."""
        _remove_all()
        for path, content in sorted(files.items()):
            _make_folders(path)
            _write(path, content)

    def check_same(self, files):
        """Raise Broken unless the files are still those of the input."""
        for path, content in files.items():
            check(_read(path) == content, "a file was changed although it was refused: " + path)


class Root(Store):
    """A root file in which anything may be wrong."""

    def damage(self, dice, files):
        files[_PATH] = _root(dice, files[_PATH])

    def parse(self, given):
        self.place(given)
        try:
            store = e4.FileStore(_PATH)
        except e4.StoreError:
            check(_read(_PATH) == given[_PATH], "a root file was changed although it was refused")
            # Whoever wants a new store gets one, whatever is there.
            fresh = e4.FileStore(_PATH, True)
            check(not fresh.names(), "a fresh store has records")
            fresh.commit({b"id": b"new", b"c": b"new too"})
            check(records_of(e4.FileStore(_PATH)) == {b"id": b"new", b"c": b"new too"}, "a fresh store forgets")
            raise
        found = records_of(store)
        store.commit({b"z": b"another record"})
        while store.tidy(16):
            pass
        store = e4.FileStore(_PATH)
        check(store.get(b"z") == b"another record", "a record that was written is missing")
        store.commit({b"z": None})
        again = records_of(e4.FileStore(_PATH))
        found.pop(b"z", None)
        check(again == found, "an accepted root file is another one after a commit")


class Record(Store):
    """The file of a record in which anything may be wrong."""

    def damage(self, dice, files):
        path = pick(dice, sorted(path for path in files if path != _PATH))
        body = mutation.mutate(dice, (files[path][:-4],))
        if dice.below(2):
            body = files[path][:8] + body[8:]
        files[path] = body + (_crc(body, path[path.rfind("/") + 1 :]) if dice.below(2) else files[path][-4:])

    def parse(self, given):
        self.place(given)
        store = e4.FileStore(_PATH)
        given = {path: _read(path) for path in given}  # opening has finished the last command
        try:
            client = e4.Client(CLIENT, KEY, store, lambda: NOW)
            # A record of another generation does not count; without the client's record a new client begins.
            given = {path: _read(path) for path in given}
            for topic in _TOPICS:
                if client.holds_key(topic):
                    client.protect_message(b"x", topic)
            self._apply(client, commands.set_topic_key(b"more" * 8, "another"), 6)
        except e4.StoreError:
            self.check_same(given)
            raise
        except (e4.InvalidKey, e4.NotAuthentic, e4.Replayed):
            # The CRC fits, and the keys in it are others. Nobody can tell that from an intended change.
            self.check_same(given)
