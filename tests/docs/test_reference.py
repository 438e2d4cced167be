"""The tables of the documents are whole: commands, exit codes, environment variables, decorators."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

from e4_tools import errors
from e4_tools.cli import main
from firmware.handlers import Handlers
from helpers.boards import ROOT

DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
_FLEET = (ROOT / "docs" / "fleet.md").read_text()
_APPLICATION = (ROOT / "docs" / "application.md").read_text()
_BOARDS = (ROOT / "docs" / "boards.md").read_text()
# Commands for one board: docs/boards.md has them.
_OF_BOARDS = {"board", "console", "deploy", "flash", "image", "ports", "prove", "provision", "reset", "status", "wipe"}


def _names(group: click.Group, before: str = "e4") -> set[str]:
    names: set[str] = set()
    for name, command in group.commands.items():
        whole = f"{before} {name}"
        names |= _names(command, whole) if isinstance(command, click.Group) else {whole}
    return names


COMMANDS = _names(main) if isinstance(main, click.Group) else set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_its_python_compiles(path: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        ast.parse(block)


def test_the_fleet_s_commands_are_all_there() -> None:
    for command in COMMANDS:
        if command.split()[1] not in _OF_BOARDS:
            assert f"`{command}" in _FLEET, command


def test_the_commands_for_one_board_are_all_there() -> None:
    for command in _OF_BOARDS:
        assert f"`e4 {command}" in _BOARDS, command


def test_exit_codes_are_those_of_the_errors() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", _FLEET, re.MULTILINE)}
    of_errors = {found.exit_code for found in vars(errors).values() if hasattr(found, "exit_code")}
    assert documented == {0, 2} | of_errors  # 0: done, 2: click's


def test_environment_variables_are_all_there() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tools" / "e4_tools").rglob("*.py"))
    read = set(re.findall(r"\"((?:E4|WIFI)_[A-Z_]+|MICROPYTHON)\"", sources))
    assert read
    assert read <= set(re.findall(r"`([A-Z0-9_]+)`", _FLEET))


def test_decorators_are_all_there() -> None:
    decorators = {name for name in vars(Handlers) if not name.startswith("_")}
    assert decorators == set(re.findall(r"^\| `@node\.(\w+)", _APPLICATION, re.MULTILINE))
