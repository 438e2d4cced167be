"""Taking the identity off a board, as far as its flash allows."""

from __future__ import annotations

import json
from collections.abc import Callable

from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError

_FILL_SECONDS = 60.0  # between two signs of life

# The file system never writes over what was there. Small files, which records of keys are, it keeps in the two blocks
# of their directory and erases these in turn when they are full: so they are overwritten, and then the directory is
# filled beside them. A directory of many files has more blocks, with eight files or more in each.
_WIPE = """
import json, os
mine = [e for e in os.ilistdir('/') if e[0].startswith(('e4.keys', 'e4.json', 'e4.pending', 'e4.ca', 'e4.fill'))]
def overwrite(path):
    with open(path, 'r+b') as f:
        left = f.seek(0, 2)
        f.seek(0)
        while left > 0:
            left -= f.write(os.urandom(min(left, 64)))
def renew(path):
    for _ in range(66):
        with open(path, 'wb') as f:
            f.write(bytes(100))
    os.remove(path)
def wipe_folder(folder):
    for e in list(os.ilistdir(folder)):
        if e[1] & 0x4000:
            wipe_folder(folder + '/' + e[0])
    names = sorted(os.listdir(folder))
    for name in names:
        overwrite(folder + '/' + name)
    for name in names[::8]:
        renew(folder + '/' + name[:-1] + '!')
    for name in names:
        os.remove(folder + '/' + name)
    os.rmdir(folder)
for e in mine:
    if e[1] & 0x4000:
        wipe_folder('/' + e[0])
    else:
        overwrite('/' + e[0])
renew('/e4.fill')
for e in mine:
    if not e[1] & 0x4000:
        os.remove('/' + e[0])
renew('/e4.fill')
print(json.dumps([e[0] for e in mine]))
"""
_WIPE_SECONDS = 600.0  # for a thousand keys
# Data blocks are reused by filling the rest; those of directories, where small files are kept, by many changes.
_FILL = """
import os
def fill():
    b = os.urandom(4096)
    n = 0
    try:
        with open('/e4.fill', 'wb') as f:
            while True:
                f.write(b)
                n += 1
                if n % 8 == 0:
                    print('.', end='')
    except OSError as error:
        if error.errno != 28:
            raise
    os.remove('/e4.fill')
    for _ in range(256):
        with open('/e4.fill', 'wb') as f:
            f.write(b[:64])
        os.remove('/e4.fill')
    print('.', end='')
fill()
"""

UNFILLED = (
    "The blocks of flash that held the keys were erased. The file system may have put copies elsewhere in the years "
    "before, and passwords are in blocks that it has not used again. --fill uses all free blocks once; "
    "e4 flash --erase erases everything."
)
FILLED = (
    "All free blocks were written with random data and given back. What cannot be checked from here: blocks that the "
    "file system keeps to itself, and what was ever copied elsewhere. e4 flash --erase erases the whole flash."
)


def wipe(board: Board) -> list[str]:
    """Overwrite and remove keys and configuration; return the names of the files. Raises ToolError.

    Running it again finishes what was interrupted.
    """
    said = board.run(_WIPE, "wiping; some of the board's keys may be left", _WIPE_SECONDS)
    try:
        return [str(name) for name in json.loads(said)]
    except ValueError:
        raise ToolError("the board's answer is garbled; run the command again to be sure") from None


def fill(board: Board, progress: Callable[[bytes], None]) -> None:
    """Fill the free flash with random data once and free it again. `progress` gets a byte now and then.

    Raises ToolError; then a file `/e4.fill` may be left, which `wipe` removes.
    """
    board.run(_FILL, "filling the flash; the keys are removed, old blocks may be left", _FILL_SECONDS, progress)
