"""Begins the `boot.py` of an emulated board. It mounts the file system again, with buffers of a whole block.

In the emulator each access to flash takes as long as ten thousand instructions, because QEMU translates all code anew
after it. With the buffers of 128 bytes that MicroPython uses, a node takes ten minutes to start; with these, one. They
take 8 KB of heap. What is written to flash is the same.
"""

import esp32
import vfs

vfs.umount("/")
vfs.mount(vfs.VfsLfs2(esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0], readsize=1024), "/")
del esp32, vfs
