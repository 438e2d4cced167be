"""The short form of `make fuzz`: some thousand inputs for each parser, on CPython and on the MicroPython VM."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from e4_tools.virtual_board import VirtualBoardError, find_micropython
from fuzz.parser import Parser, dice_for
from fuzz.report import Tally, show
from fuzz.run import Part, names, run_parts
from fuzz.run_on_cpython import place
from fuzz.table import TABLE, load

_SEED = 2  # another one than that of `make fuzz`, so that the two do not try the same inputs
_MOST = 3000  # inputs of a parser
_SECONDS = 0.6  # for each parser; a slow one gets fewer inputs
_LEAST = 20  # inputs that even the slowest parser gets
_ON_VM = 200  # inputs of a parser


@pytest.mark.parametrize(("name", "where"), [(name, where) for name, _, where in TABLE], ids=[row[0] for row in TABLE])
@pytest.mark.filterwarnings("ignore")  # Libraries warn of what is in the inputs.
def test_nothing_ends_in_another_error_than_the_documented_ones(
    name: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parser: Parser = load(where)
    found = Tally(name)
    end = time.monotonic() + _SECONDS
    for number in range(_MOST):
        given = parser.make(dice_for(name, _SEED, number))
        try:
            found.outcomes[parser.judge(given)] += 1
        except Exception as error:
            found.outcomes["others"] += 1
            found.find(f"{type(error).__name__} at {place(error)}", f"input {number}: {given!r:.400}")
        if number >= _LEAST and time.monotonic() > end:
            break
    assert not found.findings, show([found])


def test_nothing_does_on_micropython_either() -> None:
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"not run on MicroPython: {error}")
    tallies = run_parts([Part(name, True, 0, _ON_VM) for name, _ in names("", on_vm=True)], _SEED, 2)
    assert not any(tally.findings for tally in tallies), show(tallies)
    assert all(tally.inputs == _ON_VM for tally in tallies)
