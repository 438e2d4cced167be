"""Putting MicroPython itself on a board, with Espressif's `esptool` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

from e4_tools.board.inspection import BoardInfo, inspect_board
from e4_tools.board.raw_repl import Board
from e4_tools.errors import NoSuchPort, PortError, PortInUse, ToolError
from e4_tools.image.micropython_image import FirmwareImage

_BAUD = "460800"
_KEPT_OUTPUT = 4000
_CHIP = re.compile(r"^Connected to (ESP32[A-Z0-9-]*) on ", re.MULTILINE)


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


def write_micropython(port: str, image: FirmwareImage, erase: bool, show: Callable[[bytes], None]) -> None:
    """Check the chip, write the image and read it back.

    With `erase`, the whole flash is erased first. `show` gets what esptool prints. Raises ToolError.
    """
    chip = _detect(port, show)
    if chip != image.chip:
        raise ToolError(f"{image.path} is for {image.chip}, and this board is {chip}; nothing was written")
    selected = ["--chip", chip.lower().replace("-", ""), "--port", port, "--baud", _BAUD]
    where = [hex(image.offset), str(image.path)]
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


def _detect(port: str, show: Callable[[bytes], None]) -> str:
    said = _esptool(["--port", port, "read-mac"], "no chip answers; nothing was written", show)
    found = _CHIP.search(said)
    if found is None:
        raise ToolError("esptool did not say what chip this is; nothing was written")
    return found[1]


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
