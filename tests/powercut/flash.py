"""A flash chip in RAM for littlefs, whose power can be cut at any program and any erase.

It obeys the rules of NOR flash: an erase sets every bit of a block, and a program only clears bits. A program that
would have to set a bit is refused and counted in `violations`.

MicroPython's garbage collector closes open files while the heap is locked, and littlefs then calls this flash. So
reading and writing allocate no memory, and report a failure as a negative errno instead of an exception.

After a cut every write is refused. `image` then holds what the cut left behind; a new `Flash` can start from it.
"""

import micropython
from micropython import const

BLOCK = 4096
# After a clean cut, the operation at which the power failed has not taken place at all.
CLEAN = 0
# After a torn cut, a part of that operation has taken place. A torn erase also leaves some random bits behind.
TORN = 1

_BLOCK = const(4096)
_BLOCK_COUNT = const(4)
_BLOCK_SIZE = const(5)
_ERASE = const(6)
_EIO = const(5)


@micropython.viper
def _copy(dst, dst_at: int, src, src_at: int, n: int):
    to = ptr8(dst)
    of = ptr8(src)
    i = 0
    while i < n:
        to[dst_at + i] = of[src_at + i]
        i += 1


@micropython.viper
def _sets_a_bit(image, at: int, data, n: int) -> int:
    there = ptr8(image)
    new = ptr8(data)
    i = 0
    while i < n:
        if new[i] & (there[at + i] ^ 255):
            return 1
        i += 1
    return 0


@micropython.viper
def _fill(image, at: int, n: int):
    there = ptr8(image)
    i = 0
    while i < n:
        there[at + i] = 255
        i += 1


@micropython.viper
def _set_some_bits(image, at: int, n: int, seed: int):
    there = ptr8(image)
    i = 0
    while i < n:
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        there[at + i] = there[at + i] | (seed >> 16)
        i += 1


class Flash:
    """The chip. `Flash(blank(64))` is a new chip of 64 blocks.

    `image` is its content, a bytearray of whole blocks that is changed in place. `programs` and `erases` count the
    operations, and `programmed` counts the bytes programmed.

    The power fails at operation number `cut_at`, counted from 1; 0 means never. `kind` is CLEAN or TORN. `chance` is a
    random number that decides how much of a torn operation takes place.
    """

    def __init__(self, image, cut_at=0, kind=CLEAN, chance=0):
        self.image = image
        self.is_cut = False
        self.programs = self.erases = self.programmed = self.violations = 0
        self._cut_at = cut_at
        self._kind = kind
        self._chance = chance

    @property
    def operations(self):
        """The number of programs and erases so far."""
        return self.programs + self.erases

    def counted(self):
        """Return the numbers of programs, of erases and of bytes programmed."""
        return self.programs, self.erases, self.programmed

    def readblocks(self, block, buf, offset=0):
        _copy(buf, 0, self.image, block * _BLOCK + offset, len(buf))
        return 0

    def writeblocks(self, block, buf, offset=0):
        if self.is_cut:
            return -_EIO
        size = len(buf)
        at = block * _BLOCK + offset
        if _sets_a_bit(self.image, at, buf, size):
            self.violations += 1
            return -_EIO
        self.programs += 1
        self.programmed += size
        if self.programs + self.erases == self._cut_at:
            self.is_cut = True
            if self._kind:
                _copy(self.image, at, buf, 0, 1 + self._chance % (size - 1) if size > 1 else 0)
            return -_EIO
        _copy(self.image, at, buf, 0, size)
        return 0

    def ioctl(self, op, arg):
        if op == _BLOCK_COUNT:
            return len(self.image) // _BLOCK
        if op == _BLOCK_SIZE:
            return _BLOCK
        if op == _ERASE:
            return self._erase(arg * _BLOCK)
        return 0

    def _erase(self, at):
        if self.is_cut:
            return -_EIO
        self.erases += 1
        if self.programs + self.erases == self._cut_at:
            self.is_cut = True
            if self._kind:
                erased = self._chance % _BLOCK
                _fill(self.image, at, erased)
                _set_some_bits(self.image, at + erased, (_BLOCK - erased) // 2, self._chance)
            return -_EIO
        _fill(self.image, at, _BLOCK)
        return 0


def blank(blocks):
    """Return the image of an erased chip with so many blocks."""
    return bytearray(b"\xff" * (blocks * BLOCK))
