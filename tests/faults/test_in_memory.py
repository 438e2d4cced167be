"""The tests of `in_memory`, on the MicroPython VM."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from e4_tools.paths import FROZEN
from e4_tools.virtual_board import VirtualBoardError, find_micropython

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_PATH = (_ROOT / "lib", _ROOT, _ROOT / "tests", FROZEN, ".frozen")


def test_they_pass_on_the_vm(tmp_path: Path) -> None:
    try:
        command = find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"no MicroPython: {error}")
    command += [
        "-X",
        "heapsize=1m",
        str(_ROOT / "tests" / "helpers" / "portable" / "run_tests.py"),
        str(_HERE / "in_memory"),
    ]
    path = ":".join(str(place) for place in _PATH)
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "MICROPYPATH": path}, capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout[-2000:]
