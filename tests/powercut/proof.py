"""Starts the power-cut proof on the MicroPython VM, in several processes, and adds up what they found."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.vm import run_program

_HEAP = "64m"  # The images of the flash need it, not the board.
LAST_LINE = re.compile(r"(\d+) cuts, (\d+) restarts, (\d+) losses")


def run_on_vm(program: str, *arguments: str) -> str:
    """Run a program of this folder on MicroPython; return what it printed. Raises VirtualBoardError without a VM."""
    return run_program(Path(__file__).with_name(program), *arguments, heap=_HEAP)


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
