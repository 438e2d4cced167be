"""`e4 provision --factory`: which name is next, at which port its board is, and what is reported about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from e4_tools.board.ports import choose_port
from e4_tools.cli.shared.output import Report
from e4_tools.errors import ToolError
from e4_tools.printable import printable
from e4_tools.provisioning.factory import Factory, TableRow, check_topics, read_table, rows_left
from e4_tools.provisioning.ledger import Ledger


@dataclass(frozen=True)
class FactoryRun:
    """One run of the command: the table of names, the ledger, the name that is wanted (None: all), and the ports.

    Without ports the user is asked to plug in one board after the other.
    """

    table: Path
    ledger: Path
    name: str | None
    ports: tuple[str, ...]

    def issue_all(self, report: Report, factory: Factory) -> None:
        """Issue the wanted name, or all names that are left, as long as there are boards. Raises ToolError."""
        rows = read_table(self.table)
        if self.name is not None and self.name not in rows:
            raise ToolError(f"{self.name} is not in {self.table}; nothing was done")
        report.say(issued=[])
        with Ledger(self.ledger) as ledger:
            wanted = rows_left(rows, ledger) if self.name is None else [rows[self.name]]
            check_topics(wanted, factory.config)
            for row, port in self._boards(wanted):
                issued = factory.issue_at(port, row, ledger)
                report.add("issued", asdict(issued), f"{row.name} is issued to board {issued.mac}, at {port}.")
            left = [row.name for row in rows_left(rows, ledger)]
        text = f"{len(left)} of {len(rows)} names are left." if left else "All names of the list are issued."
        report.say(text, left=left)

    def _boards(self, wanted: list[TableRow]) -> Iterator[tuple[TableRow, str]]:
        """Yield each row with the port of its board: the given ports in turn, or the one board that is plugged in."""
        if self.ports and not wanted:
            raise ToolError("all names of the list are issued; nothing was done. Add the next ones to it")
        if len(self.ports) > len(wanted):
            names = "1 name" if len(wanted) == 1 else f"{len(wanted)} names"
            raise ToolError(f"there are {len(self.ports)} boards and {names} left; nothing was done")
        if self.ports:
            yield from zip(wanted, self.ports, strict=False)  # Fewer boards than names are no mistake.
            return
        for row in wanted:
            question = f"Plug in the board for {printable(row.name)} and press enter (q ends)"
            if click.prompt(question, default="", show_default=False, err=True).strip().lower() == "q":
                return
            yield row, choose_port(None)
