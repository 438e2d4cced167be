"""The command that starts a board anew."""

from __future__ import annotations

import click

from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.options import board_port
from e4_tools.cli.shared.output import Report, reports


@click.command(epilog="\b\nExamples:\n  e4 reset\n  e4 reset --port /dev/ttyUSB0")
@reports
@board_port
def reset(report: Report, port: str) -> None:
    """Reset a board, as its button does: boot.py and main.py run, and what was stopped is started again.

    Keys and files stay. A deployment that was cut short in its last step is finished.
    """
    with Board(port) as board:
        board.reset()
    report.say(f"{port} has been reset. e4 console --reset resets it and shows its start.", port=port)


reset_commands = [reset]
