"""Fetches `umqtt.simple`, which the stock ESP32 firmware has built in and the Unix port has not.

    python -m e4_tools.umqtt

The package has no `setup.py`, so pip cannot install it; `unearth` finds it in the package registry by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from unearth import PackageFinder

from e4_tools.errors import ToolError
from e4_tools.paths import FROZEN

_REQUIREMENT = "micropython-umqtt.simple==1.3.4"
_HASHES = {"sha256": ["b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"]}
_MODULE = Path("umqtt", "simple.py")


def fetch(folder: Path = FROZEN) -> Path:
    """Put `umqtt/simple.py` into `folder` and return its path; the archive's hash is checked. Raises ToolError."""
    index = os.environ.get("PIP_INDEX_URL")
    finder = PackageFinder(index_urls=[index] if index else [])
    best = finder.find_best_match(_REQUIREMENT).best
    if best is None:
        raise ToolError(f"the package registry has no {_REQUIREMENT}, or is not to be reached")
    module = folder / _MODULE
    with TemporaryDirectory() as unpacked:
        source = finder.download_and_unpack(best.link, unpacked, hashes=_HASHES)
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_bytes((source / _MODULE).read_bytes())
    return module


if __name__ == "__main__":
    print("umqtt.simple:", fetch())
