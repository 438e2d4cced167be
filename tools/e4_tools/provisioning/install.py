"""Writing a configuration and an ID key to a board over its serial port, and having the board prove the key.

A key is pending on the board until the board has proved it and the host has stored it or shown it to the user. Then the
host makes it final. A pending key gives way to another key, a final key does so only if the user wants it replaced.

The functions that run on the board are in the folder `on_board`, and `Board.call` and `Board.ask` send and call them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import e4
from e4_tools.board.answers import OrNone
from e4_tools.board.paths_on_board import CA_PATH, TEMPORARY
from e4_tools.board.raw_repl import Board, BoardError, GarbledResult
from e4_tools.errors import ToolError
from e4_tools.provisioning.identity_files import place_certificate

_Label = TypeVar("_Label")
# A program with which a user without this tool does what this module does.
SET_UP_BOARD = Path(__file__).with_name("by_hand") / "set_up_board.py"
_ON_BOARD = Path(__file__).with_name("on_board")
_PROVISION = _ON_BOARD / "provision.py"
_CERTIFICATES = _ON_BOARD / "certificates.py"
_NONCE_SIZE = 16  # bytes
_NO_SPACE = "OSError: 28"  # how MicroPython reports ENOSPC


def provision_at(port: str, config: dict[str, Any], key: bytes, replace: bool = False) -> None:
    """Do what `install` does with the board at a serial port, and reset the board. Raises ToolError."""
    with Board(port) as board:
        install(board, config, key, replace)
        board.reset()


def install(
    board: Board, config: dict[str, Any], key: bytes, replace: bool = False, on_proof: Callable[[], None] | None = None
) -> None:
    """Write a configuration and a 32-byte ID key to a board that has our files, and have it prove that it has the key.

    `config` is as `firmware/config.py` describes it, but `broker.ca` may be the certificate itself (bytes of DER). The
    certificate is then written to the board, under a name of its own, before the configuration that names it.

    Installing the key that is the board's current one changes nothing that the board has learnt since. A board that
    holds another key or another name refuses, unless `replace` is set. An older key of the same client, which C2 has
    replaced by SetIDKey, counts as another key. With `replace` the board holds the given ID key afterwards, and
    obeys no other one. If it was not the current key before, the keys of topics are gone. The time of the last command
    stays, if the name is the same, so that no recorded command is applied once more.

    `on_proof` is called when the board has proved the key and before the key is final. It tells the user the key, or
    notes it. If it raises, the board gives the key up for another one the next time, without `replace`.

    Raises ToolError. A board that refuses holds the keys and the configuration that it held before.
    """
    config = _write_certificate(board, config)
    _call_provision(board, "write_identity", json.dumps(config), key.hex(), replace, doing="provisioning")
    if find_held_key(board, {"the key just written": key}, config["name"]) is None:
        raise ToolError(
            "the board proves another ID key than the one just written, or none; it has not become a member. "
            "Deploy our files (e4 deploy) and run the command again"
        )
    if on_proof is not None:
        on_proof()
    confirm_key(board)
    _drop_old_certificates(board, config)


def reconfigure(board: Board, config: dict[str, Any]) -> None:
    """Write a configuration with the name that the board has, and leave its ID key as it is. Raises ToolError."""
    config = _write_certificate(board, config)
    _call_provision(board, "write_identity", json.dumps(config), None, doing="configuring")
    _drop_old_certificates(board, config)


def confirm_key(board: Board) -> None:
    """Make the pending key of a board final, which the board has proved and the host keeps. Raises ToolError."""
    _call_provision(board, "confirm", doing="making the key final")


def holds_key_of(board: Board, name: str) -> bool:
    """Tell whether a board holds an ID key of the client `name` that is final. Raises ToolError."""
    return bool(_ask_provision(board, "holds", name, shape=bool, doing="asking whose key the board holds"))


def find_held_key(board: Board, keys: Mapping[_Label, bytes], name: str | None = None) -> _Label | None:
    """Return the label of that one of `keys` which the board proves to hold, or None.

    The board proves it as the client `name`, or without `name` as the client of its configuration. A proof is over the
    ID of the client and a nonce that is random for every call, so neither a proof that was recorded nor that of another
    client counts. No key leaves the board. Raises ToolError.
    """
    nonce = secrets.token_bytes(_NONCE_SIZE)
    client_id, proof = _ask_proof(board, nonce, name)
    if name is not None and client_id != e4.id_of(name):
        return None
    for label, key in keys.items():
        if secrets.compare_digest(e4.proof_of_key(key, client_id + nonce), proof):
            return label
    return None


def _ask_proof(board: Board, nonce: bytes, name: str | None) -> tuple[bytes, bytes]:
    """Return the ID of a client, and `e4.proof_of_key` of the ID key that a board holds for it, over ID and nonce.

    Both are empty if the board holds no key of that client. Raises ToolError.
    """
    doing = "asking for a proof of the key"
    answer = _ask_provision(board, "prove", nonce.hex(), name, shape=OrNone((str, str)), doing=doing)
    if answer is None:
        return b"", b""
    try:
        client_id, proof = map(bytes.fromhex, answer)
    except ValueError:
        raise GarbledResult(
            f"{doing}: this board answered what was not expected: its proof is not hexadecimal. "
            "It may run other firmware; run the command again"
        ) from None
    return client_id, proof


def _write_certificate(board: Board, config: dict[str, Any]) -> dict[str, Any]:
    """Write the certificate, if there is one, and return the configuration with its path."""
    config, certificate = place_certificate(config)
    for path, content in certificate.items():
        written = path + TEMPORARY
        board.write_file(written, content)
        board.call(_CERTIFICATES, "keep", written, path, doing="keeping the CA certificate")
    return config


def _drop_old_certificates(board: Board, config: dict[str, Any]) -> None:
    """Remove the certificates that the configuration in place does not name."""
    prefix, path = CA_PATH.removeprefix("/") + ".", config["broker"].get("ca") or ""
    board.call(_CERTIFICATES, "drop_others", prefix, path, doing="removing old CA certificates")


def _call_provision(board: Board, function: str, *arguments: str | bool | None, doing: str) -> None:
    """Call a function of `on_board/provision.py`. Raises ToolError."""
    try:
        board.call(_PROVISION, function, *arguments, doing=doing)
    except BoardError as error:
        raise _explain(error) from None


def _ask_provision(board: Board, function: str, *arguments: str | None, shape: Any, doing: str) -> Any:
    """Return the result of a function of `on_board/provision.py`, which has that shape. Raises ToolError."""
    try:
        return board.ask(_PROVISION, function, *arguments, shape=shape, doing=doing)
    except BoardError as error:
        raise _explain(error) from None


def _explain(error: BoardError) -> ToolError:
    """Return what a user can make of an exception that code on the board raised."""
    if error.reply.startswith(("ImportError", "AttributeError")):
        return ToolError(
            "our files are not on this board, or those of another version; deploy them first (e4 deploy). "
            "Its keys are as they were."
        )
    if error.reply.startswith("ValueError") and "is not a known entry" in error.reply:
        return ToolError(f"{error}. Misspelt, or our files on the board are older: then e4 deploy first")
    if error.reply.startswith(("InvalidKey", "StoreError", "StoreCorrupt")):
        return ToolError(
            f"{error}. Its keys were left as they are; --replace gives it this identity and forgets the old one."
        )
    if error.reply.startswith(_NO_SPACE):
        return ToolError("the board's flash is full; its keys are as they were. Remove files that it does not need.")
    return ToolError(str(error))
