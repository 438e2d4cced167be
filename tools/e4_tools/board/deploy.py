"""Putting our files on a board so that it has the old version or the new one after any interruption.

Files that differ are written under temporary names, and their hashes are checked on the board. Then a list of the
changes is put in place. From that moment on the new version counts, and the changes are carried out. If that is cut
short, `boot.py` finishes it at the next start, before the board imports anything of ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from e4_tools.board.board_code import CHANGE_FILES
from e4_tools.board.compile import Target, ask_target, board_files, check_compilable, sources
from e4_tools.board.paths_on_board import FOLDERS, TEMPORARY, UPDATE_PATH, VERSION_PATH
from e4_tools.board.raw_repl import Board, BoardError, GarbledResult
from e4_tools.errors import PortError, ToolError

_VERSION_FILE = VERSION_PATH.removeprefix("/")
_COMPARISON = ({str: str}, int, int)  # the shape of what `compare_files` answers
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.(py|mpy)")  # the name of a file that can be imported
_RESERVE_BLOCKS = 8  # blocks of the file system that are kept free for its directories
_NO_SPACE = ("OSError: 28", "OSError: [Errno 28]")


@dataclass(frozen=True)
class DeployOptions:
    """How to deploy."""

    source: bool = False  # send sources, not `.mpy` files
    keep_main: bool = False  # leave the board's `main.py` as it is, if it has one
    main: Path | None = None  # the file to send as `main.py`; None: ours
    lines: bool = False  # keep the numbers of lines in `.mpy` files, so that tracebacks name them


@dataclass(frozen=True)
class Plan:
    """What a deployment does. All paths are relative to the board's root folder."""

    files: dict[str, bytes]  # the contents of all our files by path
    write: tuple[str, ...]  # files that are new or different
    staged: tuple[str, ...]  # the part of `write` that is on the board already, under temporary names
    remove: tuple[str, ...]  # modules in our folders that are not ours any more
    # Files that neither version uses, and that are removed before anything is sent: temporary ones of an interrupted
    # deployment, and files in our folders whose names end as that of a module and are no name of a module.
    leftovers: tuple[str, ...]

    @property
    def has_changes(self) -> bool:
        """Tell whether there is anything to do on the board."""
        return bool(self.write or self.remove or self.leftovers)

    @property
    def size(self) -> int:
        """How many bytes are to be sent."""
        return sum(len(self.files[path]) for path in self.write if path not in self.staged)


def checkout_version() -> str:
    """Return our version: that of the package, and 8 digits of a hash of all sources that go to boards."""
    whole = hashlib.sha256()
    for path, data in sources():
        whole.update(f"{path} {len(data)}\n".encode() + data)
    return f"{version('e4-micropython')}+{whole.hexdigest()[:8]}"


def files_for(target: Target) -> dict[str, bytes]:
    """Return the contents of all files that a board gets, by their paths: ours, and one with our version.

    Raises ToolError.
    """
    return {**dict(board_files(target)), _VERSION_FILE: checkout_version().encode() + b"\n"}


def deploy_to(port: str) -> int:
    """Bring library, application, `boot.py` and `main.py` on the board up to date; return how many files there are.

    Keys and configuration are not touched. The board stays stopped until it is reset. Raises ToolError.
    """
    with Board(port, restart=False) as board:
        plan = plan_for(board, DeployOptions())
        carry_out(board, plan)
        return len(plan.files)


def plan_for(board: Board, options: DeployOptions) -> Plan:
    """Compare a board with our files, and change nothing. Raises ToolError, also if there is too little room."""
    target = replace(ask_target(board), lines=options.lines)
    if options.source:
        target = replace(target, loads_mpy=False)
    files = files_for(target)
    if options.main is not None:
        files["main.py"] = _read(options.main)
    root = [path for path in files if "/" not in path]
    root += [path + TEMPORARY for path in root]
    hashes, block, free = board.ask(
        CHANGE_FILES,
        "compare_files",
        FOLDERS,
        root,
        shape=_COMPARISON,
        doing="comparing the board's files with ours",
    )
    if not block:
        raise GarbledResult("this board says that a block of its flash has no bytes; nothing was changed")
    found = {path.removeprefix("/"): digest for path, digest in hashes.items()}
    if options.keep_main and "main.py" in found:
        del files["main.py"]
    check_compilable(files, target, options.main)
    plan = _plan(files, found)
    needed = sum(-(-len(plan.files[path]) // block) for path in plan.write if path not in plan.staged)
    free += len(plan.leftovers)
    if plan.write and needed + _RESERVE_BLOCKS > free:
        raise ToolError(
            f"the board has {free * block} bytes free, and {(needed + _RESERVE_BLOCKS) * block} are needed to keep "
            "the old files until the new ones are checked. Nothing was changed; remove files that it does not need."
        )
    return plan


def _read(main: Path) -> bytes:
    try:
        return main.read_bytes()
    except OSError as error:
        raise ToolError(f"nothing was sent, as {main} cannot be read: {error.strerror}") from None


def _plan(files: dict[str, bytes], found: dict[str, str]) -> Plan:
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    write = sorted((path for path in files if found.get(path) != hashes[path]), key=_order)
    staged = {path for path in write if found.get(path + TEMPORARY) == hashes[path]}
    temporary = {path for path in found if path.endswith(TEMPORARY)} - {path + TEMPORARY for path in staged}
    gone = {path for path in found if "/" in path and path.endswith((".py", ".mpy")) and path not in files}
    # The list of changes on the board has a line for each module that is removed. Every `boot.py`, also one of an older
    # version, must read a name there as one line, and only a plain name is certain to be that. Files with other names
    # are no part of a version, because nothing can import them.
    modules = {path for path in gone if _MODULE.fullmatch(path.rpartition("/")[2])}
    return Plan(
        files,
        tuple(write),
        tuple(path for path in write if path in staged),
        tuple(sorted(modules)),
        tuple(sorted(temporary | gone - modules)),
    )


def _order(path: str) -> tuple[bool, bool, str]:
    """Sort `boot.py` first, because it finishes what is cut short, and `main.py` last, because it needs the others."""
    return (path != "boot.py", path == "main.py", path)


def carry_out(board: Board, plan: Plan, progress: Callable[[str, int], None] | None = None) -> None:
    """Do what a plan says. `progress` gets path and size in bytes of each file that is about to be sent.

    Raises ToolError. The board then has its old version or the new one.
    """
    if not plan.has_changes:
        return
    lines = "".join(f"+{path}\n" for path in plan.write) + "".join(f"-{path}\n" for path in plan.remove)
    try:
        _prepare(board, plan)
        for path in plan.write:
            if path not in plan.staged:
                if progress is not None:
                    progress(path, len(plan.files[path]))
                _send(board, path + TEMPORARY, plan.files[path])
        _check(board, plan)
    except PortError as error:
        raise _interruption_error(board, plan, error) from None
    if lines:
        try:
            board.call(CHANGE_FILES, "change_names", UPDATE_PATH, TEMPORARY, lines, doing="changing to the new version")
        except PortError as error:
            raise PortError(
                f"{error}. The board has the old version or the new one, or is finished at its next start. "
                "Running the command again is safe and tells."
            ) from None


def _prepare(board: Board, plan: Plan) -> None:
    useless = [UPDATE_PATH, UPDATE_PATH + TEMPORARY, *map(_absolute, plan.leftovers)]
    board.call(CHANGE_FILES, "remove_files", useless, doing="preparing the board")
    board.call(CHANGE_FILES, "make_folders", FOLDERS, doing="preparing the board")


def _send(board: Board, path: str, data: bytes) -> None:
    board.send_file(_absolute(path), data)


def _check(board: Board, plan: Plan) -> None:
    paths = _temporary_paths(plan)
    arrived = board.ask(CHANGE_FILES, "digests", paths, shape=(str,) * len(paths), doing="checking what was written")
    for path, digest in zip(plan.write, arrived, strict=True):
        if digest != hashlib.sha256(plan.files[path]).hexdigest():
            raise PortError(f"{path} did not arrive as it was sent")


def _interruption_error(board: Board, plan: Plan, error: ToolError) -> ToolError:
    if isinstance(error, BoardError) and error.reply.startswith(_NO_SPACE):
        full = ToolError(f"the board's flash is full ({plan.size} bytes were to be written). It has its old version.")
        try:
            board.call(CHANGE_FILES, "give_up_files", _temporary_paths(plan), doing="removing what was written")
        except PortError as second:
            full.add_note(f"What was written is still there under temporary names: {second}")
        return full
    text = f"{str(error).removesuffix('; run the command again')}. The board has its old version, and some new files "
    text += "under temporary names. Run the command again: it goes on from there."
    return ToolError(text) if isinstance(error, BoardError) else PortError(text)


def _temporary_paths(plan: Plan) -> list[str]:
    return [_absolute(path) + TEMPORARY for path in plan.write]


def _absolute(path: str) -> str:
    return "/" + path
