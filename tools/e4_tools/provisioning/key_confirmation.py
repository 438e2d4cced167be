"""Confirming which ID key a client holds by a proof of its board, instead of by the operator's word."""

from __future__ import annotations

from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.fleet.listing import read_id_keys
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keystore import KeyStore
from e4_tools.provisioning.install import find_held_key


def confirm_by_proof(store: KeyStore, name: str, port: str) -> str:
    """Have the board at a serial port prove which of the client's ID keys it holds, and make that one current.

    Return the state in which the key store had this key before: CURRENT, PENDING or PREVIOUS. No key leaves the board.
    The caller holds the store's sending lock. Raises ToolError if the board holds none of the client's keys; then
    nothing has changed. Raises UnknownName, KeyStoreError and PortError too.
    """
    keys = {key.uid: key.key for key in read_id_keys(store, name)}
    with Board(port) as board:
        uid = find_held_key(board, keys)
    if uid is None:
        raise ToolError(f"the board at {port} holds none of the ID keys known for {name}; nothing was changed")
    return Rekeying(store).record_proof(name, uid)
