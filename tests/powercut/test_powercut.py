"""The short form of `make powercut`, and tests that the proof notices a faulty store."""

from __future__ import annotations

import os
import re

import pytest

from e4_tools.virtual_board import VirtualBoardError, find_micropython
from powercut.proof import prove, run_on_vm

# The number of first cuts. Each of them is followed by about five second cuts.
_CUTS = 40
# With a faulty store so few first cuts are enough to find a loss.
_FEW = 6


@pytest.fixture(autouse=True)
def _needs_a_vm() -> None:
    try:
        find_micropython()
    except VirtualBoardError as error:
        if "MICROPYTHON" in os.environ:
            raise
        pytest.skip(f"the power-cut proof was not run: {error}")


def test_nothing_is_lost() -> None:
    output, (cuts, restarts, losses) = prove(_CUTS, seed=1, processes=1)
    assert losses == 0, output
    assert cuts > 3 * _CUTS
    assert restarts == cuts


def test_a_full_flash_obeys_all_that_removes_or_replaces_keys() -> None:
    output = run_on_vm("filled.py", "16")
    assert output.splitlines()[-1] == "0 cuts, 0 restarts, 0 losses", output
    assert len(re.findall(r" commands, [1-9]\d* refused$", output, re.MULTILINE)) == 7


def test_a_command_costs_the_same_however_many_topics_there_are() -> None:
    few, many = [line.split() for line in run_on_vm("cost.py", "1", "1000").splitlines()[1:]]
    assert (few[0], many[0]) == ("1", "1000")
    # The columns are programs, erases and bytes, first without the store's housekeeping and then with it.
    for i in range(1, 7):
        assert float(many[i]) <= 1.5 * float(few[i]) + 0.1


@pytest.mark.parametrize("store", ["EffectFirst", "EvidenceFirst", "MemoryFirst", "NothingRedone"])
def test_the_proof_notices_a_store_that_is_wrong(store: str) -> None:
    output, (_, _, losses) = prove(_FEW, seed=1, processes=1, store=store)
    assert losses, output
    # Without this line in the output, the proof itself would have failed, and not the store.
    assert "LOSS at" in output
