"""Which ID key a board holds, asked over its serial port without moving a key."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

import e4
from e4_tools.boards import Board


def which_key(board: Board, keys: Mapping[str, bytes]) -> str | None:
    """Return the name of the key that a board proves to hold, or None. Raises PortError.

    The board answers a nonce with `e4.proof_of_key`.
    """
    nonce = secrets.token_bytes(16)
    board.run("from firmware import provision", "looking for our files")
    answer = board.run(f"print(provision.prove({nonce.hex()!r}))", "asking for a proof of the key").strip()
    for name, key in keys.items():
        if hmac.compare_digest(e4.proof_of_key(key, nonce).hex(), answer):
            return name
    return None
