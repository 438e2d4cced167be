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
from powercut.application import CrowdedBoard, LoggingBoard
from powercut.cuts import Cuts
from powercut.exceptions import Exceptions
from powercut.full import Full
from powercut.life import ON_A_FULL_FLASH, Life
from powercut.report import Report

# A run with a limit fills the flash only at one point of the life in so many.
_FULL_EVERY = 5
# Of the first cuts on a flash that stays full, a run without a limit makes so many; a run with a limit makes one for so
# many others.
_CUTS_WHEN_FULL = 40
_OTHERS = 40
# On a full flash an operation of the store takes many operations of the flash. A second cut is made at one in so many.
_EVERY_WHEN_FULL = 13
# A run with a limit raises so many exceptions for each first cut.
_EXCEPTIONS = 5


def main(limit, seed, shard, store_class):
    report = Report()
    life = Life(seed)
    events = len(life.events)
    cuts = Cuts(life, report, store_class, limit, shard)
    exceptions = Exceptions(life, report, store_class, _EXCEPTIONS * limit, shard)
    full = Full(life, report, store_class, _FULL_EVERY if limit else 1, shard)
    for what, part in (("cuts", cuts), ("exceptions", exceptions), ("a full flash", full)):
        report.attempt("a life without " + what, part.run)
    if store_class is e4.FileStore:  # The faulty stores show their faults before.
        when_full = 1 + limit // _OTHERS if limit else _CUTS_WHEN_FULL
        life = Life(seed, ON_A_FULL_FLASH)
        for board_class in (LoggingBoard, CrowdedBoard):
            cuts = Cuts(life, report, store_class, when_full, shard, board_class, _EVERY_WHEN_FULL)
            report.attempt("a life without cuts on a full flash", cuts.run)
    print(
        "{} events; {} exceptions, {} commands refused by a full flash".format(events, report.exceptions, report.full)
    )
    print(report.last_line())
    sys.exit(1 if report.losses else 0)


if __name__ == "__main__":
    _cuts, _seed, _part, _parts = [int(text) for text in sys.argv[1:5]]
    _name = sys.argv[5] if len(sys.argv) > 5 else ""
    main(_cuts, _seed, (_part, _parts), getattr(mutants, _name) if _name else e4.FileStore)
