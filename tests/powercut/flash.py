"""A flash chip in RAM for littlefs, whose power can be cut at any program and any erase.

It obeys the rules of NOR flash: an erase sets every bit of a block, a program only clears bits (one that would
have to set a bit is refused and counted in `violations`). Finalisers of open files call it while the heap is
locked, so the data path allocates nothing, and a failure is a negative errno instead of an exception. After a cut
every write is refused; what the power left behind is `image`, to be given to a new `Flash`.
"""

import micropython
from micropython import const

BLOCK = 4096
CLEAN = 0  # the operation at the cut does not take place
TORN = 1  # a beginning of it takes place; of an erase, some bits are left as chance will have it

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
    """`image`: its content, a bytearray of whole blocks, written in place. `Flash(blank(64))` is a new chip.

    `programs`, `erases` and `programmed` (bytes) count what was done. `cut_at`: the number of the program or
    erase, from 1, at which the power fails, or 0; `kind`: CLEAN or TORN; `chance`: how much of a torn one is done.
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
        """Programs and erases so far."""
        return self.programs + self.erases

    def counted(self):
        """Return programs, erases, bytes programmed."""
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
    """Return the image of an erased chip."""
    return bytearray(b"\xff" * (blocks * BLOCK))
