"""What was issued to which board: a file that only grows, with one JSON object on each line and no key in it.

An entry `begun` is written before a board gets its key, and an entry `issued` when the board has proved the key.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import e4
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.keys.secret_files import PRIVATE

BEGUN = "begun"
ISSUED = "issued"


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the ledger. The fields have the names that the file gives them."""

    event: str  # BEGUN or ISSUED
    time: str  # UTC, ISO 8601
    name: str
    id: str  # E4's 16-byte ID of the name, in hexadecimal
    mac: str
    firmware: str  # the version of our files on the board
    key_fingerprint: str


class Ledger:
    """An open ledger. It is a context manager, and one process at a time has it. Raises ToolError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[LedgerEntry] = []

    def __enter__(self) -> Ledger:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise ToolError(f"the ledger {self._path} cannot be opened ({error.strerror}); nothing was done") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except BlockingIOError:
            os.close(self._file)
            raise ToolError(f"another process is using the ledger {self._path}; nothing was done") from None
        except ToolError:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            # A crash cut the last line short. The step of that line counts as not done, and is done again; doing it
            # twice does no harm.
            os.ftruncate(self._file, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                self.entries.append(LedgerEntry(**json.loads(line)))
            except (ValueError, TypeError):
                raise ToolError(f"{self._path}, line {number}, is no entry of a ledger; nothing was done") from None

    def note(self, event: str, name: str, mac: str, firmware: str, key: bytes) -> None:
        """Append an entry. It is on the disk when this returns."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = LedgerEntry(event, now, name, e4.id_of(name).hex(), mac, firmware, fingerprint_text(key))
        try:
            os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")
            os.fsync(self._file)
        except OSError as error:
            raise ToolError(f"the ledger {self._path} cannot be written: {error.strerror}; run it again") from None
        self.entries.append(entry)

    def issued_names(self) -> set[str]:
        """Return the names that were issued."""
        return {entry.name for entry in self.entries if entry.event == ISSUED}

    def refuse_conflict(self, name: str, mac: str, replace: bool) -> None:
        """Raise ToolError if this name may not be issued to this board.

        A name that was issued may not be issued again. With `replace`, a name that was begun with another board may be
        issued, and so may a board that was begun with another name.
        """
        for entry in self.entries:
            if entry.name == name and entry.event == ISSUED:
                raise ToolError(
                    f"{name} was issued already, on {entry.time} to board {entry.mac}; nothing was done. To give its "
                    f"key to a spare board: e4 provision {name} --in-store (or --keys), without --factory."
                )
        mixed = [entry for entry in self.entries if (entry.name == name) != (entry.mac == mac)]
        if mixed and not replace:
            last = mixed[-1]
            was = f"this board, {mac}, is {last.name}" if last.mac == mac else f"{name} was begun with board {last.mac}"
            raise ToolError(f"{was} ({last.time}); nothing was done. Plug in the right board, or say --replace.")

    def has(self, name: str, mac: str) -> bool:
        """Tell whether this name was begun with this board."""
        return any(entry.name == name and entry.mac == mac for entry in self.entries)

    def has_with_other_board(self, name: str, mac: str) -> bool:
        """Tell whether this name was begun with another board, which may hold its key."""
        return any(entry.name == name and entry.mac != mac for entry in self.entries)
