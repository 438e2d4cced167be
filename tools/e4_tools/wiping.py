"""Taking the identity off a board, as far as its flash allows."""

from __future__ import annotations

import json
from collections.abc import Callable

from e4_tools.boards import Board
from e4_tools.errors import ToolError

_FILL_SECONDS = 60.0  # between two signs of life

# Overwriting is not what protects: the file system writes elsewhere. It costs little, and helps on another one.
_WIPE = """
import json, os
mine = [e for e in os.ilistdir('/') if e[0].startswith(('e4.keys', 'e4.json', 'e4.pending', 'e4.fill'))]
def wipe(folder, entry):
    path = folder + '/' + entry[0]
    if entry[1] & 0x4000:
        for inner in list(os.ilistdir(path)):
            wipe(path, inner)
        os.rmdir(path)
        return
    with open(path, 'r+b') as f:
        left = f.seek(0, 2)
        f.seek(0)
        while left > 0:
            left -= f.write(os.urandom(min(left, 256)))
    os.remove(path)
for entry in mine:
    wipe('', entry)
print(json.dumps([e[0] for e in mine]))
"""
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
    "The file system writes elsewhere instead of over what was there: old blocks of flash still hold keys until they "
    "are used again. --fill uses all free blocks once; e4 flash --erase erases everything."
)
FILLED = (
    "All free blocks were written with random data and given back. What cannot be checked from here: blocks that the "
    "file system keeps to itself, and what was ever copied elsewhere. e4 flash --erase erases the whole flash."
)


def wipe(board: Board) -> list[str]:
    """Overwrite and remove keys and configuration; return the names of the files. Raises ToolError.

    Running it again finishes what was interrupted.
    """
    said = board.run(_WIPE, "wiping; some of the board's keys may be left")
    try:
        return [str(name) for name in json.loads(said)]
    except ValueError:
        raise ToolError("the board's answer is garbled; run the command again to be sure") from None


def fill(board: Board, progress: Callable[[bytes], None]) -> None:
    """Fill the free flash with random data once and free it again. `progress` gets a byte now and then.

    Raises ToolError; then a file `/e4.fill` may be left, which `wipe` removes.
    """
    board.run(_FILL, "filling the flash; the keys are removed, old blocks may be left", _FILL_SECONDS, progress)
