"""Mounts a littlefs for the VM on an image file, and counts programmed bytes and erased blocks."""

import vfs
from flash import Flash

_BLOCKS = 512  # of 4 KiB: the 2 MB of a board


class CountingFlash(Flash):
    """A flash chip that counts. `programmed` is the number of bytes, and `erased` that of blocks, so far."""

    def __init__(self, file, blocks):
        super().__init__(file, blocks)
        self.programmed = 0
        self.erased = 0

    def writeblocks(self, block, buf, offset=None):
        self.programmed += len(buf)
        return super().writeblocks(block, buf, offset)

    def ioctl(self, op, arg):
        if op == 6:
            self.erased += 1
        return super().ioctl(op, arg)

    def counters(self):
        """Return the number of bytes programmed and of blocks erased so far."""
        return self.programmed, self.erased


def mount(image):
    """Mount an image and return its device. An image that does not exist is made."""
    try:
        file = open(image, "r+b")  # noqa: SIM115 (open as long as the program runs)
        new = False
    except OSError:
        file = open(image, "w+b")  # noqa: SIM115
        new = True
    device = CountingFlash(file, _BLOCKS)
    if new:
        for block in range(_BLOCKS):
            device.ioctl(6, block)
        vfs.VfsLfs2.mkfs(device)
    mounted = vfs.VfsLfs2(device)
    vfs.mount(mounted, "/e4-bench-state")
    return device
