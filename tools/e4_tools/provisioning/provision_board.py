"""Making one board a member of a fleet.

Which ID key a single board will hold is decided here. For a factory, `factory.Factory` decides it, because only the
ledger knows which key another board may hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import e4
from e4_tools.board.deploy import DeployOptions, Plan, carry_out, plan_for
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.provisioning.install import find_held_key, holds_key_of, install, reconfigure
from e4_tools.provisioning.key_sources import HeldKey, KeySource


@dataclass(frozen=True)
class ProvisionedBoard:
    """What has become of a board."""

    name: str
    receiving_topic: str  # the MQTT topic on which the board gets its commands
    kept_key: bool  # The board was left the ID key that it held, and with it the topic keys that it has learnt.
    proved: bool  # The board has proved its ID key. This is false only for a kept key that nobody else knows.
    topics_granted: list[str] | None  # what C2 lets it read; None if its ID key is not in a key store


def update_files(board: Board) -> Plan:
    """Bring our files on a board up to date, leave a `main.py` that is there alone, and return what was done.

    Raises ToolError.
    """
    plan = plan_for(board, DeployOptions(keep_main=True))
    carry_out(board, plan)
    return plan


def provision_board(board: Board, config: dict[str, Any], source: KeySource, replace: bool = False) -> ProvisionedBoard:
    """Give a board its configuration and its ID key, and have it prove the key. The board is not reset.

    `config` is the dictionary that becomes `/e4.json`, see `install`; it holds the client's name. With `replace` the
    board gives up the identity that it has for another one. If this is interrupted, doing it again finishes it.

    Raises ToolError.
    """
    name = config["name"]
    key, kept = _decide_key(board, name, source, replace)
    if key is None:
        reconfigure(board, config)
    else:
        config = give_key(board, config, key, source, replace)
    receiving_topic = config.get("receiving_topic") or e4.receiving_topic(e4.id_of(name))
    return ProvisionedBoard(name, receiving_topic, kept, key is not None, source.topics_of(name))


def _decide_key(board: Board, name: str, source: KeySource, replace: bool) -> tuple[bytes | None, bool]:
    """Return the ID key for the board, and whether the board holds it already.

    The key is None where the board keeps one that is not known here. Raises ToolError.
    """
    if source.held_key is HeldKey.KEEP and not replace and holds_key_of(board, name):
        return None, True
    if source.held_key is HeldKey.KEEP_IF_KNOWN and holds_key_of(board, name):
        # `find_held_key` takes labelled keys. Here the label of a key is its index.
        known = dict(enumerate(source.known_keys(name)))
        held = find_held_key(board, known, name)
        if held is not None and not source.is_replaced(name, known[held]):
            return known[held], True
        if not replace:
            raise ToolError(_explain_held_key(name, replaced=held is not None))
    return source.key_of(name), False


def _explain_held_key(name: str, replaced: bool) -> str:
    """Return the error for a board with a key of the client that a key store has replaced, or does not know."""
    if replaced:
        return (
            f"this board holds an earlier ID key of {name}, which the key store has replaced since; nothing was done. "
            f"--replace gives it the current key and forgets all others. If the current key has never reached the "
            f"client: e4 client confirm {name} --port DEVICE --undo"
        )
    return (
        f"this board holds an ID key of {name} that the key store does not know; nothing was done. "
        f"e4 client add {name} adds that key, if you have it; --replace forgets it"
    )


def give_key(
    board: Board, config: dict[str, Any], key: bytes, source: KeySource, replace: bool = False
) -> dict[str, Any]:
    """Install a key that has been decided on; return the configuration that the board has got.

    The configuration is completed by what the source keeps with the key. The source hears that the board has proved
    the key before the key is final on the board. Raises ToolError.
    """
    name = config["name"]
    config = {**config, **source.settings_of(name)}
    install(board, config, key, replace, on_proof=lambda: source.note_proof(name, key))
    return config
