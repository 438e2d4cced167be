"""The file that holds the flash of a virtual board. It is locked while a board runs on it."""

import fcntl
import hashlib
import os
from pathlib import Path

from e4_tools.errors import ToolError
from e4_tools.image.file_system import add_file
from e4_tools.image.flash_file import read_flash
from e4_tools.image.micropython_image import chip_at
from e4_tools.paths import LIBRARY
from e4_tools.virtual_board.errors import VirtualBoardError

BLOCK_SIZE = 4096  # bytes
DEFAULT_SIZE = 2 * 1024 * 1024  # bytes
_LIBRARY = "/lib/e4/"
_PLAIN_LOOPS = "_loops_plain.py"


class FlashImage:
    """A flash image that is open and locked. `close` gives up the lock.

    `path` is the path of the image, `fd` its file descriptor, and `blocks` its size in blocks of 4096 bytes.
    """

    def __init__(self, path: Path, chip_image: Path | None = None) -> None:
        """Open the image at `path`, or create a blank one, or one with the file system in an image for a chip.

        The folder is made where it is missing.

        Raises VirtualBoardError if the file cannot be opened, is no flash image, or is in use by another board; or if
        it exists, and so does not begin with the file system of the image for a chip.
        """
        self.path = path
        content = None if chip_image is None else read_chip_image(chip_image)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VirtualBoardError(f"flash image {path}: {error.strerror}") from error
        try:
            self._lock()
            self.blocks = self._prepare(content)
        except (VirtualBoardError, OSError):
            os.close(self.fd)
            raise

    def _lock(self) -> None:
        """Lock the image. Raises VirtualBoardError if another virtual board has locked it."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VirtualBoardError(f"flash image {self.path} is in use by another virtual board") from error

    def _prepare(self, content: bytes | None) -> int:
        """Fill a new image, and return the number of blocks.

        Without content it is filled with 0xFF, which is the state of erased flash.
        """
        size = os.fstat(self.fd).st_size
        if size and content is not None:
            raise VirtualBoardError(
                f"{self.path} exists and keeps what its board has learnt; nothing was done. Leave --image out to go on "
                "with it, or delete it to begin anew"
            )
        if size == 0:
            content = content or b"\xff" * DEFAULT_SIZE
            self._fill(content)
            size = len(content)
        if size % BLOCK_SIZE:
            raise VirtualBoardError(f"{self.path} is no flash image: its size is no multiple of {BLOCK_SIZE}")
        if chip_at(os.pread(self.fd, BLOCK_SIZE * 3, 0)) is not None:
            raise VirtualBoardError(
                f"{self.path} is an image for a chip, and a board would change it; nothing was done. This starts a "
                f"board from it: e4 board NEW.flash --image {self.path}"
            )
        return size // BLOCK_SIZE

    def _fill(self, content: bytes) -> None:
        """Write an image into an empty file. Raises VirtualBoardError; then the file is empty again."""
        try:
            while (size := os.fstat(self.fd).st_size) < len(content):
                # One call may write less than it is given, such as on a disk that gets full.
                os.pwrite(self.fd, content[size:], size)
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


def read_chip_image(path: Path) -> bytes:
    """Return the file system in an image for a chip, as `e4 image` makes it, fit for the processor of this machine.

    Its `.mpy` files with machine code are for the chip, so that the library cannot load its fast loops. The plain ones
    are put beside them. Raises VirtualBoardError.
    """
    try:
        flash = path.read_bytes()
        contents = read_flash(flash)
        if contents is None:
            raise VirtualBoardError(f"{path} is no image with a file system, as e4 image makes it; nothing was done")
        place = contents.file_system
        content = flash[place.offset : place.end].ljust(place.size, b"\xff")
        if any(name.startswith(_LIBRARY) for name in contents.files):
            content = add_file(content, f"{_LIBRARY}{_PLAIN_LOOPS}", (LIBRARY / "e4" / _PLAIN_LOOPS).read_bytes())
        return content
    except OSError as error:
        raise VirtualBoardError(f"the image {path} cannot be read: {error.strerror}; nothing was done") from error
    except ToolError as error:
        raise VirtualBoardError(f"the image {path}: {error}") from error
