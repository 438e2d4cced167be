"""`make fuzz`: a million inputs, of which one in ten runs on the MicroPython VM.

python -m fuzz [--inputs N] [--seed N] [--only TEXT] [--first N]

`--only` takes the parsers whose names contain a text. With `--first` the inputs begin at that number, so that
`--only NAME --first NUMBER --inputs 1 --seed SEED` repeats a single one. The exit code is 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from e4_tools.virtual_board import VirtualBoardError, find_micropython
from fuzz.report import show
from fuzz.run import divide, names, run_parts

_ON_VM = 10  # one input in so many


def main() -> int:
    options = argparse.ArgumentParser(prog="fuzz", description="Random input for all parsers.")
    options.add_argument("--inputs", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="")
    options.add_argument("--first", type=int, default=0)
    given = options.parse_args()
    if not names(given.only, on_vm=False):
        options.error(f'no parser has "{given.only}" in its name')
    began = time.monotonic()
    on_vm = given.inputs // _ON_VM if names(given.only, on_vm=True) else 0
    missing = ""
    try:
        find_micropython()
    except VirtualBoardError as error:
        on_vm, missing = 0, f"The parsers were NOT run on MicroPython: {error}"
    parts = list(divide(given.inputs - on_vm, given.only, False, given.first))
    parts += divide(on_vm, given.only, True, given.first)
    tallies = run_parts(parts, given.seed, len(os.sched_getaffinity(0)))
    print(show(tallies))
    print(f"seed {given.seed}, {time.monotonic() - began:.0f} s")
    if missing:
        print(missing)
    failed = any(tally.findings for tally in tallies) or (missing and "MICROPYTHON" in os.environ)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
