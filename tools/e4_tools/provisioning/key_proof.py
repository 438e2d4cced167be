"""Which ID key a board holds. It is asked over the board's serial port, and no key leaves the board."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import TypeVar

import e4
from e4_tools.board.raw_repl import Board
from e4_tools.provisioning.install import ask_proof

_Label = TypeVar("_Label")
_NONCE_SIZE = 16  # bytes


def find_held_key(board: Board, keys: Mapping[_Label, bytes]) -> _Label | None:
    """Return the label of that one of `keys` which the board proves to hold, or None. Raises ToolError."""
    nonce = secrets.token_bytes(_NONCE_SIZE)
    proof = ask_proof(board, nonce)
    for label, key in keys.items():
        if hmac.compare_digest(e4.proof_of_key(key, nonce), proof):
            return label
    return None
