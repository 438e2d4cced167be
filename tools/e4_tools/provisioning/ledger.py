"""What was issued to which board: a file that only grows, with one JSON object on each line and no key in it.

An entry `begun` is written before a board gets its key, and an entry `issued` when the board has proved the key. For an
image, whose board is not known yet, `begun` is written before the image, without the MAC of a board.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import stat
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from filelock import lock_descriptor

import e4
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.keys.secret_files import BINARY, NOT_WAITING, PRIVATE, sync_folder, write_all

BEGUN = "begun"
ISSUED = "issued"
NO_BOARD = ""  # in place of the MAC, in the entry of an image

_NOT_FOLLOWING: int = getattr(os, "O_NOFOLLOW", 0)  # Windows does not have this flag.
_LONGEST_LINE = 64 * 1024  # bytes; an entry is far shorter, and a file that is no ledger may have no lines
# A string of JSON in ASCII, as entries have them, and one that was cut short. Every entry has such values only.
_STRING = re.compile(rb'"(?:[ !#-\[\]-~]|\\[ -~])*"')
_CUT_STRING = re.compile(rb'("(?:[ !#-\[\]-~]|\\[ -~])*\\?)?')


@dataclass(frozen=True)
class LedgerEntry:
    """One line of the ledger. The fields have the names that the file gives them."""

    event: str  # BEGUN or ISSUED
    time: str  # UTC, ISO 8601
    name: str
    id: str  # E4's 16-byte ID of the name, in hexadecimal
    mac: str  # of the board; NO_BOARD for an image
    firmware: str  # the version of our files on the board
    key_fingerprint: str


class Ledger:
    """An open ledger. It is a context manager, and one process at a time has it. Raises ToolError.

    A file is a ledger if it is a regular file and each of its lines is an entry, so an empty file is one. The last line
    may lack its end. If only the newline is missing, the entry counts. If a crash has cut the line short, so that it is
    the beginning of an entry, the step of that entry counts as not done; doing it again does no harm. Anything else is
    refused, and nothing of the file is changed before an entry is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[LedgerEntry] = []
        self._size = 0  # bytes of the file that are entries; the next one is written there
        self._is_open_line = False  # whether the last entry lacks its newline
        self._is_cut_short = False  # whether a part of an entry follows, which a crash has left

    def __enter__(self) -> Ledger:
        self._file = self._open()
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise ToolError(f"{self._path} is no ledger, because it is not a regular file; nothing was done")
            if not lock_descriptor(self._file, blocking=False):
                raise ToolError(f"another process is using the ledger {self._path}; nothing was done")
            self._read()
        except OSError as error:
            os.close(self._file)
            raise ToolError(f"the ledger {self._path} cannot be read ({error.strerror}); nothing was done") from None
        except ToolError:
            os.close(self._file)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def _open(self) -> int:
        """Return the descriptor of the file, which is made if there is none. Raises ToolError.

        Symbolic links are not followed: one that somebody else has made could lead to any file. NOT_WAITING is for a
        pipe, at which this would wait otherwise.
        """
        flags = os.O_RDWR | os.O_APPEND | NOT_WAITING | BINARY | _NOT_FOLLOWING
        try:
            if not _NOT_FOLLOWING and self._path.is_symlink():
                raise OSError(errno.ELOOP, "")
            try:
                return os.open(self._path, flags)
            except FileNotFoundError:
                descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, PRIVATE)
                sync_folder(self._path.parent)
                return descriptor
        except OSError as error:
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise ToolError(f"the ledger {self._path} cannot be opened ({reason}); nothing was done") from None

    def _read(self) -> None:
        """Read the entries. Raises ToolError at the first line that is none, and OSError."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            for number in itertools.count(1):
                line = file.readline(_LONGEST_LINE)
                if not line:
                    return
                entry = _parse_entry(line)
                if entry is not None:
                    self.entries.append(entry)
                    self._size += len(line)
                    self._is_open_line = not line.endswith(b"\n")
                elif _is_beginning(line, certain=bool(self.entries)):
                    self._is_cut_short = True
                else:
                    raise ToolError(
                        f"{self._path} is no ledger: its line {number} is no entry of one; nothing was done, and the "
                        "file is as it was. --ledger names another file"
                    )

    def note(self, event: str, name: str, mac: str, firmware: str, key: bytes) -> None:
        """Append an entry. It is on the disk when this returns. Raises ToolError; the ledger is whole then, too."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = LedgerEntry(event, now, name, e4.id_of(name).hex(), mac, firmware, fingerprint_text(key))
        line = b"\n" * self._is_open_line + json.dumps(asdict(entry)).encode() + b"\n"
        try:
            if self._is_cut_short:
                os.ftruncate(self._file, self._size)
                self._is_cut_short = False
            try:
                write_all(self._file, line)
                os.fsync(self._file)
            except BaseException:
                os.ftruncate(self._file, self._size)
                raise
        except OSError as error:
            raise ToolError(f"the ledger {self._path} cannot be written: {error.strerror}; run it again") from None
        self._size += len(line)
        self._is_open_line = False
        self.entries.append(entry)

    def issued_names(self) -> set[str]:
        """Return the names that were issued."""
        return {entry.name for entry in self.entries if entry.event == ISSUED}

    def refuse_conflict(self, name: str, mac: str, replace: bool) -> None:
        """Raise ToolError if this name may not be issued to this board.

        A name that was issued may not be issued again. With `replace`, a name that was begun with another board may be
        issued, and so may a board that was begun with another name.
        """
        self._refuse_issued(name)
        mixed = [entry for entry in self.entries if (entry.name == name) != (entry.mac == mac)]
        if mixed and not replace:
            last = mixed[-1]
            was = f"this board, {mac}, is {last.name}" if last.mac == mac else _describe_begun(last)
            raise ToolError(f"{was} ({last.time}); nothing was done. Plug in the right board, or say --replace.")

    def refuse_image(self, name: str, replace: bool) -> None:
        """Raise ToolError if this name may not go into an image.

        A name that was issued may not be issued again, and one that was begun with a board only with `replace`.
        """
        self._refuse_issued(name)
        begun = [entry for entry in self.entries if entry.name == name and entry.mac != NO_BOARD]
        if begun and not replace:
            raise ToolError(
                f"{_describe_begun(begun[-1])} ({begun[-1].time}); nothing was done. Finish that board, or say "
                "--replace."
            )

    def refuse_proof(self, name: str, mac: str, key: bytes | None = None) -> None:
        """Raise ToolError if this board may not be issued with this name from an image.

        `key` is the one of the image, if it is known already. A board that has been issued with this name may prove its
        key again.
        """
        mine = [entry for entry in self.entries if entry.name == name]
        if not mine:
            raise ToolError(f"{self._path} has no entry of {name}; nothing was noted. --ledger names another file")
        issued = next((entry for entry in mine if entry.event == ISSUED), None)
        if issued is not None and issued.mac == mac:
            return
        if issued is not None:
            raise ToolError(
                f"{name} was issued already, on {issued.time} to board {issued.mac}, and this board is {mac}. Two "
                "boards must not have the same key: erase this one (e4 flash --erase), and give it an image of its own."
            )
        mixed = [entry for entry in self.entries if entry.mac == mac and entry.name != name]
        if mixed:
            raise ToolError(
                f"this board, {mac}, is {mixed[-1].name} ({mixed[-1].time}) in the ledger; nothing was noted for {name}"
            )
        if key is not None and mine[-1].key_fingerprint != fingerprint_text(key):
            raise ToolError(
                f"the ledger notes another key for {name} since {mine[-1].time}; nothing was noted. This image is "
                "older: flash the one that was made last"
            )

    def knows(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        return any(entry.name == name for entry in self.entries)

    def is_issued(self, name: str) -> bool:
        """Tell whether this name was issued."""
        return name in self.issued_names()

    def has_image(self, name: str, firmware: str, key: bytes) -> bool:
        """Tell whether the last entry of this name is of an image with this key and this version of our files."""
        last = next((entry for entry in reversed(self.entries) if entry.name == name), None)
        return last is not None and (last.event, last.mac, last.firmware, last.key_fingerprint) == (
            BEGUN,
            NO_BOARD,
            firmware,
            fingerprint_text(key),
        )

    def _refuse_issued(self, name: str) -> None:
        for entry in self.entries:
            if entry.name == name and entry.event == ISSUED:
                raise ToolError(
                    f"{name} was issued already, on {entry.time} to board {entry.mac}; nothing was done. To give its "
                    f"key to a spare board: e4 provision {name} --in-store (or --keys), without --factory."
                )

    def has(self, name: str, mac: str) -> bool:
        """Tell whether this name was begun with this board."""
        return any(entry.name == name and entry.mac == mac for entry in self.entries)

    def has_with_other_board(self, name: str, mac: str) -> bool:
        """Tell whether this name was begun with another board, which may hold its key."""
        return any(entry.name == name and entry.mac != mac for entry in self.entries)


def _describe_begun(entry: LedgerEntry) -> str:
    what = f"begun with board {entry.mac}" if entry.mac != NO_BOARD else "put into an image"
    return f"{entry.name} was {what}"


def _parse_entry(line: bytes) -> LedgerEntry | None:
    """Return the entry in a line, or None if the line is none that `Ledger.note` has written."""
    try:
        entry = LedgerEntry(**json.loads(line))
        is_ours = entry.event in (BEGUN, ISSUED) and entry.id == e4.id_of(entry.name).hex()
        return entry if is_ours and all(isinstance(value, str) for value in asdict(entry).values()) else None
    except (ValueError, TypeError, AttributeError, RecursionError, e4.InvalidName):
        return None


def _is_beginning(text: bytes, certain: bool) -> bool:
    """Tell whether a text without a newline is the beginning of an entry, as a crash leaves it, but not all of it.

    If it is not `certain` that the file is a ledger, the text must go as far as the second field.
    """
    starts = [b'{"event": "%s", ' % event.encode() for event in (BEGUN, ISSUED)]
    if not text.startswith(tuple(starts)):
        return certain and any(start.startswith(text) for start in starts)
    for count, field in enumerate(fields(LedgerEntry)):
        separator = b'%s"%s": ' % (b", " if count else b"{", field.name.encode())
        if not text.startswith(separator):
            return separator.startswith(text)
        text = text[len(separator) :]
        value = _STRING.match(text)
        if value is None:
            return _CUT_STRING.fullmatch(text) is not None
        text = text[value.end() :]
    return not text
