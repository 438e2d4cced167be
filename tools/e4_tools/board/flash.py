"""Putting MicroPython itself on a board, with Espressif's `esptool` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e4_tools.board.inspection import BoardInfo, inspect_board
from e4_tools.board.raw_repl import Board
from e4_tools.errors import NoSuchPort, PortError, PortInUse, ToolError
from e4_tools.image.flash_file import FlashContents
from e4_tools.image.micropython_image import FirmwareImage

_BAUD = "460800"
_KEPT_OUTPUT = 4000
_CHIP = re.compile(r"^Connected to (ESP32[A-Z0-9-]*) on ", re.MULTILINE)
_MAC = re.compile(r"^(?:BASE )?MAC: +((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s*$", re.MULTILINE | re.IGNORECASE)
_SIZE = re.compile(r"^Detected flash size: +(\d{1,6})(MB|KB)\s*$", re.MULTILINE)
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Chip:
    """The chip at a port, as esptool sees it. What it did not say is None."""

    name: str  # such as ESP32-C3
    mac: str | None  # with colons, as MicroPython's `machine.unique_id` has it
    flash_size: int | None  # bytes


def check_erasable(port: str, erase: bool, keep: bool) -> None:
    """Raise ToolError if flashing would put at risk what the board holds, and the user has not agreed to that.

    The user agrees with `erase`, which erases the whole flash, or with `keep`, which writes beside what is there.
    """
    try:
        with Board(port, brief=True) as board:
            what = inspect_board(board)
    except PortInUse:
        raise  # The board may hold keys, and it can be asked when the other program has ended.
    except PortError as error:
        if erase or keep:
            return
        if isinstance(error, NoSuchPort):
            raise
        raise PortError(
            f"{error} So it cannot be asked whether it holds keys. If it is new, or they are not needed: --erase."
        ) from None
    if what.virtual:
        raise ToolError("this is a virtual board, which has its MicroPython built in; nothing was done")
    if what.provisioned and not erase and not keep:
        raise ToolError(
            "this board is provisioned: its keys are at risk, and nothing was done. --keep writes MicroPython beside "
            "them, which works if the partitions are the same; --erase erases them with everything else."
        )


def detect_chip(port: str, show: Callable[[bytes], None]) -> Chip:
    """Ask the chip at a port what it is. `show` gets what esptool prints. Raises PortError if no chip answers."""
    said = _esptool(["--port", port, "flash-id"], "no chip answers; nothing was written", show)
    found, mac, size = _CHIP.search(said), _MAC.search(said), _SIZE.search(said)
    if found is None:
        raise ToolError("esptool did not say what chip this is; nothing was written")
    return Chip(found[1], mac[1].lower() if mac else None, _bytes_of(size) if size else None)


def write_micropython(port: str, image: FirmwareImage, erase: bool, show: Callable[[bytes], None]) -> None:
    """Check the chip, write the image and read it back.

    With `erase`, the whole flash is erased first. `show` gets what esptool prints. Raises ToolError.
    """
    chip = detect_chip(port, show)
    _check_chip(chip, str(image.path), image.chip)
    _write(port, chip, image.path, image.offset, erase, show)


def write_flash(port: str, chip: Chip, path: Path, contents: FlashContents, show: Callable[[bytes], None]) -> None:
    """Erase the whole flash of a chip, write its new contents, which are in a file, and read them back.

    `chip` is what `detect_chip` has found at the port, and `contents` what was found in the file. `show` gets what
    esptool prints. Raises ToolError; if the file is for another chip, nothing was written.
    """
    _check_chip(chip, str(path), contents.chip)
    if chip.flash_size is not None and not contents.fits(chip.flash_size):
        # MicroPython would not mount the file system, and say that it is corrupted.
        megabytes = chip.flash_size // _MEGABYTE
        raise ToolError(
            f"{path} is for {contents.flash_size // _MEGABYTE} MB of flash, and this board has {megabytes} MB; nothing "
            f"was written. e4 image --flash-size {megabytes}MB makes one for it"
        )
    _write(port, chip, path, 0, True, show)


def _check_chip(chip: Chip, path: str, wanted: str) -> None:
    if chip.name != wanted:
        raise ToolError(f"{path} is for {wanted}, and this board is {chip.name}; nothing was written")


def _write(port: str, chip: Chip, path: Path, at: int, erase: bool, show: Callable[[bytes], None]) -> None:  # noqa: PLR0913
    selected = ["--chip", chip.name.lower().replace("-", ""), "--port", port, "--baud", _BAUD]
    where = [hex(at), str(path)]
    erasing = ["--erase-all"] if erase else []
    unfinished = "The board may have no working firmware now; run the command again, it starts from the beginning"
    _esptool([*selected, "--after", "no-reset", "write-flash", *erasing, *where], f"writing failed. {unfinished}", show)
    _esptool([*selected, "verify-flash", *where], f"what was read back differs. {unfinished}", show)


def wait_for_micropython(port: str) -> BoardInfo | None:
    """Wait for the board to start after flashing, and return what it says of itself, or None if it does not answer."""
    try:
        with Board(port) as board:
            return inspect_board(board)
    except ToolError:
        return None


def _bytes_of(size: re.Match[str]) -> int:
    return int(size[1]) * (_MEGABYTE if size[2] == "MB" else 1024)


def _esptool(arguments: list[str], failed: str, show: Callable[[bytes], None]) -> str:
    command = [sys.executable, "-m", "esptool", *arguments]
    said = b""
    read_end, write_end = os.pipe()
    with (
        subprocess.Popen(command, stdout=write_end, stderr=subprocess.STDOUT) as process,
        os.fdopen(read_end, "rb") as output,
    ):
        os.close(write_end)
        while chunk := output.read1():
            show(chunk)
            said = (said + chunk)[-_KEPT_OUTPUT:]
    text = said.decode(errors="replace")
    if process.returncode:
        raise PortError(f"{failed}. {_reason(text)}")
    return text


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if "rror" in line]
    return f"esptool says: {(fatal or lines or ['nothing'])[-1]}"
