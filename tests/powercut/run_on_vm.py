"""The part of the power-cut proof that runs on the MicroPython VM. `proof.prove` starts it.

run_on_vm.py CUTS SEED PART PARTS [STORE]

CUTS is the number of first cuts, 0 for all. Each first cut is followed by second cuts throughout the recovery. This
process makes part number PART (from 0) of PARTS parts of them. Another SEED makes another life. STORE is the name of a
faulty store in `mutants`, which shows that the proof notices faults.

The output ends with a line `N cuts, N restarts, N losses`. The exit code is 1 if there was a loss.
"""

import sys

import e4
from powercut import mutants
from powercut.cuts import Cuts
from powercut.exceptions import Exceptions
from powercut.full import Full
from powercut.life import Life
from powercut.report import Report

# A run with a limit fills the flash only at one point of the life in so many.
_FULL_EVERY = 5
# A run with a limit raises so many exceptions for each first cut.
_EXCEPTIONS = 5


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
