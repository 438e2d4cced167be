"""The recorded budgets: the limit of each figure, and by how much the figure varies from run to run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from e4_tools.dev.bench.figures import Figure

_FILE = Path(__file__).with_name("budgets.toml")


class Verdict(Enum):
    """What a budget says of a figure."""

    GOOD = "good"
    NOISE = "within noise"
    WORSE = "WORSE"
    UNKNOWN = "no budget"


@dataclass(frozen=True)
class Budget:
    """`limit` and `noise` are in the unit of the figure; `goal` is what the project aims at, or None."""

    limit: float
    noise: float
    goal: float | None
    more_is_better: bool

    def verdict(self, value: float) -> Verdict:
        excess = self.limit - value if self.more_is_better else value - self.limit
        if excess <= 0:
            return Verdict.GOOD
        return Verdict.NOISE if excess <= self.noise else Verdict.WORSE

    def reaches_goal(self, value: float) -> bool:
        if self.goal is None:
            return True
        return value >= self.goal if self.more_is_better else value <= self.goal


class Budgets:
    """The budgets of one place, "vm" or "board"."""

    def __init__(self, place: str, path: Path = _FILE) -> None:
        self._place = place
        self._entries: dict[str, dict[str, float | bool]] = tomllib.loads(path.read_text())

    def of(self, figure: Figure) -> Budget | None:
        """Return the budget of a figure, from its own entry or one whose pattern fits; None if there is none."""
        entry = self._entries.get(figure.name)
        if entry is None:
            entry = next((e for name, e in self._entries.items() if fnmatchcase(figure.name, name)), None)
        if entry is None or self._place not in entry:
            return None
        goal = entry.get(f"goal_{self._place}")
        return Budget(
            float(entry[self._place]),
            float(entry.get("noise", 0)),
            None if goal is None else float(goal),
            bool(entry.get("more_is_better", False)),
        )
