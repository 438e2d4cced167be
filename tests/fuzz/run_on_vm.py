"""The part of the fuzzers that runs on the MicroPython VM. `on_vm` starts it.

run_on_vm.py SEED NAME FIRST COUNT

The parser NAME parses COUNT inputs, from number FIRST on. Each line that is printed is a value in JSON:
`["at", number]` from time to time, `["finding", number, exception, place, input]`, and at last
`["end", {exception or "": how often}]`.
"""

import gc
import io
import json
import sys

from fuzz.parser import dice_for
from fuzz.table import TABLE, load

_MOST = 50  # findings, after which the rest of the inputs would only repeat them


def _place(error):
    """Return the last two lines of a traceback: where the exception was raised, and which one it is."""
    text = io.StringIO()
    sys.print_exception(error, text)
    return " | ".join([line.strip() for line in text.getvalue().strip().split("\n")[-3:]])


def main(seed, name, first, count):
    parser = load(next(where for listed, _, where in TABLE if listed == name))
    outcomes = {}
    findings = 0
    for number in range(first, first + count):
        if number % 100 == 0:
            gc.collect()
            print(json.dumps(["at", number]))
        given = parser.make(dice_for(name, seed, number))
        try:
            outcome = parser.judge(given)
        except Exception as error:
            outcome = "others"
            findings += 1
            print(json.dumps(["finding", number, type(error).__name__, _place(error), repr(given)[:300]]))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if findings >= _MOST:
            break
    print(json.dumps(["end", outcomes]))


main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
