"""Fetches `umqtt.simple`, which the official ESP32 firmware has frozen in and the Unix port of MicroPython lacks.

    python -m e4_tools.virtual_board.umqtt

`make setup` does that for a checkout. Where the tools were installed from a wheel, the first virtual board fetches it
into the user's folder for caches.

The package has no `setup.py`, so pip cannot install it. `unearth` finds it in the package registry by its name. The
registry has version 1.3.4, and later versions are published elsewhere only. For tests, `derive` makes a copy with the
signatures of later versions. To test a later version itself, put it at `build/umqtt/VERSION/umqtt/simple.py`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e4_tools.paths import BUILD, FROZEN
from e4_tools.virtual_board.errors import VirtualBoardError

VERSIONS = BUILD / "umqtt"  # This has one folder for each version that is tested.

_REQUIREMENT = "micropython-umqtt.simple==1.3.4"
_HASHES = {"sha256": ["b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"]}
_MODULE = Path("umqtt", "simple.py")
_MODULE_HASH = "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5"  # SHA-256 of that file
_ADVICE = (
    "virtual boards need it once. Try again with a network connection (PIP_INDEX_URL names another "
    "registry), or name a folder that has umqtt/simple.py with --frozen"
)
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


def frozen_modules(folder: Path = FROZEN) -> Path:
    """Return the folder of modules that the firmware of a board has frozen in; fetch what is missing or damaged there.

    Raises VirtualBoardError as `fetch` does.
    """
    module = folder / _MODULE
    if not module.is_file() or hashlib.sha256(module.read_bytes()).hexdigest() != _MODULE_HASH:
        fetch(folder)
    return folder


def fetch(folder: Path = FROZEN) -> Path:
    """Download `umqtt/simple.py` into `folder` and return its path. The hash of the archive is checked.

    Raises VirtualBoardError if it cannot be downloaded, or if what comes is another file.
    """
    from unearth import PackageFinder  # noqa: PLC0415 (it loads a client for HTTP, which few commands need)
    from unearth.errors import HashMismatchError  # noqa: PLC0415

    index = os.environ.get("PIP_INDEX_URL")
    finder = PackageFinder(index_urls=[index] if index else [])
    module = folder / _MODULE
    try:
        best = finder.find_best_match(_REQUIREMENT).best
        if best is None:
            raise VirtualBoardError(f"the package registry has no {_REQUIREMENT}; {_ADVICE}")
        with TemporaryDirectory() as unpacked:
            source = finder.download_and_unpack(best.link, unpacked, hashes=_HASHES)
            content = (source / _MODULE).read_bytes()
    except VirtualBoardError:
        raise
    except HashMismatchError:
        raise VirtualBoardError(f"the package registry has another {_REQUIREMENT} than ours; {_ADVICE}") from None
    except Exception as error:  # unearth passes on the errors of its client for HTTP, and changes that now and then.
        # The text of the error is left out, because it may name the registry with a password.
        reason = type(error).__name__
        raise VirtualBoardError(f"{_REQUIREMENT} could not be downloaded ({reason}); {_ADVICE}") from None
    try:
        module.parent.mkdir(parents=True, exist_ok=True)
        # Several boards may start at once. The name is that of this process, and renaming leaves no half of a file.
        unfinished = module.with_name(f"{module.name}.{os.getpid()}.new")
        unfinished.write_bytes(content)
        unfinished.replace(module)
    except OSError as error:
        raise VirtualBoardError(f"umqtt.simple cannot be kept at {module}: {error.strerror}; {_ADVICE}") from None
    return module


def derive(original: Path, folder: Path = VERSIONS) -> Path:
    """Put a copy with the signatures of 1.7.0 below `folder`, for tests, and return its path.

    Raises VirtualBoardError if `original` is not version 1.3.4.
    """
    source = original.read_text()
    for before, after in _CHANGES:
        if source.count(before) != 1:
            raise VirtualBoardError(f"{original} is not the umqtt.simple that was expected: it lacks {before!r}")
        source = source.replace(before, after)
    module = folder / "like-1.7.0" / _MODULE
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(source)
    return module


if __name__ == "__main__":
    try:
        fetched = fetch()
        print("umqtt.simple:", fetched)
        print("for tests:", derive(fetched))
    except VirtualBoardError as failure:
        sys.exit(str(failure))
