"""The last step of a board that has got its identity in an image: it proves its key, and the ledger notes that."""

from __future__ import annotations

from dataclasses import dataclass

from e4_tools.board.inspection import BoardInfo, inspect_board, inspect_node
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.provisioning.factory import IssuedBoard
from e4_tools.provisioning.install import confirm_key, find_held_key
from e4_tools.provisioning.key_sources import KeySource
from e4_tools.provisioning.ledger import ISSUED, Ledger


@dataclass(frozen=True)
class ProvedBoard(IssuedBoard):
    """A board that has proved its key."""

    noted: bool  # whether a ledger notes it as issued


def prove_board(board: Board, name: str | None, source: KeySource, ledger: Ledger | None) -> ProvedBoard:
    """Have a board prove the ID key of the client `name`, make the key final, and note the board as issued.

    Without `name` it is the client that the board says it is. `source` knows the keys that the board may hold, and
    hears of the proof. Doing this again with the same board does no harm. Without a ledger nothing is noted.

    Raises ToolError. A board that proves nothing is as it was, and nothing is noted.
    """
    info = inspect_board(board)
    name = name or _name_of(board)
    if info.mac is None:
        raise ToolError("this board does not tell its MAC, which the ledger needs; nothing was done")
    if ledger is not None:
        ledger.refuse_proof(name, info.mac)
    known = dict(enumerate(source.known_keys(name)))
    if not known:
        raise ToolError(f"no ID key of {name} is known here; nothing was done")
    held = find_held_key(board, known, name)
    if held is None:
        raise ToolError(
            f"this board holds none of the ID keys known for {name}; nothing was noted. Its image may be another "
            f"board's, or an older one"
        )
    key = known[held]
    if ledger is not None:
        ledger.refuse_proof(name, info.mac, key)
    source.note_proof(name, key)
    confirm_key(board)
    return _note(ledger, name, info, info.mac, key)


def _note(ledger: Ledger | None, name: str, info: BoardInfo, mac: str, key: bytes) -> ProvedBoard:
    firmware = info.version or "unknown"
    if ledger is not None and not ledger.is_issued(name):
        ledger.note(ISSUED, name, mac, firmware, key)
    return ProvedBoard(name, mac, firmware, fingerprint_text(key), ledger is not None)


def _name_of(board: Board) -> str:
    """Return the name that a board has in its configuration. Raises ToolError if it has none."""
    node = inspect_node(board)
    if not node.name:
        raise ToolError(f"this board has no name: {'; '.join(node.problems) or 'it is not provisioned'}")
    return node.name
