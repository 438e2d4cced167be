"""Runs the unit tests on the MicroPython VM, with a heap like the board's. Exits as the tests did."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e4_tools.virtual_board import VirtualBoardError, find_micropython

_TESTS = Path(__file__).resolve().parent
_ROOT = _TESTS.parent
_HEAP = "320k"  # objects take twice the room on 64 bits: about a board's 160 KiB


def main() -> int:
    try:
        command = find_micropython()
    except VirtualBoardError as error:
        print(f"The tests were NOT run on MicroPython: {error}")
        return 1 if "MICROPYTHON" in os.environ else 0
    command += ["-X", f"heapsize={_HEAP}", str(_TESTS / "unit" / "run_on_vm.py"), str(_TESTS / "unit")]
    path = f"{_ROOT / 'lib'}:{_ROOT}:.frozen"
    with TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, env={**os.environ, "MICROPYPATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
