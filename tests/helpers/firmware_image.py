"""Files that look like MicroPython for an ESP32, for tests that need no chip to run it."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path

# Label, type, subtype, offset, size and flags of each partition.
Entry = tuple[str, int, int, int, int, int]
# The table of the official images since MicroPython 1.26, and of those before.
OFFICIAL: list[Entry] = [
    ("nvs", 1, 2, 0x9000, 0x6000, 0),
    ("phy_init", 1, 1, 0xF000, 0x1000, 0),
    ("factory", 0, 0, 0x10000, 0x1F0000, 0),
]
WITH_FILE_SYSTEM: list[Entry] = [*OFFICIAL, ("vfs", 1, 0x81, 0x200000, 0x200000, 0)]
_VERSION = b"\0ViperTypeError\x003.4.0; MicroPython v1.27.0 on 2025-12-09\0"


def partition_table(entries: Sequence[Entry]) -> bytes:
    """Return a partition table as `gen_esp32part.py` of ESP-IDF writes it, with the digest of its entries."""
    table = b""
    for label, kind, subtype, offset, size, flags in entries:
        table += struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label.encode(), flags)
    digest = hashlib.md5(table, usedforsecurity=False).digest()
    return (table + b"\xeb\xeb" + b"\xff" * 14 + digest).ljust(0xC00, b"\xff")


def write_image(
    path: Path,
    chip_id: int = 0,
    offset: int = 0x1000,
    *,
    entries: Sequence[Entry] = OFFICIAL,
    whole: bool = True,
    magic: int = 0xE9,
) -> Path:
    """Write an image as it is downloaded, and return its path.

    It has the header of a bootloader (`esp_image_header_t` of ESP-IDF), a partition table, and the version of
    MicroPython; the rest is random.
    """
    header = struct.pack("<BBBBIB3sHBHH4sB", magic, 3, 2, 0x20, 0x400805F0, 0xEE, b"", chip_id, 0, 0, 0xFFFF, b"", 1)
    content = bytearray(os.urandom(0xA000))
    content[: len(header)] = header
    table = partition_table(entries) if whole else b"\0\0"
    content[0x8000 - offset : 0x8000 - offset + len(table)] = table
    content[0x9000 - offset : 0x9000 - offset + len(_VERSION)] = _VERSION
    path.write_bytes(content)
    return path
