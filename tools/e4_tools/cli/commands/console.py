"""The command that watches a board's console and types to it."""

from __future__ import annotations

import sys
import time

import click
import serial

from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.keyboard import Input, read_input, read_keys
from e4_tools.cli.shared.options import board_port
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import PortError

_POLL_SECONDS = 0.2
_LAST_WORDS_SECONDS = 1.0  # for what the board answers after the input has ended
_SILENCE_SECONDS = 3.0  # until the user is told that the board has printed nothing
_CTRL_D = b"\x04"
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
@click.option("--raw", is_flag=True, help="Pass on bytes as they are, and keys of a terminal one by one.")
@reports
@board_port
def console(report: Report, port: str, seconds: float | None, reset: bool, raw: bool) -> None:
    """Watch a board's console and type to it, line by line, until Ctrl-C or Ctrl-D.

    What the board said before is gone; --reset has it start anew, as e4 reset does, and shows all of it.

    Colours are left out, and what else could steer your terminal is shown as text, such as \\x1b. With --raw everything
    reaches the terminal as the board sends it, and keys such as the cursor keys reach the board, as its REPL wants
    them; a board that is not to be trusted can then do to the terminal what it likes.

    With --json the answer has the last 10,000 lines, and lines_forgotten says how many came before them.
    """
    if raw and report.as_json:
        raise click.UsageError("--raw and --json exclude each other")
    line = _reset(port) if reset else None
    heard = _ignore if raw or report.as_json else click.echo
    with BoardConsole(port, port, heard, line, _write_raw if raw else _ignore) as board:
        try:
            deadline = None if seconds is None else time.monotonic() + seconds
            if raw:
                _pass_keys(board, deadline)
            else:
                _pass_on(board, deadline, None if report.as_json else _Hint(board, reset))
        except KeyboardInterrupt:
            return
        finally:
            if report.as_json:
                report.say(lines=board.lines, lines_forgotten=board.forgotten)
    if board.lost:
        raise PortError(f"the line to {port} is lost; what was typed before may not have arrived")


def _ignore(_: object) -> None:
    """Take what the board prints, and show nothing of it."""


def _write_raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _pass_keys(board: BoardConsole, deadline: float | None) -> None:
    """Send our input to the board as it comes: if it is a terminal, key by key; the board's REPL echoes them itself.

    This ends as `_pass_on` does, and with Ctrl-D on a terminal.
    """
    if not sys.stdin.isatty():
        _pass_bytes(board, deadline, Input(read_input()), on_terminal=False)
        return
    with read_keys() as read:
        _pass_bytes(board, deadline, Input(read), on_terminal=True)


def _pass_bytes(board: BoardConsole, deadline: float | None, typed: Input, on_terminal: bool) -> None:
    ended = False
    while not board.lost and (deadline is None or time.monotonic() < deadline):
        data = None if ended else typed.take(_POLL_SECONDS)
        if ended:
            time.sleep(_POLL_SECONDS)
        elif data is not None:
            if on_terminal and _CTRL_D in data:
                return
            if data:
                board.send(data.replace(b"\n", b"\r"))
            ended = not data
            if ended and deadline is None:
                deadline = time.monotonic() + _LAST_WORDS_SECONDS


def _reset(port: str) -> serial.Serial:
    with Board(port) as board:
        return board.reset_and_give_line()


def _pass_on(board: BoardConsole, deadline: float | None, hint: _Hint | None) -> None:
    """Type the lines of our standard input on the console.

    This ends when the serial line is lost, when the deadline has come, or without one, a second after the input ends.
    """
    came, typed, ended = Input(read_input()), b"", False
    while not board.lost and (deadline is None or time.monotonic() < deadline):
        if hint is not None:
            hint.give()
        data = None if ended else came.take(_POLL_SECONDS)
        if ended:
            time.sleep(_POLL_SECONDS)
        elif data is not None:
            *lines, typed = (typed + (data or b"\n" * bool(typed))).split(b"\n")
            for line in lines:
                board.type(line.rstrip(b"\r").decode(errors="replace"))  # Windows ends a line with both characters.
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
