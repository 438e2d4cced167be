"""Counts what was tried, and says what was lost."""

import sys

from powercut.probe import Loss

_SHOWN = 10  # losses that are printed in full


class Report:
    """`cuts`, `restarts` after one, `losses`; `exceptions` thrown into the store, and times the flash was `full`."""

    def __init__(self):
        self.cuts = self.restarts = self.losses = self.exceptions = self.full = 0

    def attempt(self, what, function, *arguments):
        """Call `function`; whatever it raises is a loss at `what`."""
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
