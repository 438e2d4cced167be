"""The command by which a board that has got its identity in an image becomes issued."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

import e4
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.key_choice import KeyChoice, key_options
from e4_tools.cli.shared.options import board_port, ledger_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.provisioning.image_proof import prove_board
from e4_tools.provisioning.ledger import Ledger


@click.command(
    epilog="\b\nExamples:\n  e4 prove --in-store\n"
    "  e4 prove lab-1 --keys keys --port /dev/ttyUSB0 --ledger ledger.jsonl"
)
@click.argument("name", required=False)
@key_options
@ledger_option
@reports
@board_port
def prove(report: Report, name: str | None, port: str, keys: KeyChoice, ledger: Path) -> None:
    """Have a board that got its identity in an image prove its ID key, and note it as issued.

    This is for images that another tool than e4 flash has written to a board. Without NAME the board says who it is.
    The key does not leave the board. It is final then: another one needs --replace. The board is reset.

    Safe to run again. A board with the name of one that was issued already is refused: two boards have the same image.
    """
    if name is not None:
        e4.id_of(name)  # raises for a name that no client can have
    with Ledger(ledger) as noted:
        source = keys.source(report, name or "the board", may_be_random=False)
        with Board(port) as board:
            proved = prove_board(board, name, source, noted)
            board.reset()
    report.say(
        f"{proved.name} has proved that it holds its ID key, and is issued to board {proved.mac}.", **asdict(proved)
    )


prove_commands = [prove]
