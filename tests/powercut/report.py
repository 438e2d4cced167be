"""Counts what the proof has tried, and prints what was lost."""

import sys

from powercut.probe import Loss

# Only so many losses are printed. Most faults cause hundreds of them.
_SHOWN = 10


class Report:
    """The numbers of the proof.

    `cuts` counts the power cuts, `restarts` the restarts after them, and `losses` the failures. `exceptions` counts
    the exceptions raised inside the store, and `full` the commands that a full flash refused.
    """

    def __init__(self):
        self.cuts = self.restarts = self.losses = self.exceptions = self.full = 0

    def attempt(self, what, function, *arguments):
        """Call `function`. If it raises anything, count a loss; `what` says in the output where."""
        try:
            function(*arguments)
        except Exception as error:
            self.losses += 1
            if self.losses <= _SHOWN:
                print("LOSS at {}: {}".format(what, error))
                if not isinstance(error, Loss):
                    sys.print_exception(error)

    def last_line(self):
        return "{} cuts, {} restarts, {} losses".format(self.cuts, self.restarts, self.losses)
