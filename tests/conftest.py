"""What all tests on CPython share. It loads nothing but pytest, so that unit tests start at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# `umqtt.simple` imports these modules under the names that MicroPython gives them.
for _name in ("socket", "struct", "binascii"):
    sys.modules["u" + _name] = __import__(_name)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests write plain file names, as on a board; here each gets a folder."""
    if "unit" in request.path.parts:
        monkeypatch.chdir(tmp_path)
