"""The heap that receiving takes. MicroPython alone can tell: on CPython these only show that the code runs."""

import gc

from firmware.packets import PacketReader
from helpers.portable.board_end import BoardSocket


class _Source(BoardSocket):
    """A socket that has everything ready and allocates nothing."""

    def __init__(self, data):
        super().__init__()
        self._data = memoryview(data)
        self._at = 0

    def readinto(self, buffer):
        n = len(buffer)
        for i in range(n):
            buffer[i] = self._data[self._at + i]
        self._at += n
        return n


def _allocated(reader, size):
    """Return how much is allocated to receive a message of that size."""
    body = b"\x00\x05topic" + bytes(size)
    source = _Source(b"\x30" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body)
    reader.start(source)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    assert reader.step()
    after = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
    gc.enable()
    assert reader.size == size
    return after - before


def test_receiving_allocates_the_same_for_all_sizes():
    reader = PacketReader(4096)
    _allocated(reader, 200)
    small = _allocated(reader, 200)
    assert _allocated(reader, 4000) == small < 3000
    assert _allocated(reader, 16000) <= small + 200  # and is skipped
