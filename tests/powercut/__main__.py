"""`python tests/powercut [CUTS [SEED]]`: the power-cut proof.

CUTS is the number of first cuts; 0 means one cut at every program and every erase. Another SEED makes another life.
The output ends with a line `N cuts, N restarts, N losses`. The exit code is 1 if there was a loss or no cut at all.
"""

from __future__ import annotations

import os
import sys

from e4_tools.virtual_board import VirtualBoardError
from powercut.proof import LAST_LINE, prove


def main(arguments: list[str]) -> int:
    cuts, seed = [int(text) for text in (*arguments, "0", "1")[:2]]
    try:
        output, totals = prove(cuts, seed, len(os.sched_getaffinity(0)))
    except VirtualBoardError as error:
        print(f"The power-cut proof was NOT run: {error}")
        return 1 if "MICROPYTHON" in os.environ else 0
    print(LAST_LINE.sub("", output).strip())
    print("{} cuts, {} restarts, {} losses".format(*totals))
    return 1 if totals[2] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
