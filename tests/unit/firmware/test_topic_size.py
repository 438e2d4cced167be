"""The longest topic is the same for the library, for topic filters and for the reader of packets."""

import e4
from firmware.filters import is_valid
from firmware.packets import PacketReader
from helpers.portable.board_end import BoardSocket
from helpers.portable.support import raises


class _Source(BoardSocket):
    """A socket on which all data has already arrived."""

    def __init__(self, data):
        super().__init__()
        self._data = data

    def readinto(self, buffer):
        n = len(buffer)
        buffer[:] = self._data[:n]
        self._data = self._data[n:]
        return n


def _read_publish(topic):
    """Return the topic and the payload that the reader takes from a PUBLISH (QoS 0) with the payload b"x"."""
    size = 2 + len(topic) + 1
    head = bytes((0x30, size & 0x7F | 0x80, size >> 7))
    reader = PacketReader(16)
    reader.start(_Source(head + len(topic).to_bytes(2, "big") + topic + b"x"))
    assert reader.step()
    return reader.topic, None if reader.payload is None else bytes(reader.payload)


def test_a_topic_of_512_bytes_is_the_longest():
    longest = "q" * 512
    assert e4.topic_hash(longest)
    assert is_valid(longest)
    assert _read_publish(longest.encode()) == (longest.encode(), b"x")
    longer = longest + "q"
    raises(e4.InvalidTopic, e4.topic_hash, longer)
    assert not is_valid(longer)
    assert _read_publish(longer.encode()) == (longest.encode(), None)
