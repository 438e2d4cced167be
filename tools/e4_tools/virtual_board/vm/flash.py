"""The flash chip. It is a block device for littlefs whose blocks are in an image file.

When garbage collection closes a file, it calls the device while the heap is locked. So reading and writing allocate
nothing, and they answer a failure with a negative errno, because an exception could not be allocated.
"""

from micropython import const

_BLOCK = const(4096)  # bytes
_PAGE = const(256)  # bytes that are erased by one write
_INIT = const(1)
_DEINIT = const(2)
_SYNC = const(3)
_BLOCK_COUNT = const(4)
_BLOCK_SIZE = const(5)
_ERASE = const(6)
_EIO = const(5)
_EINVAL = const(22)


class Flash:
    """A block device on an image file.

    `file` is the image, opened without a buffer for reading and writing. `blocks` is its size in blocks of 4 KiB.
    """

    def __init__(self, file, blocks):
        self._file = file
        self._blocks = blocks
        self._erased = b"\xff" * _PAGE

    def readblocks(self, block, buf, offset=0):
        """Fill `buf` with the bytes from `offset` in `block` on. Return 0 or a negative errno."""
        try:
            self._file.seek(block * _BLOCK + offset)
            return 0 if self._file.readinto(buf) == len(buf) else -_EIO
        except OSError:
            return -_EIO

    def writeblocks(self, block, buf, offset=None):
        """Write `buf` at `offset` in `block`. Without `offset`, erase first. Return 0 or a negative errno."""
        if offset is None:
            for i in range(len(buf) // _BLOCK):
                if self._erase(block + i):
                    return -_EIO
            offset = 0
        try:
            self._file.seek(block * _BLOCK + offset)
            return 0 if self._file.write(buf) == len(buf) else -_EIO
        except OSError:
            return -_EIO

    def ioctl(self, op, arg):
        """Carry out an operation of the block device protocol. Return its result, 0, or a negative errno."""
        if op in (_INIT, _DEINIT, _SYNC):
            return 0
        if op == _BLOCK_COUNT:
            return self._blocks
        if op == _BLOCK_SIZE:
            return _BLOCK
        if op == _ERASE:
            return self._erase(arg)
        return -_EINVAL

    def is_blank(self):
        """Tell whether every byte is 0xFF, which is the state of erased flash."""
        page = bytearray(_PAGE)
        for at in range(self._blocks * (_BLOCK // _PAGE)):
            if self.readblocks(0, page, at * _PAGE) or page != self._erased:
                return False
        return True

    def _erase(self, block):
        """Erase one block. Return 0 or a negative errno."""
        try:
            self._file.seek(block * _BLOCK)
            for _ in range(_BLOCK // _PAGE):
                if self._file.write(self._erased) != _PAGE:
                    return -_EIO
            return 0
        except OSError:
            return -_EIO
