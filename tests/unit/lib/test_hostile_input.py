"""Noise, altered traffic, and strange commands under the right key.

Each of them must raise an E4Error and change nothing.
"""

import e4
from e4 import commands
from helpers.portable.support import Clock, Dice

_NOW = 1774894944
_ID = e4.id_of("board")
_ID_KEY = bytes(range(1, 33))
_TOPIC = "sensors/lab"
_TOPIC_KEY = b"t" * 32
_TOPICS = (_TOPIC, _TOPIC.encode(), e4.receiving_topic(_ID), "unknown", "", b"\xff\xfe", "x" * 513, None, 7, [_TOPIC])


class Board:
    def __init__(self):
        self.store = e4.MemoryStore()
        self.client = e4.Client(_ID, _ID_KEY, self.store, Clock(_NOW))
        self.unprotect(commands.set_topic_key(_TOPIC_KEY, _TOPIC), _NOW - 100)

    def unprotect(self, plain, stamp):
        return self.client.unprotect(e4.protect(plain, _ID_KEY, stamp), self.client.receiving_topic)

    def state(self):
        return {name: self.store.get(name) for name in self.store.names()}, self.client.applied, self.client.floor

    def refuses(self, payload, topic):
        before = self.state()
        try:
            self.client.unprotect(payload, topic)
        except e4.E4Error:
            assert self.state() == before
            return
        raise AssertionError("{!r} was accepted on {!r}".format(payload, topic))


def test_noise_is_refused_on_every_topic():
    board, dice = Board(), Dice(3)
    for number in range(600):
        noise = dice.bytes(dice.below(70))
        if number % 2:
            noise = (_NOW - dice.below(700) + 50).to_bytes(8, "little") + noise
        board.refuses((bytes, bytearray, memoryview)[number % 3](noise), _TOPICS[number % len(_TOPICS)])


def test_every_flipped_byte_and_every_truncation_is_refused():
    board, dice = Board(), Dice(4)
    command = e4.protect(commands.set_topic_key(b"u" * 32, _TOPIC), _ID_KEY, _NOW)
    for payload, topic in ((e4.protect(b"21.5 C", _TOPIC_KEY, _NOW), _TOPIC), (command, board.client.receiving_topic)):
        for at in range(len(payload)):
            flipped = bytearray(payload)
            flipped[at] ^= 1 + dice.below(255)
            board.refuses(flipped, topic)
            board.refuses(payload[:at], topic)
        board.refuses(payload + b"\0", topic)


def test_strange_commands_under_the_right_key_change_nothing():
    board, dice = Board(), Dice(5)
    right = {0: 17, 1: 1, 2: 33, 3: 49}
    for number in range(400):
        size = (1, 16, 17, 18, 32, 33, 34, 48, 49, 50, 65)[dice.below(11)]
        plain = bytes((dice.below(10) if number % 4 else dice.below(256),)) + dice.bytes(size - 1)
        if right.get(plain[0]) != size:
            board.refuses(e4.protect(plain, _ID_KEY, _NOW), board.client.receiving_topic)
    for plain in (b"\x02" + bytes(32), b"\x03" + bytes(32) + e4.topic_hash(_TOPIC)):
        board.refuses(e4.protect(plain, _ID_KEY, _NOW), board.client.receiving_topic)


def test_a_command_is_no_message_and_a_message_no_command_whatever_they_hold():
    board, dice = Board(), Dice(6)
    for _ in range(60):
        plain = bytes((dice.below(4),)) + dice.bytes((16, 0, 32, 48)[dice.below(4)])
        board.refuses(e4.protect(plain, _TOPIC_KEY, _NOW), board.client.receiving_topic)
        board.refuses(e4.protect(plain, _ID_KEY, _NOW), _TOPIC)
