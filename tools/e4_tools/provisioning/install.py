"""Making a board a member of a fleet, over its serial port."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import e4
from e4_tools.board.raw_repl import Board, BoardError
from e4_tools.errors import ToolError

_ON_BOARD = Path(__file__).with_name("on_board") / "provision.py"  # what all of this is done with there
_CA_PATH = "/e4.ca"  # how the names of certificates on a board begin
_DROP = """
import os
for entry in os.ilistdir('/'):
    if entry[0].startswith({prefix!r}) and '/' + entry[0] != {keep!r}:
        os.remove('/' + entry[0])
"""


class NotDeployedError(ToolError):
    """The board has not our files, or those of another version."""


def provision(port: str, config: dict[str, Any], key: bytes, replace: bool = False) -> None:
    """Write configuration and ID key to a board that has our files, and have it prove that it holds the key.

    `config` is as `firmware/config.py` describes it, but `broker.ca` may be the certificate itself (bytes of DER): it
    is then written to the board, under a name of its own, before the configuration that names it. Running it again
    with the same key changes nothing that the board has learnt since. The board is reset afterwards. Raises ToolError:
    then what the board held, it holds.
    """
    with Board(port) as board:
        install(board, config, key, replace)
        board.reset()


def install(
    board: Board, config: dict[str, Any], key: bytes, replace: bool = False, proved: Callable[[], None] | None = None
) -> None:
    """Do what `provision` does, on an open board that is not reset.

    `proved` is called when the board has proved the key, and before the key is final: it tells the user the key, or
    notes it. If it does not return, running all of this again may bring another key, and nobody has to say
    `replace`. Raises ToolError.
    """
    nonce = secrets.token_bytes(16)
    config = _with_certificate(board, config)
    wanted = (json.dumps(config), key.hex(), replace)
    _call(board, "install({!r}, {!r}, {!r})".format(*wanted), "provisioning")
    if not secrets.compare_digest(proof(board, nonce), e4.proof_of_key(key, nonce)):
        raise ToolError("the board holds another ID key than the one just written; was it replaced by C2 before?")
    if proved is not None:
        proved()
    _call(board, "confirm()", "making the key final")
    _drop_certificates(board, config)


def reconfigure(board: Board, config: dict[str, Any]) -> None:
    """Write a configuration of the same name, and leave the ID key as it is. Raises ToolError."""
    config = _with_certificate(board, config)
    _call(board, f"install({json.dumps(config)!r}, None)", "configuring")
    _drop_certificates(board, config)


def holds(board: Board, name: str) -> bool:
    """Tell whether a board holds an ID key of the client `name` that was proved before. Raises ToolError."""
    return _call(board, f"print(holds({name!r}))", "asking whose key the board holds").strip() == "True"


def proof(board: Board, nonce: bytes) -> bytes:
    """Return `e4.proof_of_key` of the ID key that a board holds, which moves no key. Raises ToolError."""
    try:
        return bytes.fromhex(_call(board, f"print(prove({nonce.hex()!r}))", "asking for a proof of the key"))
    except ValueError:
        raise ToolError("the board's proof of its key is garbled; run the command again") from None


def _with_certificate(board: Board, config: dict[str, Any]) -> dict[str, Any]:
    """Write the certificate, if there is one, and return the configuration with its path.

    Its name is made from its contents: until the new configuration is in place, the old one has its certificate.
    """
    ca = config["broker"].get("ca")
    if not isinstance(ca, bytes):
        return config
    path = f"{_CA_PATH}.{hashlib.sha256(ca).hexdigest()[:8]}"
    board.write_file(path + ".new", ca)
    board.run(f"import os\nos.rename({path + '.new'!r}, {path!r})", "keeping the CA certificate")
    return {**config, "broker": {**config["broker"], "ca": path}}


def _drop_certificates(board: Board, config: dict[str, Any]) -> None:
    """Remove the certificates that the configuration in place does not name."""
    board.run(_DROP.format(prefix=_CA_PATH[1:], keep=config["broker"].get("ca") or ""), "removing old CA certificates")


def _call(board: Board, code: str, doing: str) -> str:
    try:
        return board.run(_ON_BOARD.read_text() + code, doing)
    except BoardError as error:
        raise _explained(error) from None


def _explained(error: BoardError) -> ToolError:
    if error.reply.startswith(("ImportError", "AttributeError")):
        return NotDeployedError(
            "our files are not on this board, or those of another version; deploy them first (e4 deploy). "
            "Its keys are as they were."
        )
    if error.reply.startswith("ValueError") and "is not a known entry" in error.reply:
        return NotDeployedError(f"{error}. Misspelt, or our files on the board are older: then e4 deploy first")
    if error.reply.startswith(("InvalidKey", "StoreError", "StoreCorrupt")):
        return ToolError(
            f"{error}. Its keys were left as they are; --replace gives it this identity and forgets the old one."
        )
    if error.reply.startswith("OSError: 28"):
        return ToolError("the board's flash is full; its keys are as they were. Remove files that it does not need.")
    return ToolError(str(error))
