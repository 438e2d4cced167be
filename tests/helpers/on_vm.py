"""Runs the unit tests on the MicroPython VM, each file with a fresh heap of a board's size.

The exit code is 1 if a test has failed or if none has run.
"""

import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e4_tools.paths import ROOT
from e4_tools.virtual_board import VirtualBoardError, find_micropython
from helpers.vm import run_tests


def main() -> int:
    try:
        find_micropython()
    except VirtualBoardError as error:
        print(f"The tests were NOT run on MicroPython: {error}")
        return 1 if "MICROPYTHON" in os.environ else 0
    passed = failed = 0
    for file in sorted((ROOT / "tests" / "unit").glob("*/test_*.py")):
        with TemporaryDirectory() as folder:
            printed = run_tests(file.parent, file.name, folder=Path(folder))
        counts = re.search(r"^(\d+) passed, (\d+) failed$", printed, re.MULTILINE)
        file_passed, file_failed = (int(counts[1]), int(counts[2])) if counts else (0, 1)
        passed += file_passed
        failed += file_failed
        if file_failed or not file_passed:
            print(f"{file.name}:\n{printed}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
