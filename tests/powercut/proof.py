"""Starts the power-cut proof on the MicroPython VM, in several processes, and adds up what they found."""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e4_tools.virtual_board import find_micropython

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent.parent
_HEAP = "64m"  # for the images of the flash, not for the board's work
LAST_LINE = re.compile(r"(\d+) cuts, (\d+) restarts, (\d+) losses")


def run_on_vm(program: str, *arguments: str) -> str:
    """Run a program of this folder on MicroPython; return what it printed. Raises VirtualBoardError without a VM."""
    return subprocess.run(
        [*find_micropython(), "-X", f"heapsize={_HEAP}", str(_HERE / program), *arguments],
        env={**os.environ, "MICROPYPATH": f"{_ROOT / 'lib'}:{_ROOT}:{_HERE.parent}:.frozen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout


def prove(cuts: int, seed: int, processes: int, store: str = "") -> tuple[str, list[int]]:
    """Return what the VM printed, and the numbers of cuts, restarts and losses.

    Raises VirtualBoardError without a VM.
    """

    def part(number: int) -> str:
        return run_on_vm("run_on_vm.py", str(cuts), str(seed), str(number), str(processes), store)

    with ThreadPoolExecutor(processes) as pool:
        outputs = list(pool.map(part, range(processes)))
    totals = [0, 0, 0]
    for output in outputs:
        last = LAST_LINE.search(output)
        for i in range(3):
            totals[i] += int(last.group(i + 1)) if last else int(i == 2)  # a run that did not end is a loss
    return "".join(outputs), totals
