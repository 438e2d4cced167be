"""Which ID key a board holds, asked over its serial port without moving a key."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

import e4
from e4_tools.board.raw_repl import Board
from e4_tools.provisioning.install import proof


def which_key(board: Board, keys: Mapping[str, bytes]) -> str | None:
    """Return the name of the key that a board proves to hold, or None. Raises ToolError."""
    nonce = secrets.token_bytes(16)
    answer = proof(board, nonce)
    for name, key in keys.items():
        if hmac.compare_digest(e4.proof_of_key(key, nonce), answer):
            return name
    return None
