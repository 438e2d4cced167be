"""Confirming which ID key a client holds by a proof of its board, instead of by the operator's word."""

from __future__ import annotations

from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.fleet.listing import read_id_keys
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keystore import KeyStore
from e4_tools.provisioning.install import find_held_key


def confirm_by_proof(store: KeyStore, name: str, port: str, undo: bool = False) -> str:
    """Have the board at a serial port prove which of the client's ID keys it holds, and record the proof.

    If it is the pending key or the current one, that key is the current one from then on, and older ones are deleted.
    A previous key may be in the hands of somebody who took it before it was replaced, and whoever holds it can prove
    it. So it counts only with `undo`, by which the operator says that the newer key has never reached the client: then
    the proved key is the current one again, and the newest one is pending.

    Return the state in which the key store had the key before: CURRENT, PENDING or PREVIOUS. No key leaves the board.
    The caller holds the store's sending lock. Raises ToolError if the board holds none of the client's keys, or a
    previous one without `undo`; then nothing has changed. Raises UnknownName, KeyStoreError and PortError too.
    """
    keys = {key.uid: key.key for key in read_id_keys(store, name)}
    with Board(port) as board:
        uid = find_held_key(board, keys, name)
    if uid is None:
        raise ToolError(f"the board at {port} holds none of the ID keys known for {name}; nothing was changed")
    return Rekeying(store).record_proof(name, uid, undo)
