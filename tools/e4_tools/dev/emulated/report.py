"""What a run of the emulated board has shown: the checks that passed and failed, and what was left out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from e4_tools.errors import ToolError, with_notes
from e4_tools.printable import printable


class Report:
    """The checks that have passed and failed so far, and what was left out. Each is printed when it is known."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self._left_out: list[str] = []

    def note(self, what: str, good: bool, detail: str = "") -> None:
        """Note and print the outcome of a check."""
        self.passed += good
        self.failed += not good
        click.echo(f"  {'ok' if good else 'FAILED'}  {what}{': ' if detail else ''}{printable(detail)}")

    def count(self, passed: int, failed: int) -> None:
        """Add checks that were printed already."""
        self.passed += passed
        self.failed += failed

    def leave_out(self, what: str) -> None:
        """Note what was not checked, and why."""
        self._left_out.append(what)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Note a check that passes if the block raises no ToolError. The error is raised again."""
        click.echo(f"  ...  {what}")
        began = time.monotonic()
        try:
            yield
        except ToolError as error:
            self.note(what, False, with_notes(error))
            raise
        self.note(what, True, f"after {time.monotonic() - began:.0f} s")

    def close(self) -> bool:
        """Print what was left out and how many checks passed and failed. Return whether all is well."""
        for text in self._left_out:
            click.echo(f"left out: {text}")
        click.echo(f"{self.passed} passed, {self.failed} failed")
        return self.passed > 0 and not self.failed
