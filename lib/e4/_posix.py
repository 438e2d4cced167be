"""What `_files` does in another way on a PC, which has several users, and a disk cache.

A board that loads `.mpy` files does not get this file.
"""

import os

from e4.errors import StoreError


def write(path: str, image: bytes | bytearray) -> None:
    """Write a file that only its owner may read, and wait until it is on the disk."""
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY  # type: ignore[attr-defined]
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: str) -> None:
    """Make a folder that only its owner may open."""
    os.mkdir(path)
    os.chmod(path, 0o700)


def sync_folder(path: str) -> None:
    """Wait until a new or renamed file is on the disk under its name. Raises StoreError.

    Otherwise a power cut could undo this file and yet keep one that was written after it.
    """
    try:
        folder = os.open(path[: path.rfind("/") + 1] or ".", os.O_RDONLY)  # type: ignore[attr-defined]
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError("{} is written, but a power cut may undo that: {}".format(path, error)) from None
