"""The power-cut proof, as `python tests/powercut` starts it on the MicroPython VM.

run_on_vm.py CUTS SEED PART PARTS [STORE]

CUTS: how many first cuts (each followed by second cuts throughout the recovery), 0 for all; of these, this is
part PART (from 0) of PARTS. STORE: the name of a faulty store in `mutants`, to see that the proof notices it.
Ends with a line `N cuts, N restarts, N losses`, and with exit code 1 after a loss.
"""

import sys

import e4
from powercut import mutants
from powercut.cuts import Cuts
from powercut.exceptions import Exceptions
from powercut.full import Full
from powercut.life import Life
from powercut.report import Report

_FULL_EVERY = 5  # of the starts on a full flash, where not all cuts are made
_EXCEPTIONS = 5  # for each first cut


def main(limit, seed, shard, store_class):
    report = Report()
    life = Life(seed)
    cuts = Cuts(life, report, store_class, limit, shard)
    exceptions = Exceptions(life, report, store_class, _EXCEPTIONS * limit, shard)
    full = Full(life, report, store_class, _FULL_EVERY if limit else 1, shard)
    for what, part in (("cuts", cuts), ("exceptions", exceptions), ("a full flash", full)):
        report.attempt("a life without " + what, part.run)
    print(
        "{} events; {} exceptions, {} commands refused by a full flash".format(
            len(life.events), report.exceptions, report.full
        )
    )
    print(report.last_line())
    sys.exit(1 if report.losses else 0)


if __name__ == "__main__":
    _cuts, _seed, _part, _parts = [int(text) for text in sys.argv[1:5]]
    _name = sys.argv[5] if len(sys.argv) > 5 else ""
    main(_cuts, _seed, (_part, _parts), getattr(mutants, _name) if _name else e4.FileStore)
