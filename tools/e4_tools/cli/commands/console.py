"""The command that watches a board's console and types to it."""

from __future__ import annotations

import os
import select
import sys
import time

import click
import serial

from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.options import board_port
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import PortError

_POLL_SECONDS = 0.2
_LAST_WORDS_SECONDS = 1.0  # for what the board answers after the input has ended
_SILENCE_SECONDS = 3.0  # until the user is told that the board has printed nothing
_AT_PROMPT = "(The board is at MicroPython's prompt: no application runs. e4 console --reset starts it.)"
_AT_PROMPT_AFTER_RESET = (
    "(The board is at MicroPython's prompt: its main.py has ended, and what it said last is above. "
    "Mend that, and run e4 deploy or e4 provision.)"
)
_SILENT = (
    "(Nothing heard yet. A board that has nothing to say is silent, and so is one that is stopped. "
    "e4 console --reset starts it anew and shows its start.)"
)


@click.command(epilog="\b\nExamples:\n  e4 console\n  e4 console --reset\n  echo 21.5 | e4 console --seconds 5")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after this time, even if the input ends earlier.")
@click.option("--reset", is_flag=True, help="Reset the board with the console open already: its start is shown.")
@reports
@board_port
def console(report: Report, port: str, seconds: float | None, reset: bool) -> None:
    """Watch a board's console and type to it, line by line, until Ctrl-C or Ctrl-D.

    What the board said before is gone; --reset has it start anew, as e4 reset does, and shows all of it.
    """
    line = _reset(port) if reset else None
    with BoardConsole(port, port, lambda line: report.add("lines", line, line), line) as board:
        try:
            deadline = None if seconds is None else time.monotonic() + seconds
            _pass_on(board, deadline, None if report.as_json else _Hint(board, reset))
        except KeyboardInterrupt:
            return
    if board.lost:
        raise PortError(f"the line to {port} is lost; what was typed before may not have arrived")


def _reset(port: str) -> serial.Serial:
    with Board(port) as board:
        return board.reset_and_give_line()


def _pass_on(board: BoardConsole, deadline: float | None, hint: _Hint | None) -> None:
    """Type the lines of our standard input on the console.

    This ends when the serial line is lost, when the deadline has come, or without one, a second after the input ends.
    """
    typed, ended = b"", False
    while not board.lost and (deadline is None or time.monotonic() < deadline):
        if hint is not None:
            hint.give()
        if ended:
            time.sleep(_POLL_SECONDS)
        elif select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
            data = os.read(sys.stdin.fileno(), 4096)
            *lines, typed = (typed + (data or b"\n" * bool(typed))).split(b"\n")
            for line in lines:
                board.type(line.decode(errors="replace"))
            ended = not data
            if ended and deadline is None:
                deadline = time.monotonic() + _LAST_WORDS_SECONDS


class _Hint:
    """Tells the user once what to do if no application runs on the board."""

    def __init__(self, board: BoardConsole, after_reset: bool) -> None:
        self._board = board
        self._at_prompt = _AT_PROMPT_AFTER_RESET if after_reset else _AT_PROMPT
        self._silence_from = time.monotonic()
        self._given = False

    def give(self) -> None:
        """Print the hint, if there is reason for one and it was not printed before."""
        hint = self._at_prompt if self._board.at_prompt else None
        if self._board.silent and time.monotonic() - self._silence_from > _SILENCE_SECONDS:
            hint = _SILENT
        if hint and not self._given:
            click.echo(hint, err=True)
            self._given = True


console_commands = [console]
