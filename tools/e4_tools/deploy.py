"""Putting our files on a board, with the `mpremote` command that users know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from e4_tools.boards import Board
from e4_tools.compile import ASK_BOARD, Target, board_files
from e4_tools.errors import ToolError

# A module's source is imported before its .mpy: one left behind by an older deployment would win.
_REMOVE_RIVALS = """
import os
for path in {paths!r}:
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != 2:
            raise
"""


def deploy(port: str) -> int:
    """Copy library, application, `boot.py` and `main.py` to the board; return how many files there are.

    Files that the board already has are skipped. Keys and configuration are not touched. The board is left
    stopped: reset it. Raises ToolError.
    """
    with Board(port, restart=False) as board:
        target = Target.from_reply(board.run(ASK_BOARD, "asking the board what it is"))
        files = dict(board_files(target))
        board.run(_REMOVE_RIVALS.format(paths=list(_rivals(files))), "removing older versions of our modules")
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        for path, data in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        _mpremote(port, "cp", "-r", *(str(tree / name) for name in ("lib", "firmware", "boot.py", "main.py")), ":")
    return len(files)


def _rivals(files: dict[str, bytes]) -> list[str]:
    swapped = {".mpy": ".py", ".py": ".mpy"}
    return [str(Path(path).with_suffix(swapped[Path(path).suffix])) for path in files if "/" in path]


def _mpremote(port: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "mpremote", "connect", port, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ToolError(
            f"mpremote could not copy to {port}: {said[-1] if said else 'no reason given'}. "
            "The board may have some of the new files; run the command again."
        )
