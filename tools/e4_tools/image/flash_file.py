"""A file with the whole contents of a chip's flash, beginning at its first byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from e4_tools.errors import ToolError
from e4_tools.image.file_system import file_system_size, make_file_system, read_file_system
from e4_tools.image.micropython_image import FirmwareImage, chip_at
from e4_tools.image.partitions import BLOCK_SIZE, TABLE_AT, TABLE_SIZE, Partition, find_file_system, read_partitions

_LARGEST_FLASH = 128 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class FlashContents:
    """What is in the flash of a chip."""

    chip: str
    flash_size: int  # bytes that the chip's flash must have, or may have at least: see `fits`
    sized: bool  # The partition table says where the file system ends, so that the chip may have more flash.
    file_system: Partition  # where the file system is
    files: dict[str, bytes] = field(repr=False)  # by their paths, such as `/e4.json`; some may be secret

    def fits(self, flash_size: int) -> bool:
        """Tell whether MicroPython can use this file system on a chip with so many bytes of flash."""
        return flash_size >= self.flash_size if self.sized else flash_size == self.flash_size


def build_flash(firmware: FirmwareImage, files: Mapping[str, bytes], flash_size: int) -> bytes:
    """Return the contents of a chip's flash of `flash_size` bytes: the firmware, and a littlefs with these files.

    `files` has their contents by their paths on the board. What nothing is written to is erased (0xff). The result has
    been read again, and every file compared. Raises ToolError.
    """
    place = find_file_system(read_partitions(firmware.partition_table), flash_size)
    if firmware.offset + firmware.size > place.offset:
        raise ToolError(f"{firmware.path} reaches into its own file system, so it is damaged; nothing was done")
    made = bytearray(b"\xff" * flash_size)
    made[firmware.offset : firmware.offset + firmware.size] = firmware.content
    made[place.offset : place.end] = make_file_system(files, place.size)
    return bytes(made)


def trim_flash(content: bytes) -> bytes:
    """Return the contents of a flash without the erased blocks at the end."""
    used = len(content.rstrip(b"\xff"))
    return content[: -(-used // BLOCK_SIZE) * BLOCK_SIZE]


def read_flash(content: bytes) -> FlashContents | None:
    """Return what is in the contents of a flash, which may be trimmed. Return None if they are something else.

    Something else is also an image of MicroPython as it is downloaded, which has no file system.
    """
    chip = chip_at(content)
    if chip is None:
        return None
    try:
        partitions = read_partitions(content[TABLE_AT : TABLE_AT + TABLE_SIZE])
        # The file system begins at the same place on every size of flash.
        place = find_file_system(partitions, _LARGEST_FLASH)
        size = file_system_size(content[place.offset :])
        sized = any(partition.label == place.label for partition in partitions)
        place = Partition(place.label, place.offset, size)
        files = read_file_system(content[place.offset :])
        return FlashContents(chip, _next_size(place.end), sized, place, files)
    except ToolError:
        return None


def _next_size(end: int) -> int:
    """Return the smallest flash, a power of two, that has this end."""
    return 1 << max(end - 1, 1).bit_length()
