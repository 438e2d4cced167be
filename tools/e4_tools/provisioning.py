"""Making a board a member of a fleet, over its serial port."""

from __future__ import annotations

import json
import secrets
from typing import Any

import e4
from e4_tools.boards import Board, BoardError
from e4_tools.errors import ToolError


def provision(port: str, config: dict[str, Any], key: bytes, replace: bool = False) -> None:
    """Write configuration and ID key to a board that has our files, and have it prove that it holds the key.

    `config` is as `firmware/config.py` describes it. Running it again with the same key changes nothing that the
    board has learnt since. The board is reset afterwards. Raises ToolError: then what the board held, it holds.
    """
    wanted = (json.dumps(config), key.hex(), replace)
    nonce = secrets.token_bytes(16)
    with Board(port) as board:
        try:
            board.run("from firmware import provision", "looking for our files")
            board.run("provision.install({!r}, {!r}, {!r})".format(*wanted), "provisioning")
            proof = board.run(f"print(provision.prove({nonce.hex()!r}))", "asking for a proof of the key")
        except BoardError as error:
            raise ToolError(_explained(error)) from None
        if bytes.fromhex(proof) != e4.proof_of_key(key, nonce):
            raise ToolError("the board holds another ID key than the one just written; was it replaced by C2 before?")
        board.reset()


def _explained(error: BoardError) -> str:
    if error.reply.startswith("ImportError"):
        return "our files are not on this board, or not all of them; deploy them first. Nothing was changed."
    if error.reply.startswith(("InvalidKey", "StoreError")):
        return f"{error}. Its keys were left as they are; --replace gives it this identity and forgets the old one."
    return str(error)
