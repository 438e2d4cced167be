"""Runs the unit tests on the MicroPython VM, each file on a new heap like the board's. Exits with 1 if one failed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e4_tools.paths import FROZEN
from e4_tools.virtual_board import VirtualBoardError, find_micropython

_TESTS = Path(__file__).resolve().parents[1]
_ROOT = _TESTS.parent
_HEAP = "320k"  # objects take twice the room on 64 bits: about a board's 160 KiB


def main() -> int:
    try:
        command = find_micropython()
    except VirtualBoardError as error:
        print(f"The tests were NOT run on MicroPython: {error}")
        return 1 if "MICROPYTHON" in os.environ else 0
    command += ["-X", f"heapsize={_HEAP}", str(_TESTS / "helpers" / "portable" / "run_tests.py")]
    environment = {**os.environ, "MICROPYPATH": f"{_ROOT / 'lib'}:{_ROOT}:{_TESTS}:{FROZEN}:.frozen"}
    passed = failed = 0
    for file in sorted((_TESTS / "unit").glob("*/test_*.py")):
        with TemporaryDirectory() as folder:
            done = subprocess.run(
                [*command, str(file.parent), file.name],
                cwd=folder,
                env=environment,
                check=False,
                stdout=subprocess.PIPE,
                text=True,
            )
        counts = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
        passed += int(counts[1]) if counts else 0
        failed += int(counts[2]) if counts else 1
        if done.returncode:
            print(f"{file.name}:\n{done.stdout}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
