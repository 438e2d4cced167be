"""Damage to any file of a client's store.

The client must answer correctly or with an error, and it must not change the damaged file.
"""

import os

import e4
from e4 import commands
from helpers.portable.support import Clock, Dice, raises

_PATH = "e4-damaged"
_ID = e4.id_of("board")
_ID_KEY = bytes(range(1, 33))
_TOPICS = ("sensors/lab", "sensors/roof", "alarms")
_NONCE = b"sixteen bytes..."
_NOW = 1774894944


def _walk(path):
    """Yield the paths of all files of the store."""
    yield path
    folders = [path + ".d"]
    while folders:
        folder = folders.pop()
        for name in os.listdir(folder):
            inner = folder + "/" + name
            try:
                os.listdir(inner)
                folders.append(inner)
            except OSError:
                yield inner


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def _remove_all():
    try:
        paths = list(_walk(_PATH))
    except OSError:
        return
    for path in paths:
        try:
            os.remove(path)
        except OSError:
            pass


def _open():
    return e4.Client(_ID, _ID_KEY, e4.FileStore(_PATH), Clock(_NOW))


def _command(client, plain):
    client.unprotect(e4.protect(plain, _ID_KEY, _NOW), client.receiving_topic)


def _make_files():
    """Make the files of a client with three topics. Return their contents by path.

    A power cut has interrupted the last command: the root file holds its change, and the file of the record does not.
    """
    _remove_all()
    client = _open()
    for number, topic in enumerate(_TOPICS):
        for generation in (1, 16):
            _command(client, commands.set_topic_key(bytes((number + generation,)) * 32, topic))
    before = {path: _read(path) for path in _walk(_PATH)}
    _command(client, commands.set_topic_key(b"last" * 8, _TOPICS[0]))
    before[_PATH] = _read(_PATH)
    return before


def _right_answers():
    client = _open()
    return [client.prove_key(_NONCE)] + [client.protect_message(b"x", topic) for topic in _TOPICS]


def _ask_client():
    """Return the answers of a client on the damaged files. An answer is None if the client refused it.

    Raises StoreCorrupt if the store cannot be opened.
    """
    client = _open()
    asked = [(client.prove_key, _NONCE)] + [(client.protect_message, b"x", topic) for topic in _TOPICS]
    answers = []
    for question in asked:
        try:
            answers.append(question[0](*question[1:]))
        except e4.StoreCorrupt:
            answers.append(None)
    return answers


def _damage(files, right, path, damaged):
    """Damage one file, and check the answers of a client. Return whether it noticed the damage."""
    for other, content in files.items():
        _write(other, content)
    _write(path, damaged)
    try:
        answers = _ask_client()
    except e4.StoreCorrupt:
        answers = None
    if answers is not None:
        for i, answer in enumerate(answers):
            assert answer in (None, right[i])
        if None not in answers:
            return False
    assert _read(path) == damaged
    return True


def test_damage_is_noticed_or_harmless():
    files = _make_files()
    right = _right_answers()
    dice = Dice(7)
    noticed = tried = 0
    for path, content in files.items():
        for at in range(dice.below(3), len(content), 3):
            flipped = bytearray(content)
            flipped[at] ^= 1 + dice.below(255)
            for damaged in (content[:at], bytes(flipped), content + dice.bytes(1 + at % 9)):
                tried += 1
                noticed += _damage(files, right, path, damaged)
    # Only damage to the record whose writing was interrupted is harmless, because the root file repairs that record.
    records = len(files) - 1
    assert noticed > tried * (records - 1) // (records + 1)
    _remove_all()


def _file_of_second_topic(files):
    return next(path for path, content in files.items() if bytes((1 + 16,)) * 32 in content)


def test_other_topics_go_on_and_c2_mends_the_damaged_one():
    files = _make_files()
    path = _file_of_second_topic(files)
    _write(path, files[path][:-1])
    client = _open()
    raises(e4.StoreCorrupt, client.protect_message, b"x", _TOPICS[1])
    client.protect_message(b"x", _TOPICS[2])
    _command(client, commands.set_topic_key(b"mend" * 8, _TOPICS[1]))
    assert e4.unprotect(_open().protect_message(b"x", _TOPICS[1]), b"mend" * 8, _NOW) == b"x"
    _remove_all()


def test_housekeeping_leaves_damage_alone():
    files = _make_files()
    path = _file_of_second_topic(files)
    _write(path, b"\xff" + files[path][1:])
    store = e4.FileStore(_PATH)
    while store.tidy(4):
        pass
    assert _read(path) == b"\xff" + files[path][1:]
    _remove_all()
