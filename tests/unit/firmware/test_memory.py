"""How much heap receiving a message takes.

Only MicroPython measures it. On CPython these tests show no more than that the code runs.
"""

import gc

from firmware.packets import PacketReader
from helpers.portable.board_end import BoardSocket


class _Source(BoardSocket):
    """A socket on which all data has already arrived. Reading from it allocates no memory."""

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


def _measure_allocation(reader, size):
    """Return how many bytes the reader allocates to receive a message of this size."""
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
    _measure_allocation(reader, 200)
    small = _measure_allocation(reader, 200)
    assert _measure_allocation(reader, 4000) == small < 3000
    # This message is larger than the reader accepts, so it is skipped.
    assert _measure_allocation(reader, 16000) <= small + 200
