"""Taking the identity off a board, as far as its flash allows."""

from __future__ import annotations

from collections.abc import Callable

import e4._files
import e4.filestore
from e4_tools.board.board_code import OVERWRITE_IDENTITY
from e4_tools.board.paths_on_board import CA_PATH, CONFIG_PATH, FILL_PATH, KEYS_PATH, PENDING_PATH
from e4_tools.board.raw_repl import Board, GarbledResult

_WIPE_SECONDS = 600.0  # A thousand keys take so long.
_NAMES = tuple(path.removeprefix("/").encode() for path in (KEYS_PATH, CONFIG_PATH, PENDING_PATH, CA_PATH, FILL_PATH))


def wipe_board(board: Board) -> list[str]:
    """Overwrite and remove keys and configuration; return the names of the files. Raises ToolError.

    Running it again finishes what was interrupted.
    """
    # These numbers are private to the library, because public names would cost every board memory. If they were
    # repeated here and the library changed its own, old keys could stay in flash.
    try:
        removed: list[bytes] = board.ask(
            OVERWRITE_IDENTITY,
            "overwrite_identity",
            _NAMES,
            FILL_PATH,
            e4._files.REWRITES,
            e4._files._ZEROS,
            e4.filestore._IN_A_BLOCK,
            shape=[bytes],
            doing="wiping; some of the board's keys may be left",
            seconds=_WIPE_SECONDS,
        )
    except GarbledResult as error:
        raise GarbledResult(f"{error}. Run the command again to be sure that all keys are removed") from None
    return [name.decode(errors="backslashreplace") for name in removed]


def fill_free_flash(board: Board, progress: Callable[[bytes], None]) -> None:
    """Fill the free flash with random data once and free it again. `progress` is called now and then.

    Raises ToolError. The file `/e4.fill` may be left then, and `wipe_board` removes it.
    """
    board.call(
        OVERWRITE_IDENTITY,
        "fill_free_blocks",
        FILL_PATH,
        doing="filling the flash; the keys are removed, old blocks may be left",
        printed=progress,
    )
