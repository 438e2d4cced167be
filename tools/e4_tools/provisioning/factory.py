"""Provisioning a fleet, board after board, from a table of names.

For each board these steps follow each other: the key is made and kept, the ledger notes that the board is begun, the
board gets the key and proves it, and the ledger notes that the board is issued. If a step is interrupted, doing it all
again with the same board finishes it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import e4
from e4_tools.board.inspection import inspect_board
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.provisioning.key_sources import KeySource, file_name_of
from e4_tools.provisioning.label import prepare_label, write_label
from e4_tools.provisioning.ledger import BEGUN, ISSUED, Ledger
from e4_tools.provisioning.provision_board import give_key, update_files

_COLUMNS = {"name", "topics"}


@dataclass(frozen=True)
class TableRow:
    """A row of the table of names. A row without topics of its own gets those that all boards have."""

    name: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class IssuedBoard:
    """A board that has got its identity."""

    name: str
    mac: str
    firmware: str  # the version of our files on the board
    key_fingerprint: str


@dataclass(frozen=True)
class Factory:
    """What all boards of a factory have in common."""

    # The configuration, which the name and the topics of each board complete. It is kept out of the representation,
    # because it holds the passwords of WiFi and broker.
    config: dict[str, Any] = field(repr=False)
    keys: KeySource
    replace: bool  # Boards give up the identity that they have.
    update: bool  # Our files on a board are brought up to date first.
    labels: Path | None  # the folder that labels are written to

    def issue_at(self, port: str, row: TableRow, ledger: Ledger) -> IssuedBoard:
        """Do all that is to be done for the board at a serial port, and reset it.

        Raises ToolError. A board that was begun is finished by doing this again.
        """
        label = None if self.labels is None else self.labels / file_name_of(row.name, ".svg")
        if label is not None:
            prepare_label(label)
        with Board(port) as board:
            if self.update:
                update_files(board)
            issued = self._issue(board, row, ledger)
            board.reset()
        if label is not None:
            write_label(label, row.name)
        return issued

    def _issue(self, board: Board, row: TableRow, ledger: Ledger) -> IssuedBoard:
        """Give a board its identity, once it is certain that neither the name nor the board is somebody else's."""
        asked = inspect_board(board)
        if asked.mac is None:
            raise ToolError("this board does not tell its MAC, which the ledger needs; nothing was done")
        firmware = asked.version or "unknown"
        ledger.refuse_conflict(row.name, asked.mac, self.replace)
        if asked.provisioned and not self.replace and not ledger.has(row.name, asked.mac):
            raise ToolError(
                f"this board, {asked.mac}, is provisioned, but not by this ledger; nothing was done. "
                "--replace forgets its keys."
            )
        key = self.keys.key_of(row.name, renew=ledger.has_with_other_board(row.name, asked.mac))
        topics = {"topics": list(row.topics)} if row.topics else {}
        ledger.note(BEGUN, row.name, asked.mac, firmware, key)
        give_key(board, {**self.config, "name": row.name, **topics}, key, self.keys, self.replace)
        ledger.note(ISSUED, row.name, asked.mac, firmware, key)
        return IssuedBoard(row.name, asked.mac, firmware, fingerprint_text(key))


def read_table(path: Path) -> dict[str, TableRow]:
    """Read the rows, by their names, of a CSV file with a column `name` and perhaps `topics` (divided by spaces).

    Raises ToolError if the file cannot be read, or names the line that is wrong.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, restkey="", restval="")
            columns = set(table.fieldnames or ())
            if "name" not in columns or columns - _COLUMNS:
                raise ToolError(f"{path}: the first line is not name or name,topics; nothing was done")
            return _check_rows(path, list(table))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ToolError(f"{path} cannot be read: {error}; nothing was done") from None


def rows_left(rows: dict[str, TableRow], ledger: Ledger) -> list[TableRow]:
    """Return the rows whose names were not issued yet."""
    issued = ledger.issued_names()
    return [row for row in rows.values() if row.name not in issued]


def check_topics(rows: list[TableRow], config: dict[str, Any]) -> None:
    """Raise ToolError if a board would have no topics, neither of its own nor those that all have."""
    for row in rows:
        if not row.topics and not config["topics"]:
            raise ToolError(f"{row.name} has no topics in the table, and there is no --topic; nothing was done")


def _check_rows(path: Path, lines: list[dict[str, str]]) -> dict[str, TableRow]:
    rows: dict[str, TableRow] = {}
    for number, line in enumerate(lines, 2):
        name = line["name"].strip()
        where = f"{path}, line {number}"
        if "" in line:  # The reader keeps the columns that are too many under this key.
            raise ToolError(f"{where}, has too many columns; topics are divided by spaces. Nothing was done")
        if name in rows:
            raise ToolError(f"{where}: the name {name} was there before; nothing was done")
        try:
            e4.id_of(name)
        except e4.InvalidName as error:
            raise ToolError(f"{where}: {error}; nothing was done") from None
        rows[name] = TableRow(name, tuple((line.get("topics") or "").split()))
    return rows
