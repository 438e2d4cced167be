"""Images for a chip's flash: what they hold, and where."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from e4_tools.errors import ToolError
from e4_tools.image.file_system import file_system_size, make_file_system, read_file_system
from e4_tools.image.flash_file import build_flash, read_flash, trim_flash
from e4_tools.image.micropython_image import read_image
from e4_tools.image.partitions import Partition, find_file_system, read_partitions
from helpers.firmware_image import OFFICIAL, WITH_FILE_SYSTEM, partition_table, write_image

_MB = 1024 * 1024
_FILES = {
    "boot.py": b"# boot",
    "lib/e4/client.mpy": bytes(range(256)) * 33,
    "firmware/empty.mpy": b"",
    "/e4.json": b"{}",
}
_READ = {"/" + path.removeprefix("/"): data for path, data in _FILES.items()}


@pytest.mark.parametrize(("chip_id", "offset"), [(0, 0x1000), (2, 0x1000), (5, 0), (9, 0), (13, 0), (23, 0x2000)])
def test_a_flash_has_the_firmware_where_the_chip_looks_for_it_and_the_files_behind_it(
    tmp_path: Path, chip_id: int, offset: int
) -> None:
    firmware = read_image(write_image(tmp_path / "image.bin", chip_id, offset))
    made = build_flash(firmware, _FILES, 4 * _MB)
    assert len(made) == 4 * _MB
    assert made[offset : offset + firmware.size] == firmware.content
    assert made[:offset] == b"\xff" * offset
    for content in (made, trim_flash(made)):
        found = read_flash(content)
        assert found is not None
        assert (found.chip, found.flash_size) == (firmware.chip, 4 * _MB)
        assert found.file_system == Partition("vfs", 0x200000, 0x200000)
        assert found.files == _READ
    assert len(trim_flash(made)) < 2.3 * _MB


def test_the_file_system_ends_where_the_flash_ends_or_where_the_table_says() -> None:
    official, older = read_partitions(partition_table(OFFICIAL)), read_partitions(partition_table(WITH_FILE_SYSTEM))
    for megabytes in (4, 8, 16):
        assert find_file_system(official, megabytes * _MB) == Partition("vfs", 0x200000, (megabytes - 2) * _MB)
        assert find_file_system(older, megabytes * _MB) == Partition("vfs", 0x200000, 0x200000)


def test_a_file_system_says_how_much_flash_it_is_for(tmp_path: Path) -> None:
    firmware = read_image(write_image(tmp_path / "image.bin"))
    found = read_flash(trim_flash(build_flash(firmware, _FILES, 8 * _MB)))
    assert found is not None and found.flash_size == 8 * _MB


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([*OFFICIAL[:2], ("factory", 0, 0, 0x10000, 0x3F0000, 0)], "leave no room"),
        ([*OFFICIAL, ("vfs", 1, 0x81, 0x200000, 0x800000, 0)], "leave no room"),
        ([*OFFICIAL, ("vfs", 1, 0x81, 0x200100, 0x100000, 0)], "border of a block"),
        ([*OFFICIAL, ("vfs", 1, 0x81, 0x200000, 0x100000, 1)], "encrypted"),
        ([*OFFICIAL, ("ffat", 1, 0x81, 0x200000, 0x200000, 0)], "FAT"),
    ],
)
def test_a_table_without_a_place_for_our_file_system_is_refused(
    entries: list[tuple[str, int, int, int, int, int]], complaint: str
) -> None:
    with pytest.raises(ToolError, match=f"{complaint}.*nothing was done"):
        find_file_system(read_partitions(partition_table(entries)), 4 * _MB)


def test_a_damaged_table_is_refused() -> None:
    table = partition_table(OFFICIAL)
    for damaged in (table[:4] + b"\x01" + table[5:], table[:96], b"", table[:100] + b"\0" * 100):
        with pytest.raises(ToolError, match="damaged"):
            read_partitions(damaged)


def test_a_firmware_that_reaches_into_the_file_system_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "image.bin")
    path.write_bytes(path.read_bytes().ljust(2 * _MB, b"x"))
    with pytest.raises(ToolError, match="damaged"):
        build_flash(read_image(path), _FILES, 4 * _MB)


def test_a_file_system_is_the_same_each_time_and_says_if_it_is_full() -> None:
    made = make_file_system(_FILES, 2 * _MB)
    assert made == make_file_system(_FILES, 2 * _MB)
    assert file_system_size(made) == 2 * _MB and read_file_system(made) == _READ
    assert read_file_system(make_file_system(_FILES, 18 * 4096)) == _READ  # as full as it gets
    with pytest.raises(ToolError, match="do not fit"):
        make_file_system({"large": bytes(64 * 1024)}, 64 * 1024)


def test_what_is_no_flash_is_none(tmp_path: Path) -> None:
    firmware = read_image(write_image(tmp_path / "image.bin", 9, 0))
    made = build_flash(firmware, _FILES, 4 * _MB)
    for other in (b"", firmware.content, made[: 2 * _MB], b"\xff" * 4 * _MB, made[0x1000:]):
        assert read_flash(other) is None


def test_helpers_write_what_they_say(tmp_path: Path) -> None:
    """The digest of the table is the one that ESP-IDF's tool writes into an official image."""
    table = partition_table(OFFICIAL)
    assert table[96:112] == b"\xeb\xeb" + b"\xff" * 14
    assert table[112:128].hex() == "8405a9bb5ce0b84c4f2ca5de9a76b050"
    assert hashlib.md5(table[:96], usedforsecurity=False).digest() == table[112:128]
    assert struct.unpack_from("<H", write_image(tmp_path / "image.bin", 9, 0).read_bytes(), 12)[0] == 9
