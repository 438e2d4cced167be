"""The part of the fuzzers that runs on CPython, in a process of its own. `run` starts it.

run_on_cpython.py SEED NAME FIRST COUNT

It does the same as `run_on_vm`, and prints the same lines. An input that takes more than some seconds of the processor,
or makes the process much larger, is a finding as well.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from e4_tools.paths import ROOT
from fuzz.parser import Broken, Parser, dice_for
from fuzz.table import TABLE, load

_SECONDS = 10.0  # of the processor, for one input
_GROWTH = 64 * 1024  # KiB by which one input may make the process larger
_LIMIT = 3 << 30  # bytes of memory of the whole process
_MOST = 500  # findings, after which the rest of the inputs would only repeat them
_EVERY = 2.0  # seconds between two signs of life


class Hang(BaseException):
    """An input takes too long. It is no Exception, so that no `except Exception` hides it."""


def _raise_hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang("it takes too long")


def place(error: BaseException) -> str:
    """Return where an exception was raised: the last function of ours, and the one that it called there."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(str(ROOT)) and ".venv" not in frame.filename]
    last = ours[-3:] + [frame for frame in frames[-1:] if frame not in ours]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(last))
    return f"{where}: {str(error)[:100]!r}" if isinstance(error, Broken) else where


def judge(parser: Parser, given: object) -> str:
    """Return the outcome of one input. Raises everything that is a finding, also Hang, and Broken for its memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        outcome: str = parser.judge(given)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if grown > _GROWTH:
        raise Broken(f"it takes {grown >> 10} MiB")
    return outcome


def run(seed: int, name: str, first: int, count: int) -> None:
    """Parse inputs, and print what becomes of them."""
    signal.signal(signal.SIGPROF, _raise_hang)
    parser = load(next(where for listed, _, where in TABLE if listed == name))
    outcomes: dict[str, int] = {}
    spoken = 0.0
    for number in range(first, first + count):
        if time.monotonic() - spoken > _EVERY:
            spoken = time.monotonic()
            print(json.dumps(["at", number]), flush=True)
        given = parser.make(dice_for(name, seed, number))
        try:
            outcome = judge(parser, given)
        except (Exception, Hang) as error:
            outcome = "others"
            shown = f"{str(error)[:150]}; {repr(given)[:400]}"
            print(json.dumps(["finding", number, type(error).__name__, place(error), shown]), flush=True)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if outcomes.get("others", 0) >= _MOST:
            break
    print(json.dumps(["end", outcomes]), flush=True)


def main() -> None:
    # `umqtt.simple` imports these modules under the names that MicroPython gives them.
    for name in ("socket", "struct", "binascii"):
        sys.modules["u" + name] = __import__(name)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT))
    run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))


if __name__ == "__main__":
    main()
