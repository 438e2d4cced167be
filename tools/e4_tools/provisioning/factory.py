"""Provisioning a fleet, board after board, from a table of names.

For each board: the key is made and kept, the ledger notes that it begins, the board gets the key and proves it, the
ledger notes that it is issued. Wherever that is cut short, doing it again with the same board finishes it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import e4
from e4_tools.board.inspection import about
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint
from e4_tools.provisioning.install import install
from e4_tools.provisioning.key_sources import KeySource
from e4_tools.provisioning.ledger import BEGUN, ISSUED, Ledger

_COLUMNS = {"name", "topics"}


@dataclass(frozen=True)
class Member:
    """A line of the table. Without topics of its own a member gets those of the command line."""

    name: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Issued:
    """What became of a board."""

    name: str
    mac: str
    firmware: str
    key_fingerprint: str


def read_fleet(path: Path) -> dict[str, Member]:
    """Read a CSV file with a column `name` and perhaps `topics` (divided by spaces). Raises ToolError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restkey="", restval="")
            columns = set(table.fieldnames or ())
            if "name" not in columns or columns - _COLUMNS:
                raise ToolError(f"{path}: the first line is not name or name,topics; nothing was done")
            return _members(path, list(table))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ToolError(f"{path} cannot be read: {error}; nothing was done") from None


def _members(path: Path, lines: list[dict[str, str]]) -> dict[str, Member]:
    members: dict[str, Member] = {}
    for number, line in enumerate(lines, 2):
        name = line["name"].strip()
        where = f"{path}, line {number}"
        if "" in line:
            raise ToolError(f"{where}, has too many columns; topics are divided by spaces. Nothing was done")
        if name in members:
            raise ToolError(f"{where}: the name {name} was there before; nothing was done")
        try:
            e4.id_of(name)
        except e4.InvalidName as error:
            raise ToolError(f"{where}: {error}; nothing was done") from None
        members[name] = Member(name, tuple((line.get("topics") or "").split()))
    return members


def issue(  # noqa: PLR0913 (a board, and what it gets and from where)
    board: Board, member: Member, config: dict[str, Any], keys: KeySource, ledger: Ledger, replace: bool = False
) -> Issued:
    """Give the board its identity; `config` is completed by the member's name and topics.

    Raises ToolError if the name was issued or begun with another board, or the board has another name, before
    anything is done; and for whatever goes wrong later, after which doing it again with this board finishes it.
    """
    what = about(board)
    if what.mac is None:
        raise ToolError("this board does not tell its MAC, which the ledger needs; nothing was done")
    firmware = what.version or "unknown"
    lost = ledger.check(member.name, what.mac, replace)
    if what.provisioned and not replace and not ledger.knows(member.name, what.mac):
        raise ToolError(
            f"this board, {what.mac}, is provisioned, but not by this ledger; nothing was done. "
            "--replace forgets its keys."
        )
    key = keys.key_of(member.name, renew=lost)
    own = {"name": member.name, **({"topics": list(member.topics)} if member.topics else {})}
    own.update(keys.settings_of(member.name))
    ledger.note(BEGUN, member.name, what.mac, firmware, key)
    install(board, {**config, **own}, key, replace, lambda: keys.proved(member.name, key))
    ledger.note(ISSUED, member.name, what.mac, firmware, key)
    return Issued(member.name, what.mac, firmware, fingerprint(key))
