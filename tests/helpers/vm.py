"""Runs programs of the tests on the MicroPython VM, with the library, the firmware and the tests on its path."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from e4_tools.paths import FROZEN, LIBRARY, ROOT
from e4_tools.virtual_board import find_micropython
from e4_tools.virtual_board.interpreter import BOARD_HEAP

_TESTS = ROOT / "tests"
_RUN_TESTS = _TESTS / "helpers" / "portable" / "run_tests.py"


def run_program(program: Path, *arguments: str, heap: str, folder: Path | None = None) -> str:
    """Run a program on the VM, in `folder` if it is given, and return all that it printed.

    `heap` is a size such as "320k". Raises VirtualBoardError if there is no VM.
    """
    path = f"{LIBRARY}:{ROOT}:{_TESTS}:{FROZEN}:.frozen"
    done = subprocess.run(
        [*find_micropython(), "-X", f"heapsize={heap}", str(program), *arguments],
        cwd=folder,
        env={**os.environ, "MICROPYPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def run_tests(tests: Path, *files: str, folder: Path, heap: str = BOARD_HEAP) -> str:
    """Run the test modules of a folder on the VM, all of them or those named, and return what they printed.

    The last line is `N passed, N failed`. Raises VirtualBoardError if there is no VM.
    """
    return run_program(_RUN_TESTS, str(tests), *files, heap=heap, folder=folder)
