"""The partition table of an ESP32, and where in flash MicroPython has its file system."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from e4_tools.errors import ToolError

TABLE_AT = 0x8000  # the offset of the partition table in flash, in all images of MicroPython
TABLE_SIZE = 0xC00  # bytes; it holds 95 entries, and one with the digest
MAGIC = b"\xaa\x50"
BLOCK_SIZE = 4096  # bytes of flash that are erased at once

# An entry (`esp_partition_info_t` of ESP-IDF): magic, type, subtype, offset, size, label, flags.
_ENTRY = struct.Struct("<2sBBII16sI")
_DIGEST = b"\xeb\xeb" + b"\xff" * 14  # This begins the entry that holds the MD5 of those before it.
_END = b"\xff" * _ENTRY.size
_ENCRYPTED = 1  # the flag of a partition whose contents the chip encrypts
# MicroPython mounts the partition `vfs`. Images for boards with TinyUF2 have `ffat` instead, with a FAT in it.
_FILE_SYSTEM = "vfs"
_FAT = "ffat"


@dataclass(frozen=True)
class Partition:
    """A part of the flash. Offset and size are in bytes."""

    label: str
    offset: int
    size: int
    encrypted: bool = False

    @property
    def end(self) -> int:
        """The offset of the first byte behind it."""
        return self.offset + self.size


def read_partitions(table: bytes) -> list[Partition]:
    """Return the partitions of a partition table. Raises ToolError if it is damaged, or has no end."""
    partitions: list[Partition] = []
    for at in range(0, min(len(table), TABLE_SIZE) - _ENTRY.size + 1, _ENTRY.size):
        entry = table[at : at + _ENTRY.size]
        if entry == _END and partitions:
            return partitions
        if entry.startswith(_DIGEST):
            if entry[len(_DIGEST) :] != hashlib.md5(table[:at], usedforsecurity=False).digest():
                raise ToolError("the partition table of the image is damaged (its MD5 is wrong); nothing was done")
            continue
        magic, _, _, offset, size, label, flags = _ENTRY.unpack(entry)
        if magic != MAGIC:
            break
        name = label.rstrip(b"\0").decode("ascii", errors="replace")
        partitions.append(Partition(name, offset, size, bool(flags & _ENCRYPTED)))
    raise ToolError("the partition table of the image is damaged (it has no end); nothing was done")


def find_file_system(partitions: list[Partition], flash_size: int) -> Partition:
    """Return the partition that MicroPython uses for its file system, on a chip with so many bytes of flash.

    It is the one with the label `vfs`. If the table has none, as in official images since MicroPython 1.26, MicroPython
    makes one when it starts: from the end of the last partition to the end of the flash (`boardctrl_startup` of its
    port for the ESP32). Its littlefs refuses a file system that is smaller or larger than the partition, so an image
    is right for one size of flash.

    Raises ToolError if there is no such partition, or none that a littlefs can be made in.
    """
    labels = {partition.label: partition for partition in partitions}
    found = labels.get(_FILE_SYSTEM)
    if found is None:
        if _FAT in labels:
            raise ToolError("this image has a FAT file system (TinyUF2), which is not made here; nothing was done")
        end = max(partition.end for partition in partitions)
        found = Partition(_FILE_SYSTEM, end, flash_size - end)
    if found.encrypted:
        raise ToolError("this image has an encrypted file system, which only the chip can make; nothing was done")
    if found.size < 2 * BLOCK_SIZE or found.offset < TABLE_AT + TABLE_SIZE or found.end > flash_size:
        raise ToolError(
            f"the partitions of this image leave no room for a file system in {flash_size // 1024} KB of flash; "
            "nothing was done. --flash-size says how much the board has"
        )
    if found.offset % BLOCK_SIZE or found.size % BLOCK_SIZE:
        raise ToolError("the file system of this image is not at the border of a block; nothing was done")
    return found
