"""The file that holds the flash of a virtual board. It is locked while a board runs on it."""

import fcntl
import hashlib
import os
from pathlib import Path

from e4_tools.virtual_board.errors import VirtualBoardError

BLOCK_SIZE = 4096  # bytes
DEFAULT_SIZE = 2 * 1024 * 1024  # bytes


class FlashImage:
    """A flash image that is open and locked. `close` gives up the lock.

    `path` is the path of the image, `fd` its file descriptor, and `blocks` its size in blocks of 4096 bytes.
    """

    def __init__(self, path: Path) -> None:
        """Open the image at `path`, or create a blank one, and its folder where that is missing.

        Raises VirtualBoardError if the file cannot be opened, is no flash image, or is in use by another board.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VirtualBoardError(f"flash image {path}: {error.strerror}") from error
        try:
            self._lock()
            self.blocks = self._prepare()
        except (VirtualBoardError, OSError):
            os.close(self.fd)
            raise

    def _lock(self) -> None:
        """Lock the image. Raises VirtualBoardError if another virtual board has locked it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VirtualBoardError(f"flash image {self.path} is in use by another virtual board") from error

    def _prepare(self) -> int:
        """Fill a new image with 0xFF, which is the state of erased flash, and return the number of blocks."""
        size = os.fstat(self.fd).st_size
        if size == 0:
            self._fill()
            size = DEFAULT_SIZE
        if size % BLOCK_SIZE:
            raise VirtualBoardError(f"{self.path} is no flash image: its size is no multiple of {BLOCK_SIZE}")
        return size // BLOCK_SIZE

    def _fill(self) -> None:
        """Write a blank image into an empty file. Raises VirtualBoardError; then the file is empty again."""
        try:
            while (size := os.fstat(self.fd).st_size) < DEFAULT_SIZE:
                # One call may write less than it is given, such as on a disk that gets full.
                os.pwrite(self.fd, b"\xff" * (DEFAULT_SIZE - size), size)
        except OSError as error:
            os.ftruncate(self.fd, 0)
            raise VirtualBoardError(f"flash image {self.path} cannot be made: {error.strerror}") from error

    @property
    def unique_id(self) -> bytes:
        """The unique ID of the board: 6 bytes like a local MAC address, which depend on the path of the image."""
        digest = hashlib.sha256(os.fsencode(self.path.resolve())).digest()
        return bytes([digest[0] & 0xFC | 0x02]) + digest[1:6]

    @property
    def store(self) -> Path:
        """The file that holds the key-value store (NVS) of this board."""
        resolved = self.path.resolve()
        return resolved.with_name(resolved.name + ".nvs")

    def close(self) -> None:
        """Close the image and give up the lock."""
        os.close(self.fd)
