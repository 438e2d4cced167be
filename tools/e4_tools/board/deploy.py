"""Putting our files on a board so that it has, after any interruption, the old version or the new one.

Files that differ are written under temporary names, and their hashes are checked on the board. Then a list of what
is to change names is put in place, which is the moment the new version counts, and carried out. If that is cut
short, `boot.py` carries it out at the next start, before anything of ours is imported.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

from e4_tools.board.compile import ASK_BOARD, Target, board_files, check, sources
from e4_tools.board.raw_repl import Board, BoardError
from e4_tools.errors import PortError, ToolError

VERSION_PATH = "e4.version"
_UPDATE_PATH = "/e4.update"
_FOLDERS = ("lib/e4", "firmware")  # every module in there is ours
_TEMPORARY = ".new"
_CHUNK = 768  # bytes per line of code; a multiple of 3, so that base64 has no padding in between
_CHUNK_SECONDS = 10.0  # for a chunk: a few milliseconds, or a flash block to be erased
_RESERVE_BLOCKS = 8  # of the file system, for what is not file contents
_NO_SPACE = ("OSError: 28", "OSError: [Errno 28]")

_DEFINE = """
import os, hashlib, binascii
def digest(path):
    h = hashlib.sha256()
    b = memoryview(bytearray(512))
    with open(path, 'rb') as f:
        n = f.readinto(b)
        while n:
            h.update(b[:n])
            n = f.readinto(b)
    return binascii.hexlify(h.digest()).decode()
def names(folder):
    try:
        return [e[0] for e in os.ilistdir(folder) if e[1] & 0x8000]
    except OSError:
        return []
def drop(path):
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != 2:
            raise
"""
_LIST = """
import json
found = {{}}
for folder in {folders!r}:
    for name in names('/' + folder):
        found[folder + '/' + name] = digest('/' + folder + '/' + name)
for name in names('/'):
    if name in {root!r}:
        found[name] = digest('/' + name)
s = os.statvfs('/')
print(json.dumps([found, s[1], s[4]]))
"""
_PREPARE = """
drop({update!r})
drop({update!r} + '.new')
for path in {leftovers!r}:
    drop('/' + path)
for folder in {folders!r}:
    at = ''
    for part in folder.split('/'):
        at += '/' + part
        try:
            os.mkdir(at)
        except OSError as error:
            if error.errno != 17:
                raise
"""
_OPEN = "f = open('/' + {path!r}, 'wb')\ndef w(text): f.write(binascii.a2b_base64(text))"
# Lines of the list: "+path" gets its new contents, "-path" goes. boot.py reads the same.
_SWITCH = """
with open({update!r} + '.new', 'w') as f:
    f.write({lines!r})
os.rename({update!r} + '.new', {update!r})
for line in {lines!r}.split():
    if line[0] == '+':
        os.rename('/' + line[1:] + '.new', '/' + line[1:])
    else:
        drop('/' + line[1:])
drop({update!r})
"""


@dataclass(frozen=True)
class Options:
    """How to deploy: sources instead of `.mpy`; leave a `main.py` that is there alone; keep the numbers of lines."""

    source: bool = False
    keep_main: bool = False
    lines: bool = False


@dataclass(frozen=True)
class Plan:
    """What a deployment does: contents by path of all our files, and what of it is left to do."""

    files: dict[str, bytes]
    write: tuple[str, ...]
    staged: tuple[str, ...]  # of these: on the board already, under their temporary names
    remove: tuple[str, ...]
    leftovers: tuple[str, ...]  # temporary files of an interrupted deployment that are of no use

    @property
    def changes(self) -> bool:
        """Tell whether there is anything to do on the board."""
        return bool(self.write or self.remove or self.leftovers)

    @property
    def size(self) -> int:
        """Bytes that are to be sent."""
        return sum(len(self.files[path]) for path in self.write if path not in self.staged)


def checkout_version() -> str:
    """Return our version: the package's, and 8 digits of a digest of all sources that go to boards."""
    whole = hashlib.sha256()
    for path, data in sources():
        whole.update(f"{path} {len(data)}\n".encode() + data)
    return f"{version('e4-micropython')}+{whole.hexdigest()[:8]}"


def deploy(port: str) -> int:
    """Bring library, application, `boot.py` and `main.py` on the board up to date; return how many files there are.

    Keys and configuration are not touched. The board is left stopped: reset it. Raises ToolError.
    """
    with Board(port, restart=False) as board:
        plan = plan_for(board, Options())
        carry_out(board, plan)
        return len(plan.files)


def plan_for(board: Board, options: Options) -> Plan:
    """Compare a board with this checkout. Changes nothing. Raises ToolError, also if there is too little room."""
    target = replace(Target.from_reply(board.run(ASK_BOARD, "asking the board what it is")), lines=options.lines)
    if options.source:
        target = replace(target, loads_mpy=False)
    files = dict(board_files(target))
    files[VERSION_PATH] = checkout_version().encode() + b"\n"
    root = [path for path in files if "/" not in path]
    asked = _LIST.format(folders=_FOLDERS, root=[*root, *(path + _TEMPORARY for path in root)])
    found, block, free = json.loads(board.run(_DEFINE + asked, "comparing the board's files with ours"))
    if options.keep_main and "main.py" in found:
        del files["main.py"]
    check(files, target)
    plan = _plan(files, found)
    needed = sum(-(-len(plan.files[path]) // block) for path in plan.write if path not in plan.staged)
    free += len(plan.leftovers)
    if plan.write and needed + _RESERVE_BLOCKS > free:
        raise ToolError(
            f"the board has {free * block} bytes free, and {(needed + _RESERVE_BLOCKS) * block} are needed to keep "
            "the old files until the new ones are checked. Nothing was changed; remove files that it does not need."
        )
    return plan


def _plan(files: dict[str, bytes], found: dict[str, str]) -> Plan:
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    write = sorted((path for path in files if found.get(path) != hashes[path]), key=_order)
    staged = {path for path in write if found.get(path + _TEMPORARY) == hashes[path]}
    temporary = {path for path in found if path.endswith(_TEMPORARY)}
    return Plan(
        files,
        tuple(write),
        tuple(path for path in write if path in staged),
        tuple(path for path in found if "/" in path and path.endswith((".py", ".mpy")) and path not in files),
        tuple(temporary - {path + _TEMPORARY for path in staged}),
    )


def _order(path: str) -> tuple[bool, bool, str]:
    """`boot.py` first, for it finishes what is cut short; `main.py` last."""
    return (path != "boot.py", path == "main.py", path)


def carry_out(board: Board, plan: Plan, progress: Callable[[str, int], None] | None = None) -> None:
    """Do what a plan says; `progress` gets path and size of each file that is about to be sent.

    Raises ToolError; then the board has its old version, or the new one.
    """
    if not plan.changes:
        return
    lines = "".join(f"+{path}\n" for path in plan.write) + "".join(f"-{path}\n" for path in plan.remove)
    prepare = _PREPARE.format(update=_UPDATE_PATH, leftovers=plan.leftovers, folders=_FOLDERS)
    try:
        board.run(prepare, "preparing the board")
        for path in plan.write:
            if path not in plan.staged:
                if progress is not None:
                    progress(path, len(plan.files[path]))
                _send(board, path + _TEMPORARY, plan.files[path])
        _check(board, plan)
    except PortError as error:
        raise _interrupted(board, plan, error) from None
    if lines:
        try:
            board.run(_SWITCH.format(update=_UPDATE_PATH, lines=lines), "changing to the new version")
        except PortError as error:
            raise PortError(
                f"{error}. The board has the old version or the new one, or is finished at its next start. "
                "Running the command again is safe and tells."
            ) from None


def _send(board: Board, path: str, data: bytes) -> None:
    board.run(_OPEN.format(path=path), f"opening {path}", _CHUNK_SECONDS)
    for start in range(0, len(data), _CHUNK):
        text = base64.b64encode(data[start : start + _CHUNK]).decode()
        board.run(f"w('{text}')", f"writing {path}", _CHUNK_SECONDS)
    board.run("f.close()", f"closing {path}", _CHUNK_SECONDS)


def _check(board: Board, plan: Plan) -> None:
    asked = f"for path in {plan.write!r}: print(digest('/' + path + {_TEMPORARY!r}))"
    arrived = board.run(asked, "checking what was written").split()
    for path, digest in zip(plan.write, arrived, strict=True):
        if digest != hashlib.sha256(plan.files[path]).hexdigest():
            raise PortError(f"{path} did not arrive as it was sent")


def _interrupted(board: Board, plan: Plan, error: PortError) -> ToolError:
    if isinstance(error, BoardError) and error.reply.startswith(_NO_SPACE):
        board.run(_drop_temporary(plan), "removing what was written")
        return ToolError(f"the board's flash is full ({plan.size} bytes were to be written). It has its old version.")
    text = f"{str(error).removesuffix('; run the command again')}. The board has its old version, and some new files "
    text += "under temporary names. Run the command again: it goes on from there."
    return ToolError(text) if isinstance(error, BoardError) else PortError(text)


def _drop_temporary(plan: Plan) -> str:
    return f"try:\n f.close()\nexcept OSError:\n pass\nfor path in {plan.write!r}: drop('/' + path + {_TEMPORARY!r})"
