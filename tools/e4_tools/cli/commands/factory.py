"""`e4 provision --factory`: who is next, at which port, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from e4_tools.board.deploy import Options, carry_out, plan_for
from e4_tools.board.ports import choose
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.output import Report
from e4_tools.errors import ToolError
from e4_tools.provisioning.factory import Issued, Member, issue, read_fleet
from e4_tools.provisioning.key_sources import KeySource, file_name
from e4_tools.provisioning.label import write_label
from e4_tools.provisioning.ledger import Ledger


@dataclass(frozen=True)
class FactoryRun:
    """The options of a run: the table of names, where keys are kept, the ledger, the folder for labels."""

    table: Path
    keys: KeySource
    ledger: Path
    labels: Path | None
    replace: bool
    deploy: bool

    def issue_all(self, report: Report, name: str | None, ports: tuple[str, ...], config: dict[str, Any]) -> None:
        """Issue all names that are left, or the one that is wanted, as long as there are boards. Raises ToolError."""
        fleet = read_fleet(self.table)
        if name is not None and name not in fleet:
            raise ToolError(f"{name} is not in {self.table}; nothing was done")
        report.say(issued=[])
        with Ledger(self.ledger) as ledger:
            wanted = [fleet[name]] if name is not None else _left(fleet, ledger)
            _check_topics(wanted, config)
            for member, port in _boards(wanted, ports):
                issued = self._issue(member, port, config, ledger)
                report.add("issued", asdict(issued), f"{member.name} is issued to board {issued.mac}, at {port}.")
            left = [member.name for member in _left(fleet, ledger)]
        done = f"{len(left)} of {len(fleet)} names are left." if left else "All names of the list are issued."
        report.say(done, left=left)

    def _issue(self, member: Member, port: str, config: dict[str, Any], ledger: Ledger) -> Issued:
        with Board(port) as board:
            if self.deploy:
                carry_out(board, plan_for(board, Options(keep_main=True)))
            done = issue(board, member, config, self.keys, ledger, self.replace)
            board.reset()
        if self.labels is not None:
            write_label(self.labels / file_name(member.name, ".svg"), member.name)
        return done


def _left(fleet: dict[str, Member], ledger: Ledger) -> list[Member]:
    issued = ledger.issued()
    return [member for member in fleet.values() if member.name not in issued]


def _check_topics(members: list[Member], config: dict[str, Any]) -> None:
    for member in members:
        if not member.topics and not config["topics"]:
            raise ToolError(f"{member.name} has no topics in the table, and there is no --topic; nothing was done")


def _boards(wanted: list[Member], ports: tuple[str, ...]) -> Iterator[tuple[Member, str]]:
    """Yield who is next and at which port: those given, or whichever is plugged in when the user says so."""
    if ports and not wanted:
        raise ToolError("all names of the list are issued; nothing was done. Add the next ones to it")
    if len(ports) > len(wanted):
        names = "1 name" if len(wanted) == 1 else f"{len(wanted)} names"
        raise ToolError(f"there are {len(ports)} boards and {names} left; nothing was done")
    if ports:
        yield from zip(wanted, ports, strict=False)
        return
    for member in wanted:
        question = f"Plug in the board for {member.name} and press enter (q ends)"
        if click.prompt(question, default="", show_default=False, err=True).strip().lower() == "q":
            return
        yield member, choose(None)
