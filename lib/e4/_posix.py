"""What `_files` does otherwise on a PC, which has users, and a cache that a power cut empties. No board needs this."""

import os

from e4.errors import StoreError


def write(path: str, image) -> None:
    """Write a file that only its owner may read, and have it on the disk."""
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY  # type: ignore[attr-defined]
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(image)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: str) -> None:
    """Make a folder into which only its owner may look."""
    os.mkdir(path)
    os.chmod(path, 0o700)


def sync_folder(path: str) -> None:
    """Make a new or renamed file last before anything that is written after it. Raises StoreError."""
    try:
        folder = os.open(path[: path.rfind("/") + 1] or ".", os.O_RDONLY)  # type: ignore[attr-defined]
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError("{} is written, but a power cut may undo that: {}".format(path, error)) from None
