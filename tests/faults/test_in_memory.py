"""Runs the tests of the folder `in_memory` on the MicroPython VM."""

from __future__ import annotations

from pathlib import Path

import pytest

from e4_tools.virtual_board import VirtualBoardError
from helpers.vm import run_tests


def test_they_pass_on_the_vm(tmp_path: Path) -> None:
    try:
        printed = run_tests(Path(__file__).with_name("in_memory"), folder=tmp_path, heap="1m")
    except VirtualBoardError as error:
        pytest.skip(f"no MicroPython: {error}")
    assert printed.splitlines()[-1].endswith(" passed, 0 failed"), printed[-2000:]
    assert not printed.splitlines()[-1].startswith("0 passed")
