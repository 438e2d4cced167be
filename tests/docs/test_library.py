"""The code in docs/library.md runs as it stands there, on CPython and on MicroPython."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import e4
from e4_tools.virtual_board import VirtualBoardError, find_micropython
from helpers.boards import ROOT

_DOCUMENT = (ROOT / "docs" / "library.md").read_text()
_PROGRAM = "\n".join(re.findall(r"```python\n(.*?)```", _DOCUMENT, re.DOTALL))


def test_the_code_runs_on_cpython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(_PROGRAM, {"__name__": "library"})  # noqa: S102 (our own document)
    assert capsys.readouterr().out == "a copy\n"


def test_the_code_runs_on_micropython(tmp_path: Path) -> None:
    try:
        command = find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"no MicroPython: {error}")
    program = tmp_path / "library.py"
    program.write_text(_PROGRAM)
    environment = {**os.environ, "MICROPYPATH": f"{ROOT / 'lib'}:.frozen"}
    result = subprocess.run(
        [*command, str(program)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "a copy\n", "")


def test_the_tree_of_errors_is_the_library_s() -> None:
    block = re.search(r"```\n(E4Error.*?)```", _DOCUMENT, re.DOTALL)
    assert block
    told: dict[str, str] = {}  # the name of each error: that of its base
    above: list[str] = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        name = line.split()[0]
        above = [*above[:depth], name]
        told[name] = above[-2] if depth else "Exception"
    errors: list[Any] = [found for found in vars(e4.errors).values() if isinstance(found, type)]
    assert told == {error.__name__: error.__base__.__name__ for error in errors}


def test_the_defaults_are_the_library_s(tmp_path: Path) -> None:
    client = e4.Client(e4.id_of("alice"), b"k" * 32, e4.MemoryStore(), lambda: 0)
    for name in ("max_age", "future_tolerance", "key_transition", "max_command_age"):
        assert f"| `{name}` | {getattr(client, name)} |" in _DOCUMENT
    remembered = inspect.signature(e4.Client).parameters["remembered"].default
    assert f"| `remembered` | {remembered} |" in _DOCUMENT
