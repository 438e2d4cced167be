"""What a board says about itself. No secret is read."""

from __future__ import annotations

from dataclasses import dataclass, field

import e4
from e4_tools.board.answers import Entries, OrNone
from e4_tools.board.board_code import DESCRIBE_BOARD, DESCRIBE_NODE
from e4_tools.board.paths_on_board import CONFIG_PATH, FOLDERS, KEYS_PATH, VERSION_PATH
from e4_tools.board.raw_repl import Board, BoardError

_BOARD_FACTS = Entries(
    {"machine": str, "micropython": str, "heap_free": int, "provisioned": bool, "ours": bool},
    {"version": str, "mac": str, "flash_size": int, "flash_free": int},
)
_NODE_FACTS = Entries(
    {"backend": str, "problems": [str], "name": OrNone(str)},
    {"topics": [str], "topics_with_key": [str], "broker": str, "receiving_topic": str},
)
VIRTUAL = "Virtual ESP32"  # The name of a virtual board's machine begins with this.


@dataclass(frozen=True)
class BoardInfo:
    """What any MicroPython says about itself and about the files on it. Sizes are in bytes.

    A fact is None where the board does not say.
    """

    machine: str
    micropython: str
    heap_free: int
    provisioned: bool  # it has keys or a configuration
    ours: bool  # it has files of ours
    version: str | None = None  # of our files
    mac: str | None = None
    flash_size: int | None = None
    flash_free: int | None = None

    @property
    def chip(self) -> str:
        """The chip: MicroPython names it after "with" in the name of the machine."""
        return self.machine.rpartition(" with ")[2]

    @property
    def virtual(self) -> bool:
        """Tell whether this is a virtual board."""
        return self.machine.startswith(VIRTUAL)


@dataclass(frozen=True)
class NodeInfo:
    """What our files on a board say."""

    backend: str | None = None  # of the library's loops: "viper" or "plain"
    name: str | None = None
    id: str | None = None  # in hexadecimal
    receiving_topic: str | None = None
    broker: str | None = None  # "host:port"
    topics: list[str] = field(default_factory=list)
    topics_with_key: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a line for each thing that keeps it from being a member


def inspect_board(board: Board) -> BoardInfo:
    """Ask a board what it is. Raises ToolError."""
    facts = board.ask(
        DESCRIBE_BOARD,
        "describe_board",
        [KEYS_PATH, CONFIG_PATH],
        FOLDERS,
        VERSION_PATH,
        shape=_BOARD_FACTS,
        doing="asking the board what it is",
    )
    return BoardInfo(**facts)


def inspect_node(board: Board) -> NodeInfo:
    """Ask our files on a board about its identity. Raises ToolError.

    Whatever is missing or broken is in `problems`, also if our files do not work at all.
    """
    try:
        facts = board.ask(DESCRIBE_NODE, "describe_node", shape=_NODE_FACTS, doing="asking our files on the board")
    except BoardError as error:
        return NodeInfo(problems=[f"our files on the board do not work ({error.reply}): deploy them again"])
    return NodeInfo(id=_id_of(facts["name"]), **facts)


def _id_of(name: str | None) -> str | None:
    """Return the ID of a name, or None for a name that no client can have; the board has a problem then."""
    try:
        return e4.id_of(name).hex() if name else None
    except e4.InvalidName:
        return None
