"""How every command answers: with lines for a person, or with one JSON object for a script, and with an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import Any

import click

import e4
from e4_tools.errors import ToolError, with_notes
from e4_tools.printable import printable


class Report:
    """The answer of a command.

    For a person each line is printed at once. With --json nothing is printed until the end, and then one object with
    all facts.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._facts: dict[str, Any] = {}

    def say(self, text: str = "", **facts: Any) -> None:
        """Print the line `text`, if a person is to read the answer, and keep `facts` for the JSON object.

        What is not printable in the line is escaped, because the line may name what a board or a broker has sent.
        """
        self._facts.update(facts)
        if text and not self.as_json:
            click.echo(printable(text))

    def add(self, name: str, item: Any, text: str = "") -> None:
        """Append `item` to the list `name` among the facts, and print `text` if a person is to read the answer."""
        self._facts.setdefault(name, []).append(item)
        self.say(text)

    def finish(self, error: ToolError | None = None) -> None:
        """End the command. With --json, print the object; otherwise print the error, if there is one, with its notes.

        Exits with the exit code of the error.
        """
        text = with_notes(error) if error else ""
        if self.as_json:
            ended = {"ok": error is None, **({"error": text} if error else {})}
            click.echo(json.dumps({**ended, **self._facts}))
        elif error:
            click.echo(f"Error: {text}", err=True)
        if error:
            raise SystemExit(error.exit_code)


def reports(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --json and, as its first argument, a `Report`.

    An error that the command raises ends the report, and sets the exit code of the process.
    """

    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @wraps(command)
    def wrapped(*arguments: Any, as_json: bool, **options: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                # A letter that the terminal does not have must not end the command.
                stream.reconfigure(errors="backslashreplace")
        report = Report(as_json)
        try:
            command(report, *arguments, **options)
        except ToolError as error:
            report.finish(error)
        except e4.E4Error as error:
            report.finish(ToolError(str(error)))
        else:
            report.finish()

    return wrapped
