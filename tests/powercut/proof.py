"""Starts the power-cut proof on the MicroPython VM in several processes, and adds up what they have found."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.vm import run_program

# The images of the flash need this much heap. A board has far less.
_HEAP = "64m"
LAST_LINE = re.compile(r"(\d+) cuts, (\d+) restarts, (\d+) losses")


def run_on_vm(program: str, *arguments: str) -> str:
    """Run a program of this folder on MicroPython; return its output. Raises VirtualBoardError if there is no VM."""
    return run_program(Path(__file__).with_name(program), *arguments, heap=_HEAP)


def prove(cuts: int, seed: int, processes: int, store: str = "") -> tuple[str, list[int]]:
    """Run the proof. Return what the VM printed, and the numbers of cuts, restarts and losses.

    `cuts` is the number of first cuts, 0 for all, and `seed` chooses the life. `store` is the name of a faulty store in
    `mutants`; without it, the real store is used. Raises VirtualBoardError if there is no VM.
    """

    def part(number: int) -> str:
        return run_on_vm("run_on_vm.py", str(cuts), str(seed), str(number), str(processes), store)

    with ThreadPoolExecutor(processes) as pool:
        outputs = list(pool.map(part, range(processes)))
    totals = [0, 0, 0]
    for output in outputs:
        last = LAST_LINE.search(output)
        for i in range(3):
            # A process that did not print its last line counts as one loss.
            totals[i] += int(last.group(i + 1)) if last else int(i == 2)
    return "".join(outputs), totals
