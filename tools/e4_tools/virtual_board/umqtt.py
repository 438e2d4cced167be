"""Fetches `umqtt.simple`, which the official ESP32 firmware has frozen in and the Unix port of MicroPython lacks.

    python -m e4_tools.virtual_board.umqtt

The package has no `setup.py`, so pip cannot install it. `unearth` finds it in the package registry by its name. The
registry has version 1.3.4, and later versions are published elsewhere only. For tests, `derive` makes a copy with the
signatures of later versions. To test a later version itself, put it at `build/umqtt/VERSION/umqtt/simple.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from unearth import PackageFinder

from e4_tools.errors import ToolError
from e4_tools.paths import BUILD, FROZEN

VERSIONS = BUILD / "umqtt"  # This has one folder for each version that is tested.

_REQUIREMENT = "micropython-umqtt.simple==1.3.4"
_HASHES = {"sha256": ["b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"]}
_MODULE = Path("umqtt", "simple.py")
# The changes that callers of version 1.7.0 notice. Since 1.4.0 it takes a TLS context and skips an empty user. Since
# 1.5.0 its `connect` takes a timeout. Each pair is a text of version 1.3.4 and the text that replaces it.
_CHANGES = (
    ("ssl=False, ssl_params={}", "ssl=None"),
    ("        self.ssl_params = ssl_params\n", ""),
    ("            import ussl\n", ""),
    ("ussl.wrap_socket(self.sock, **self.ssl_params)", "self.ssl.wrap_socket(self.sock, server_hostname=self.server)"),
    ("def connect(self, clean_session=True):\n", "def connect(self, clean_session=True, timeout=None):\n"),
    ("        addr = socket", "        self.sock.settimeout(timeout)\n        addr = socket"),
    ("        if self.user is not None:\n            sz", "        if self.user:\n            sz"),
    ("        if self.user is not None:\n            self._send", "        if self.user:\n            self._send"),
)


def fetch(folder: Path = FROZEN) -> Path:
    """Download `umqtt/simple.py` into `folder` and return its path. The hash of the archive is checked.

    Raises ToolError if the package registry does not have the package.
    """
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


def derive(original: Path, folder: Path = VERSIONS) -> Path:
    """Put a copy with the signatures of 1.7.0 below `folder`, for tests, and return its path.

    Raises ToolError if `original` is not version 1.3.4.
    """
    source = original.read_text()
    for before, after in _CHANGES:
        if source.count(before) != 1:
            raise ToolError(f"{original} is not the umqtt.simple that was expected: {before!r} is not in it once")
        source = source.replace(before, after)
    module = folder / "like-1.7.0" / _MODULE
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(source)
    return module


if __name__ == "__main__":
    fetched = fetch()
    print("umqtt.simple:", fetched)
    print("for tests:", derive(fetched))
