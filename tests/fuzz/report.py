"""What a run has found: for each parser how many inputs it accepted and refused, and everything that is a finding."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_SHOWN = 12  # places of a parser at which something was found, and which are shown


@dataclass
class Tally:
    """What has become of the inputs of one parser.

    `outcomes` counts them by exception; "" is for accepted ones. `findings` counts what is found, by its place, and
    `first` has the first input for each place.
    """

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return sum(self.outcomes.values())

    @property
    def others(self) -> int:
        """How many inputs ended in something else than the parser documents."""
        return self.findings.total()

    def find(self, place: str, given: str = "") -> None:
        """Note a finding."""
        self.findings[place] += 1
        self.first.setdefault(place, given)

    def take(self, line: str) -> bool:
        """Take a line that a run has printed; return whether it is the last one of this run."""
        try:
            kind, *rest = json.loads(line)
        except ValueError:
            self.find(line)
            return False
        if kind == "finding":
            number, exception, place, given = rest
            self.find(f"{exception} at {place}", f"input {number}: {given}")
        elif kind == "end":
            self.outcomes.update(rest[0])
        return bool(kind == "end")

    def row(self) -> str:
        """Return the row of the table."""
        refused = ", ".join(
            f"{name} {count}" for name, count in self.outcomes.most_common() if name not in ("", "others")
        )
        return f"{self.name:32} {self.inputs:8} {self.outcomes['']:8}   {self.others:6}   {refused}"


def show(tallies: Iterable[Tally]) -> str:
    """Return the table of a run, and below it the findings."""
    rows = list(tallies)
    lines = [f"{'parser':32} {'inputs':>8} {'accepted':>8}   {'others':>6}   refused by"]
    lines += [tally.row() for tally in rows]
    for tally in rows:
        if tally.findings:
            lines += ["", f"{tally.name}: {tally.others} findings at {len(tally.findings)} places"]
        for place, count in tally.findings.most_common(_SHOWN):
            lines += [f"  {count} times: {place}", *([f"      {tally.first[place]}"] if tally.first[place] else [])]
    inputs, accepted = sum(tally.inputs for tally in rows), sum(tally.outcomes[""] for tally in rows)
    others = sum(tally.others for tally in rows)
    lines += ["", f"{inputs} inputs, {accepted} accepted, {inputs - accepted - others} refused, others: {others}"]
    return "\n".join(lines)
