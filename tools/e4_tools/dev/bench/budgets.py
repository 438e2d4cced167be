"""The recorded budgets. A budget is the limit of a figure, and says by how much the figure varies from run to run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from e4_tools.dev.bench.figures import Figure
from e4_tools.errors import ToolError

_FILE = Path(__file__).with_name("budgets.toml")


class Verdict(Enum):
    """The verdict of a budget on a figure."""

    GOOD = "good"
    NOISE = "within noise"
    WORSE = "WORSE"
    UNKNOWN = "no budget"


@dataclass(frozen=True)
class Budget:
    """The budget of one figure.

    `limit` and `noise` are in the unit of the figure. `goal` is the value that the project aims at, or None.
    `more_is_better` says that the limit is a lower one.
    """

    limit: float
    noise: float
    goal: float | None
    more_is_better: bool

    def verdict(self, value: float) -> Verdict:
        """Return the verdict on a value of the figure."""
        excess = self.limit - value if self.more_is_better else value - self.limit
        if excess <= 0:
            return Verdict.GOOD
        return Verdict.NOISE if excess <= self.noise else Verdict.WORSE

    def reaches_goal(self, value: float) -> bool:
        """Tell whether a value of the figure reaches the goal. Without a goal, every value does."""
        if self.goal is None:
            return True
        return value >= self.goal if self.more_is_better else value <= self.goal


class Budgets:
    """The budgets of one place, "vm" or "board". Raises ToolError for a file that is no file of budgets."""

    def __init__(self, place: str, path: Path = _FILE) -> None:
        self._place = place
        try:
            entries = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ToolError(f"the budgets in {path} cannot be read: {error}") from None
        for name, entry in entries.items():
            if not isinstance(entry, dict) or not all(isinstance(value, int | float) for value in entry.values()):
                raise ToolError(f"{path}: {name} is not a table of numbers")
        self._entries: dict[str, dict[str, float | bool]] = entries

    def of(self, figure: Figure) -> Budget | None:
        """Return the budget of a figure, from the entry of its name or of a pattern that fits, or None."""
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
