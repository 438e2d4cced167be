"""A store in files. Power cuts leave the old state or the new one; a change costs the same however much there is."""

import binascii
import os

from e4 import _files as files
from e4._const import const
from e4.errors import StoreCorrupt, StoreError
from e4.store import check_changes, damaged

# The root: magic (4), generation (4), untidy (1); for each record in it the size of its name (1), its size (2, little-
# endian) or _REMOVED, name, value; CRC-32 (4, little-endian) of all that.
# The file of a record: magic, generation, value; CRC-32 of the file's name and all that.
_MAGIC = const(b"E4\x00\x02")
_HEAD = const(9)  # bytes of magic, generation and untidy: whether `tidy` has something to do
_REMOVED = const(65535)  # in place of a record's size
_CRC_SIZE = const(4)
_MAX_REPLACED = const(16)  # names; if there are more, `tidy` looks at all records
_IN_A_BLOCK = const(8)  # records are at least so many in each pair of blocks of a directory that has several
_FAILURES = (StoreError, MemoryError)  # made once: when it is needed, there may be no heap for it


class FileStore:
    """A store in files, on littlefs or on a PC, whose changes cost the same however much it holds.

    The file `path`, the root, is written by every commit, to a second file that then takes its name (atomic on littlefs
    and POSIX): it holds the last changes and the one-byte records. Only then are the changes carried out on the other
    records, one file each in the folder `path + ".d"`. What a power cut leaves undone there, opening the store does.
    Every record belongs to a generation, which `clear` ends; records of another one are leftovers.

    `path` and a record together stay below the size up to which littlefs keeps a file inside its directory (128 bytes
    with MicroPython's settings): a commit then seldom erases a block, and what it replaces is soon overwritten.

    `fresh` starts anew whatever is there; it is replaced by the first commit, in one step.

    Raises StoreCorrupt for a root that is damaged or of a foreign version, StoreError for one that cannot be read;
    neither touches it. A damaged record raises StoreCorrupt when it is asked for.
    """

    def __init__(self, path: str, fresh: bool = False) -> None:
        self._path = path
        self._draft = path + ".new"
        self._folder = path + ".d"
        self._fresh = fresh
        self._generation = os.urandom(4)  # tells our records from any that lie there already
        self._resident: dict = {}  # the one-byte records
        self._changes: dict = {}  # those of the last commit, while they may not have been carried out
        self._mark = b""  # the checksum of the root file as it was read or written last
        files.remove(self._draft)  # an interrupted commit: the root still holds the state before it
        self._load()
        self._try_settle()

    def _load(self) -> None:
        """Take the state from the root file."""
        self._replaced: list = []  # names of records whose old contents may still be in flash
        self._cleaner = None  # does `tidy`, step by step
        try:
            image = files.read(self._path)
        except StoreCorrupt:
            if not self._fresh:
                raise
            image = None
        if image is not None and not (self._fresh and image[4:8] != self._generation):
            self._decode(image)
        else:
            self._sweeps = files.exists(self._folder)  # `tidy` has to look at all records, not at the replaced ones
        self._known = True

    def get(self, name: bytes) -> bytes | None:
        if not self._known:
            self._load()
        if len(name) == 1:
            return self._resident.get(name)
        if name in self._changes:
            return self._changes[name]
        path = self._place(name)[1]
        image = files.read(path)
        if image is None:
            return None
        if not _is_whole(image, path):
            raise damaged(path)
        # A record of another generation was removed by a commit with `clear`; `tidy` has not come to its file yet.
        return image[8:-_CRC_SIZE] if image[4:8] == self._generation else None

    def names(self) -> list:
        """Return the names of all records. This reads every one of them."""
        self.get(b"?")
        found = set(self._resident) | set(self._changes)
        for folder in self._folders():
            for file in files.list_folder(folder) or ():
                try:
                    found.add(binascii.unhexlify(file))
                except ValueError:
                    pass  # not a file of ours
        return [name for name in found if self.get(name) is not None]

    def commit(self, changes: dict, clear: bool = False) -> None:
        check_changes(changes)
        if not self._known:
            self._load()
        self._settle()
        resident = {} if clear else dict(self._resident)
        others = {}
        for name, record in changes.items():
            if len(name) != 1:
                others[name] = record if record is None else bytes(record)
                if record is not None:
                    self._make_folders(name)  # before the change is decided: this may need blocks
            elif record is None:
                resident.pop(name, None)
            else:
                resident[name] = bytes(record)
        generation = self._generation
        if clear:  # the next number, of 32 bits
            generation = ((int.from_bytes(generation, "little") + 1) & 0xFFFFFFFF).to_bytes(4, "little")
        replaced = self._also_replaced(others)
        sweeps = self._sweeps or clear or len(replaced) > _MAX_REPLACED
        untidy = sweeps or bool(replaced) or self._cleaner is not None
        if sweeps:
            replaced = []
        self._write_root(generation, untidy, resident, others)
        # The change is made: from here on nothing takes heap, lest it is reported as refused.
        self._generation = generation
        self._resident = resident
        self._changes = others
        self._sweeps = sweeps
        self._replaced = replaced
        if sweeps:
            self._cleaner = None
        self._known = True
        self._try_settle()

    def _also_replaced(self, changes: dict) -> list:
        """Return the names of replaced records, with those that `changes` replace.

        littlefs appends changes to the two blocks of a directory until they are full. Old contents are gone when both
        have been erased; so `tidy` writes a file of zeros beside the record, and one beside the root, again and again.
        """
        replaced = list(self._replaced)
        for name in changes:
            if files.KEEPS_OLD_CONTENTS and name not in replaced and files.exists(self._place(name)[1]):
                replaced.append(name)
        return replaced

    def tidy(self, steps: int = 1) -> bool:
        """Remove leftovers and overwrite what was replaced, in steps of one small file; return if there is more to do.

        Raises StoreError, MemoryError; it may be tried again.
        """
        if not (self._cleaner or self._sweeps or self._replaced):
            return False
        cleaner = self._cleaner = self._cleaner or self._clean()
        for _ in range(steps):
            if next(cleaner, True):
                self._cleaner = None
                return bool(self._sweeps or self._replaced)
        return True

    def _clean(self):
        """Do what `tidy` says, one step at a time."""
        replaced, self._replaced = self._replaced, []
        sweeps, self._sweeps = self._sweeps, False
        try:
            if sweeps:
                for folder in self._folders():
                    yield from self._sweep(folder)
            for name in replaced:
                folder, path = self._place(name)
                if files.exists(folder):  # it may have been empty, and removed since
                    yield from _fill(_beside(path))
            if files.KEEPS_OLD_CONTENTS:
                yield from _fill(self._draft)
            if self._mark and not (self._sweeps or self._replaced):
                self._settle()
                self._write_root(self._generation, False, self._resident, {})
                self._known = True
        except _FAILURES:
            # Without heap, which may be what is missing. If a commit between two steps has added some, all are swept.
            self._sweeps = self._sweeps or sweeps or bool(self._replaced)
            if not self._sweeps:
                self._replaced = replaced
            raise

    def _sweep(self, folder: str):
        """Remove the records of other generations from a folder, and all old contents from its blocks."""
        names = sorted([name for name in files.list_folder(folder) or () if len(name) > 1])
        places = []  # in every pair of blocks one, which keeps littlefs from giving the pair away as it is
        if files.KEEPS_OLD_CONTENTS:
            places = [_beside(folder + "/" + name) for name in names if len(name) % 2 == 0][::_IN_A_BLOCK]
        for path in places:
            files.write_zeros(path)
        for name in names:
            path = folder + "/" + name
            if path not in places and not self._is_ours(path, name):
                files.remove(path)
            yield False
        for path in places:
            yield from _fill(path)
        try:
            os.rmdir(folder)
        except OSError:
            pass  # it is in use

    def _is_ours(self, path: str, name: str) -> bool:
        """Tell whether a record is of this generation, or so damaged that it might be."""
        if len(name) % 2:  # see `_beside`
            return False
        try:
            image = files.read(path)
        except StoreError:  # a folder, perhaps
            return True
        return image is None or image[4:8] == self._generation or not _is_whole(image, path)

    def _folders(self) -> list:
        """Return the paths of the folders of records."""
        inner = files.list_folder(self._folder)
        if inner is None:
            raise damaged(self._folder)
        return [self._folder + "/" + name for name in sorted(inner) if len(name) == 1] + [self._folder]

    def _place(self, name: bytes) -> tuple:
        """Return folder and path of a record's file: 16 folders for long names, which are those there are many of."""
        hexadecimal = binascii.hexlify(name).decode()
        folder = self._folder + "/" + hexadecimal[2] if len(name) > 2 else self._folder
        return folder, folder + "/" + hexadecimal

    def _make_folders(self, name: bytes) -> None:
        folder = self._place(name)[0]
        if files.exists(folder):
            return
        for path in (self._folder, folder):
            try:
                if not files.exists(path):
                    files.make_folder(path)
            except OSError as error:
                raise files.failure("make", path, error, "; nothing has changed") from None

    def _try_settle(self) -> None:
        try:
            self._settle()
        except _FAILURES:
            pass  # the changes are in the root, `get` knows them, and the next commit tries again

    def _settle(self) -> None:
        """Carry out the changes of the last commit, as far as that has not been done. Raises StoreError."""
        if not self._changes:
            return
        for name, record in self._changes.items():
            if record is not None:
                self._write_record(name, record)
                continue
            path = self._place(name)[1]
            if files.exists(path):
                if files.KEEPS_OLD_CONTENTS:
                    files.write_zeros(_beside(path))  # in the same blocks, while that is sure
                files.remove(path)
        self._changes = {}

    def _write_record(self, name: bytes, record: bytes) -> None:
        """Write a record's file. It need not be atomic: the root holds the record as well."""
        self._make_folders(name)
        path = self._place(name)[1]
        image = _MAGIC + self._generation + record
        image += _crc(image, path)
        old = files.read(path)
        if old == image:
            return
        try:
            files.write(path, image)
            if old is None:
                files.sync_folder(path)
        except OSError as error:
            raise files.failure("write", path, error, "; it is still to be done") from None

    def _write_root(self, generation: bytes, untidy: bool, resident: dict, changes: dict) -> None:
        """Write the root file, unless it is not as we know it. After a failure it is read again before it is used."""
        self._known = False
        if not (self._fresh and not self._mark) and (files.read(self._path) or b"")[-_CRC_SIZE:] != self._mark:
            raise StoreError("{} was changed by another program; nothing has changed".format(self._path))
        image = bytearray(_MAGIC + generation)
        image.append(untidy)
        for records in (resident, changes):
            for name, record in records.items():
                image.append(len(name))
                image += (_REMOVED if record is None else len(record)).to_bytes(2, "little")
                image += name
                record = record or b""  # noqa: PLW2901
                # This comes before the record is appended: there may be no heap for an image that is too large.
                if len(image) + len(record) + _CRC_SIZE > files.MAX_SIZE:
                    raise StoreError("too much for one change; nothing has changed")
                image += record
        image += _crc(image)
        mark = bytes(image[-_CRC_SIZE:])
        try:
            files.write(self._draft, image)
            os.rename(self._draft, self._path)
            files.sync_folder(self._path)
            self._mark = mark
        except OSError as error:
            files.remove(self._draft)
            raise files.failure("write", self._path, error, "; the old state stands") from None

    def _decode(self, image: bytes) -> None:
        end = len(image) - _CRC_SIZE
        if end < _HEAD or not _is_whole(image):
            raise damaged(self._path)
        resident: dict = {}
        changes: dict = {}
        at = _HEAD
        while at < end:
            name_at = at + 3
            record_at = name_at + image[at]
            size = int.from_bytes(image[at + 1 : name_at], "little")
            name = image[name_at:record_at]
            at = record_at if size == _REMOVED else record_at + size
            (resident if len(name) == 1 else changes)[name] = None if size == _REMOVED else image[record_at:at]
        if at != end:
            raise damaged(self._path)
        self._generation = image[4:8]
        self._sweeps = image[8] != 0
        self._mark = image[end:]
        self._resident = resident
        self._changes = changes


def _beside(path: str) -> str:
    """Return the path of a file that comes just before this one, and so into the same blocks of the directory."""
    return path[:-1]


def _fill(path: str):
    """Have littlefs erase both blocks of a directory, one step at a time."""
    for _ in range(files.REWRITES):
        files.write_zeros(path)
        yield False
    files.remove(path)


def _crc(image, path: str = "") -> bytes:
    """Return the CRC-32 of the name of a record's file and of what is in it, or of a root."""
    return binascii.crc32(image, binascii.crc32(path[path.rfind("/") + 1 :].encode())).to_bytes(4, "little")


def _is_whole(image: bytes, path: str = "") -> bool:
    """Tell whether this is the contents of a record's file, or without a path those of a root."""
    end = len(image) - _CRC_SIZE
    return end >= 8 and image[:4] == _MAGIC and _crc(memoryview(image)[:end], path) == image[end:]
