"""How every command answers: lines for a person or one JSON object for a script, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

import e4
from e4_tools.errors import ToolError


class Report:
    """What a command has to say. With --json nothing is printed until the end, and then one object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._facts: dict[str, Any] = {}

    def say(self, text: str = "", **facts: Any) -> None:
        """Print `text` for a person; keep `facts` for a script."""
        self._facts.update(facts)
        if text and not self.as_json:
            click.echo(text)

    def add(self, name: str, item: Any, text: str = "") -> None:
        """Append `item` to the list `name` of the facts, and print `text` for a person."""
        self._facts.setdefault(name, []).append(item)
        self.say(text)

    def finish(self, error: ToolError | None = None) -> None:
        """Print the JSON object, if that is wanted, or the error and its notes, and set the exit code."""
        said = " ".join([str(error), *getattr(error, "__notes__", ())])
        if self.as_json:
            ended = {"ok": error is None, **({"error": said} if error else {})}
            click.echo(json.dumps({**ended, **self._facts}))
        elif error:
            click.echo(f"Error: {said}", err=True)
        if error:
            raise SystemExit(error.exit_code)


def reports(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --json and, as first argument, a `Report`; end it with the right exit code."""

    @click.option("--json", "as_json", is_flag=True, help="Answer with one JSON object.")
    @wraps(command)
    def wrapped(*arguments: Any, as_json: bool, **options: Any) -> None:
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
