"""What all tests on CPython share."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "unit"))  # `support`, found there by both interpreters
sys.path.insert(0, str(ROOT))  # `firmware` lies beside the application, as on a board


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(request, tmp_path, monkeypatch):
    """Unit tests write plain file names, as on a board; here each gets a folder."""
    if "unit" in request.path.parts:
        monkeypatch.chdir(tmp_path)
