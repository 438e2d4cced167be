"""Giving boards their identity in an image for the chip's flash, before any board is there.

The key is made and kept, the ledger notes that the name is begun, and the image is written. The board proves the key
when the image is on it; that step is in `image_proof`. If a step is interrupted, doing it all again finishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e4_tools.errors import ToolError
from e4_tools.image.flash_file import build_flash, read_flash, trim_flash
from e4_tools.image.micropython_image import FirmwareImage
from e4_tools.keys.secret_files import PRIVATE, check_folder, read_private_file, write_file
from e4_tools.provisioning.factory import TableRow
from e4_tools.provisioning.identity_files import check_configs, identity_files, read_identity
from e4_tools.provisioning.key_sources import KeySource, file_name_of
from e4_tools.provisioning.ledger import BEGUN, NO_BOARD, Ledger

# The end of the names of images with a key, so that nobody takes one for a file that may be passed on.
SECRET_ENDING = ".secret.bin"  # noqa: S105 (the end of a file name)
_PUBLIC = 0o644
_KIND = "image"
_SOME_KEY = b"\x01" * 32  # for an image that is made and thrown away


@dataclass(frozen=True)
class ImageMaker:
    """What all images have in common."""

    firmware: FirmwareImage
    files: dict[str, bytes] = field(repr=False)  # the contents of the files that every board gets, by their paths
    version: str  # of our files
    flash_size: int  # bytes
    trimmed: bool  # The erased blocks at the end are left out.
    force: bool  # A file that is there gives way, whatever it is.

    def make(self, identity: dict[str, bytes] | None = None) -> bytes:
        """Return an image, with further files that make a board a member. Raises ToolError."""
        made = build_flash(self.firmware, {**self.files, **(identity or {})}, self.flash_size)
        return trim_flash(made) if self.trimmed else made

    def write(self, path: Path) -> bytes:
        """Write an image without an identity, and return it. Raises ToolError; then the file is as it was."""
        self.refuse_others(path, None)
        made = self.make()
        _write(path, made, _PUBLIC)
        return made

    def write_secret(self, path: Path, identity: dict[str, bytes]) -> bool:
        """Write an image with the files of an identity, and return whether the file was another one before.

        Nobody else can read the file. What `refuse_others` refuses must not be written. Raises ToolError; then the
        file is as it was.
        """
        made = self.make(identity)
        if path.exists() and path.read_bytes() == made:
            check_secret_image(path)
            return False
        _write(path, made, PRIVATE)
        try:
            # Not every file system keeps permissions, as one on a memory stick.
            if read_private_file(path, _KIND) != made:
                raise ToolError(f"{path} reads as something else than was written")
        except ToolError as error:
            path.unlink(missing_ok=True)
            raise ToolError(f"{error} It has been removed.") from None
        return True

    def refuse_others(self, path: Path, name: str | None) -> None:
        """Raise ToolError if a file is there that is not an image of this client. None: an image of no client."""
        check_secret_name(path, name)
        check_folder(path.parent, _KIND)
        if self.force or not path.exists():
            return
        try:
            found = read_flash(path.read_bytes())
        except OSError as error:
            raise ToolError(f"{path} cannot be read: {error.strerror}; nothing was done") from None
        if found is None:
            raise ToolError(f"{path} exists and is no image; it was left as it is, and nothing was done")
        other = read_identity(found.files)
        if (other.name if other else None) != name:
            whose = f"the image of {other.name}" if other else "an image without a key"
            raise ToolError(f"{path} is {whose}; it was left as it is, and nothing was done. --force overwrites it")


@dataclass(frozen=True)
class ImageFactory:
    """What all images with an identity have in common."""

    maker: ImageMaker
    # The configuration, which the name and the topics of each board complete. It holds passwords.
    config: dict[str, Any] = field(repr=False)
    keys: KeySource
    replace: bool  # A name that was begun with a board may go into an image, with a new key.

    def check(self, rows: Sequence[TableRow]) -> None:
        """Raise ToolError if a board could not be a member with its configuration, or the files do not fit.

        Nothing is done, and no key is made.
        """
        configs = [self._config_of(row) for row in rows]
        check_configs(configs)
        for config in configs[:1]:  # All images have the same files beside the identity.
            self.maker.make(identity_files(config, _SOME_KEY))

    def issue(self, row: TableRow, path: Path, ledger: Ledger) -> bool:
        """Write the image of a board, and return whether the file was another one before.

        Raises ToolError. Doing this again finishes what was begun. An image that is made again has the same key.
        """
        name = row.name
        ledger.refuse_image(name, self.replace)
        # What would refuse the image is found before a key is made for it.
        self.maker.refuse_others(path, name)
        key = self.keys.key_of(name, renew=ledger.has_with_other_board(name, NO_BOARD))
        config = {**self._config_of(row), **self.keys.settings_of(name)}
        identity = identity_files(config, key)
        if not ledger.has_image(name, self.maker.version, key):
            ledger.note(BEGUN, name, NO_BOARD, self.maker.version, key)
        return self.maker.write_secret(path, identity)

    def _config_of(self, row: TableRow) -> dict[str, Any]:
        return {**self.config, "name": row.name, **({"topics": list(row.topics)} if row.topics else {})}


def secret_name(name: str) -> str:
    """Return the usual name of the file with the image of a client."""
    return file_name_of(name, SECRET_ENDING)


def check_secret_name(path: Path, name: str | None) -> None:
    """Raise ToolError unless the name of a file says whether an image with a key is in it."""
    if path.name.endswith(SECRET_ENDING) != (name is not None):
        what = "with a key ends" if name is not None else "without a key does not end"
        raise ToolError(
            f"the name of an image {what} in {SECRET_ENDING}, and {path.name} is another one; nothing was done"
        )


def check_secret_image(path: Path) -> None:
    """Raise ToolError if others can read, change or replace a file with an image that has a key."""
    read_private_file(path, _KIND)


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        write_file(path, content, mode, overwrite=True)
    except OSError as error:
        raise ToolError(f"the image {path} cannot be written: {error.strerror}") from None
