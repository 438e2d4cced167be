"""Builds a folder from which `mip` installs this project: an index of packages, and what else a board needs.

    python -m e4_tools.dev.mip_index FOLDER

Any web server can serve the folder. It holds files only, and nothing in it is computed for a request.

| path | what it is |
|---|---|
| `package/6/NAME/VERSION.json` | the package as `.mpy` files of version 6, which `mip` asks for by default |
| `package/py/NAME/VERSION.json` | the package as sources |
| `file/HH/HASH` | a file of some package |
| `NAME.json`, `package.json` | the package as `.mpy` files, installed by its address and not from an index |
| `boot.py`, `main.py`, `set_up_board.py` | what is copied to a board or run on it by hand |

`mip` asks an index for a version of `.mpy` files and does not say for which processor. Only machine code depends on the
processor. So a package has each module with machine code once for every processor, and a module of a few lines under
its usual name that loads the one for this board. If there is none, the library takes the ordinary Python that every
package also has. An index for one processor has exactly the files that `e4 deploy` sends to such a board.

The formats are those that `mip` in micropython-lib and `mpremote mip` read: "hashes" and "urls" are lists of a path on
the board, below its folder for libraries, and a hash or an address. `mip` only uses a hash to skip a file that is there
already.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from e4_tools.board.compile import Target, compile_module, package_files
from e4_tools.board.deploy import checkout_version
from e4_tools.board.paths_on_board import VERSION_PATH
from e4_tools.errors import ToolError
from e4_tools.image.micropython_image import ARCHITECTURES
from e4_tools.paths import FIRMWARE, LIBRARY, ROOT_OF_BOARD
from e4_tools.provisioning.install import SET_UP_BOARD

_LIBRARY_NAME = "e4"
_APPLICATION_NAME = "e4-node"
# `mip` installs into /lib. The application belongs beside it, where `e4 deploy` puts it too: /firmware is found before
# what is in /lib, so an application in /lib/firmware would never run on a board that was deployed to before.
_ROOT_OF_BOARD = "../"
_HASH_DIGITS = 16  # of the SHA-256 of a file; a board reads them as JSON, and micropython.org gives 8
_BY_HAND = (ROOT_OF_BOARD / "boot.py", ROOT_OF_BOARD / "main.py", SET_UP_BOARD)


@dataclass(frozen=True)
class _Package:
    """A package for `mip`. The paths of its files are relative to the board's folder for libraries."""

    name: str
    files: dict[str, bytes]
    needs: tuple[str, ...] = ()  # the packages that are installed with it


def build_index(folder: Path, targets: Sequence[Target]) -> None:
    """Write an index for boards of these kinds into a folder, and keep older versions that are in it.

    Raises ToolError if a module does not compile, and OSError if the folder cannot be written.
    """
    version = checkout_version()
    number = version.partition("+")[0]
    mark = {_ROOT_OF_BOARD + VERSION_PATH.removeprefix("/"): f"{version}\n".encode()}
    for kind, kinds in (("6", targets), ("py", (Target("", 31, loads_mpy=False),))):
        library = _Package(_LIBRARY_NAME, _below("e4/", _merged(LIBRARY / "e4", kinds)))
        files = _below(f"{_ROOT_OF_BOARD}firmware/", _merged(FIRMWARE, kinds))
        application = _Package(_APPLICATION_NAME, {**files, **mark}, (_LIBRARY_NAME,))
        for package in (library, application):
            for data in package.files.values():
                _write(folder / _place(data), data)
            for label in (number, "latest"):
                _write_json(folder / "package" / kind / package.name / f"{label}.json", _listing(package, number))
        if kind == "6":
            whole = _Package(_APPLICATION_NAME, {**library.files, **application.files})
            for package in (library, whole):
                _write_json(folder / f"{package.name}.json", _addresses(package, number))
            _write_json(folder / "package.json", _addresses(whole, number))
    for path in _BY_HAND:
        shutil.copyfile(path, folder / path.name)


def _below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {folder + name: data for name, data in files.items()}


def _merged(package: Path, targets: Sequence[Target]) -> dict[str, bytes]:
    """Return the files of a package of Python for boards of several kinds at once, by their names."""
    if len(targets) == 1:
        return dict(package_files(package, targets[0]))
    # The last one is for boards of yet another kind: it has ordinary Python in place of machine code.
    everywhere = Target("", targets[0].small_int_bits, loads_mpy=True)
    variants = [(target, dict(package_files(package, target))) for target in (*targets, everywhere)]
    merged: dict[str, bytes] = {}
    for name in sorted({name for _, files in variants for name in files}):
        versions = {target: files[name] for target, files in variants if name in files}
        if len(set(versions.values())) == 1:
            merged[name] = versions.popitem()[1]
            continue
        stem = name.removesuffix(".mpy")
        merged.update({f"{stem}_{target.architecture}.mpy": data for target, data in versions.items()})
        merged[name] = _chooser(f"{package.name}.{stem}", versions, everywhere)
    return merged


def _chooser(module: str, targets: Iterable[Target], everywhere: Target) -> bytes:
    """Return the `.mpy` of a module that loads the machine code for the board that it is on, or raises ImportError."""
    lines = ["import sys", "_number = sys.implementation._mpy >> 10 & 31"]
    for target in targets:
        lines += [f"if _number == {target.architecture_number}:", f"    from {module}_{target.architecture} import *"]
    lines += [
        f"if _number not in {tuple(target.architecture_number for target in targets)!r}:",
        '    raise ImportError("there is no machine code for this processor")',
    ]
    with TemporaryDirectory() as folder:
        source = Path(folder) / (module.rpartition(".")[2] + ".py")
        source.write_text("\n".join(lines) + "\n")
        return compile_module(source, everywhere)


def _digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]


def _place(data: bytes) -> str:
    """Return where `mip` looks for a file in an index."""
    digits = _digits(data)
    return f"file/{digits[:2]}/{digits}"


def _listing(package: _Package, version: str) -> dict[str, object]:
    """Return what an index says of a package."""
    hashes = [[path, _digits(data)] for path, data in package.files.items()]
    return {"v": 1, "version": version, "hashes": hashes, "deps": [[name, version] for name in package.needs]}


def _addresses(package: _Package, version: str) -> dict[str, object]:
    """Return what `package.json` says of a package: the addresses are relative to that file."""
    return {"version": version, "urls": [[path, _place(data)] for path, data in package.files.items()], "deps": []}


def _write_json(path: Path, content: dict[str, object]) -> None:
    _write(path, json.dumps(content, separators=(",", ":")).encode() + b"\n")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    type=click.Choice(ARCHITECTURES),
    help="For boards with this processor only. May be repeated; by default, for all of them.",
)
def main(folder: Path, architectures: tuple[str, ...]) -> None:
    """Build a folder from which mip installs the library and the board application."""
    targets = [Target.for_esp32(name) for name in architectures or ARCHITECTURES]
    try:
        build_index(folder, targets)
    except (ToolError, OSError) as error:
        raise click.ClickException(str(error)) from None
    print(f"{folder} has the packages {_LIBRARY_NAME} and {_APPLICATION_NAME}, {checkout_version()}")


if __name__ == "__main__":
    main()
