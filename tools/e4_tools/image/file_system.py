"""A littlefs as MicroPython makes it on an ESP32, made and read on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from littlefs import LFSConfig, LittleFS, LittleFSError, UserContext

from e4_tools.errors import ToolError
from e4_tools.image.partitions import BLOCK_SIZE

# What MicroPython's port for the ESP32 hands to littlefs (`extmod/vfs_lfsx.c`), with sizes in bytes. It takes a file
# system of an older version, and writes the superblock anew with the first change; a newer one it refuses. So the
# oldest version is written, which every MicroPython with littlefs v2 can mount.
_TRANSFER = 32  # the unit of reading and of writing
_CACHE = 128
_DISK_VERSION = 0x00020000
# Blocks that are free beside what is used while a file system is made, so that no directory lacks room.
_SPARE_BLOCKS = 8
_NO_SPACE = LittleFSError.Error.LFS_ERR_NOSPC
_ERASED = b"\xff"


class _Memory(UserContext):
    """A flash in memory. Behind its end it reads as erased.

    The library's own one logs what is written, keys included.
    """

    def read(self, cfg: LFSConfig, block: int, off: int, size: int) -> bytearray:
        start = block * BLOCK_SIZE + off
        found = self.buffer[start : start + size]
        return found + bytearray(_ERASED * (size - len(found)))

    def prog(self, cfg: LFSConfig, block: int, off: int, data: bytes) -> int:
        start = block * BLOCK_SIZE + off
        self.buffer[start : start + len(data)] = data
        return 0

    def erase(self, cfg: LFSConfig, block: int) -> int:
        self.buffer[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE] = _ERASED * BLOCK_SIZE
        return 0


def make_file_system(files: Mapping[str, bytes], size: int) -> bytes:
    """Return a littlefs of `size` bytes (a multiple of 4096) with these files, by their paths on the board.

    The same files make the same file system. The used blocks are the first ones, and all others are erased. The result
    has been mounted again, and every file compared. Raises ToolError if the files do not fit.
    """
    try:
        used = _fill(files, size // BLOCK_SIZE).used_block_count
        # littlefs begins somewhere in the middle of the free blocks. It is made small at first, and then grows.
        made = _fill(files, min(used + _SPARE_BLOCKS, size // BLOCK_SIZE))
        made.fs_grow(size // BLOCK_SIZE)
        made.unmount()
    except LittleFSError as error:
        if error.code == _NO_SPACE:
            raise ToolError(f"the files do not fit into a file system of {size} bytes; nothing was done") from None
        raise ToolError(f"the file system cannot be made ({error}); nothing was done") from None
    content = bytes(made.context.buffer).ljust(size, _ERASED)
    if read_file_system(content) != {_absolute(path): data for path, data in files.items()}:
        raise ToolError("the file system that was made does not hold the files that were put in; nothing was done")
    return content


def add_file(content: bytes, path: str, data: bytes) -> bytes:
    """Return a littlefs with one more file in a folder that it has. Raises ToolError."""
    found = _mount(content)
    try:
        with found.open(path, "wb") as file:
            file.write(data)
        found.unmount()
    except (LittleFSError, OSError):
        raise ToolError(f"{path} cannot be added to the file system; nothing was done") from None
    return bytes(found.context.buffer)


def read_file_system(content: bytes) -> dict[str, bytes]:
    """Return the files of a littlefs by their paths, such as `/lib/e4/client.mpy`.

    Erased blocks at the end may be missing. Raises ToolError if it is damaged, or no littlefs.
    """
    return _read_files(_mount(content))


def file_system_size(content: bytes) -> int:
    """Return the size in bytes of the littlefs that begins here, by its superblock. Raises ToolError if it is none."""
    return _mount(content).block_count * BLOCK_SIZE


def _mount(content: bytes) -> LittleFS:
    found = LittleFS(_Memory(buffer=bytearray(content)), mount=False, block_count=0, **_parameters())
    try:
        found.mount()
    except LittleFSError:
        raise ToolError("there is no littlefs where the image must have one; nothing was done") from None
    return found


def _read_files(found: LittleFS) -> dict[str, bytes]:
    files = {}
    try:
        for folder, _, names in found.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with found.open(path, "rb") as file:
                    files[path] = file.read()
    except (LittleFSError, OSError, UnicodeDecodeError):
        raise ToolError("the file system in the image is damaged; nothing was done") from None
    return files


def _fill(files: Mapping[str, bytes], blocks: int) -> LittleFS:
    """Return a file system of so many blocks with these files. Raises LittleFSError."""
    context = _Memory(blocks * BLOCK_SIZE)
    made = LittleFS(context, mount=False, block_count=blocks, disk_version=_DISK_VERSION, **_parameters())
    made.format()
    made.mount()
    for path, data in files.items():
        folder = _absolute(path).rpartition("/")[0]
        if folder:
            made.makedirs(folder, exist_ok=True)
        with made.open(_absolute(path), "wb") as file:
            file.write(data)
    return made


def _parameters() -> dict[str, Any]:
    return {
        "block_size": BLOCK_SIZE,
        "read_size": _TRANSFER,
        "prog_size": _TRANSFER,
        "lookahead_size": _TRANSFER,
        "cache_size": _CACHE,
    }


def _absolute(path: str) -> str:
    return "/" + path.removeprefix("/")
