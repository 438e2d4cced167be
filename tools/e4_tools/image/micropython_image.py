"""Reading a file with MicroPython for an ESP32: which chip it is for, and whether it is the whole firmware."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from e4_tools.errors import ToolError
from e4_tools.image.partitions import MAGIC, TABLE_AT, TABLE_SIZE

# By chip ID (`esp_chip_id_t` of ESP-IDF): the chip, the offset in flash of the second-stage bootloader, and the
# architecture as mpy-cross names it. A file begins with that bootloader.
_CHIPS = {
    0: ("ESP32", 0x1000, "xtensawin"),
    2: ("ESP32-S2", 0x1000, "xtensawin"),
    5: ("ESP32-C3", 0, "rv32imc"),
    9: ("ESP32-S3", 0, "xtensawin"),
    12: ("ESP32-C2", 0, "rv32imc"),
    13: ("ESP32-C6", 0, "rv32imc"),
    16: ("ESP32-H2", 0, "rv32imc"),
    18: ("ESP32-P4", 0x2000, "rv32imc"),
    23: ("ESP32-C5", 0x2000, "rv32imc"),
}
# The architectures of all these chips, each once.
ARCHITECTURES = tuple(dict.fromkeys(architecture for _, _, architecture in _CHIPS.values()))
# The header of an image (`esp_image_header_t` of ESP-IDF): magic, number of segments, flash mode, flash size and
# frequency, entry point; write-protect pin, drive strengths, chip ID.
_HEADER = struct.Struct("<BBBBIB3xH")
_MAGIC = 0xE9
_MAX_SEGMENTS = 16
_SIZE_AT = 3  # the offset in the header of the byte whose upper half is the flash size
_MEGABYTE = 1024 * 1024
_VERSION = re.compile(rb"MicroPython v(\d+\.\d+[^ \0]*) on ")
# The name of an exception that only a MicroPython with machine code has.
_MACHINE_CODE = b"ViperTypeError"

IMAGE_NAME = "ESP32_GENERIC-20251209-v1.27.0.bin"
IMAGE_PAGE = "https://micropython.org/download/ESP32_GENERIC/"
_FOLDERS = (Path(), Path("build"))


@dataclass(frozen=True)
class FirmwareImage:
    """A whole firmware: bootloader, partition table and application."""

    path: Path
    chip: str
    offset: int  # the place in flash where it begins
    architecture: str  # of the machine code that it runs, as mpy-cross names it; "" for none
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.content)

    @property
    def flash_size(self) -> int:
        """The bytes of flash that it is made for. A chip may have more."""
        return _MEGABYTE << (self.content[_SIZE_AT] >> 4)

    @property
    def partition_table(self) -> bytes:
        """The partition table as it is in flash."""
        at = TABLE_AT - self.offset
        return self.content[at : at + TABLE_SIZE]

    @property
    def micropython(self) -> str | None:
        """The version of MicroPython, such as 1.27.0, or None if it is something else."""
        found = _VERSION.search(self.content)
        return found[1].decode(errors="replace") if found else None


def read_image(path: Path) -> FirmwareImage:
    """Check that a file is a whole firmware, and return what is known of it. Raises ToolError if it is not."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ToolError(
            f"the image {path} cannot be read ({error.strerror}); nothing was done. {_where_from()}"
        ) from None
    chip_id = _chip_id(content)
    if chip_id is None:
        raise ToolError(f"{path} is no firmware for an ESP32; nothing was done. {_where_from()}")
    if chip_id not in _CHIPS:
        raise ToolError(f"{path} is for a chip that is not known here (ID {chip_id}); nothing was done")
    chip, offset, architecture = _CHIPS[chip_id]
    at = TABLE_AT - offset
    if content[at : at + len(MAGIC)] != MAGIC:
        raise ToolError(
            f"{path} is not a whole firmware (it has no partition table), but perhaps an update (.app-bin) of one; "
            f"nothing was done. {_where_from()}"
        )
    return FirmwareImage(path, chip, offset, architecture if _MACHINE_CODE in content else "", content)


def chip_at(flash: bytes) -> str | None:
    """Return the chip that these contents of a flash are for, or None if no chip finds its bootloader there."""
    for chip_id, (chip, offset, _) in _CHIPS.items():
        if _chip_id(flash[offset : offset + _HEADER.size]) == chip_id:
            return chip
    return None


def _chip_id(content: bytes) -> int | None:
    """Return the ID of the chip in the header of an image, or None if this does not begin as an image does."""
    if len(content) < _HEADER.size or content[0] != _MAGIC or not 1 <= content[1] <= _MAX_SEGMENTS:
        return None
    return int(_HEADER.unpack_from(content)[-1])


def find_image() -> Path:
    """Return the only image of MicroPython in this folder and in `build`.

    Raises ToolError if there is none, and says where to get one, or if there are several.
    """
    found = sorted(path for folder in _FOLDERS for path in folder.glob("ESP32_GENERIC-*.bin"))
    if not found:
        raise ToolError(f"there is no image of MicroPython here or in build; nothing was done. {_where_from()}")
    if len(found) > 1:
        raise ToolError(f"several images are here, say which: {', '.join(map(str, found))}; nothing was done")
    return found[0]


def _where_from() -> str:
    return f"For an ESP32, get {IMAGE_NAME} from {IMAGE_PAGE}; for other chips, the file of the same version."
