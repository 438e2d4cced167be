"""A store in files. A power cut leaves the old state or the new one, and the cost of a change does not grow."""

import binascii
import os

from e4 import _files as files
from e4._const import const
from e4.errors import StoreCorrupt, StoreError
from e4.store import check_changes, damage_error

# The root file: magic (4 bytes), generation (4), untidy (1); for each record in it the size of its name (1), the size
# of its value (2, little-endian) or _REMOVED, name, value; perhaps zeros, which fill the file up; at the end the CRC-32
# (4, little-endian) of all these bytes.
# The file of a record: magic, generation, value; the CRC-32 of the name of the file followed by all these bytes.
_MAGIC = const(b"E4\x00\x02")
_HEAD = const(9)  # bytes of magic, generation and untidy; the last one says whether `tidy` has something to do
_REMOVED = const(65535)  # in place of the size of a record that the commit removes
_CRC_SIZE = const(4)
_MAX_REPLACED = const(16)  # names of replaced records that are kept; if there are more, `tidy` looks at all records
_IN_A_BLOCK = const(8)  # the least number of records in each pair of blocks, where a directory has several pairs
_MAX_WAITING = const(2048)  # bytes of changes that wait; with more, no record is added or made larger
_FAILURES = (OSError, StoreError, MemoryError)  # made here, because when it is needed there may be no heap for it


class FileStore:
    """A store in files, on littlefs or on a PC. A commit costs the same however many records there are.

    Every commit writes the root, the file `path`. It holds the changes of that commit, and all records whose names have
    one byte. The new root is written to the file `path + ".new"`, which is then renamed to `path`; on littlefs and
    POSIX the rename is atomic, and with it the commit is made. Only then are the changes carried out on the other
    records, each of which is a file in the folder `path + ".d"`. If a power cut interrupts that, opening the store
    finds the changes in the root and carries them out again. A change that cannot be carried out, because the flash is
    damaged, for instance, waits in the root, and every commit takes it on into the new root. Up to 2 KB wait; then
    no record can be added or grow until some of the waiting ones can be written.

    A commit with `clear` would cost more with more records if it removed their files. Instead it begins a new
    generation, a number that stands in the root and in every record's file. A file of another generation is a leftover:
    `get` takes no notice of it, and `tidy` removes it.

    Old keys must not stay in the flash, where a thief could read them. littlefs does not overwrite a replaced or
    removed file; it appends to the blocks of the directory until they are full. A store is untidy while such old
    contents may exist: the root says so, because a restart would otherwise forget it. `tidy` then fills these blocks
    with zeros, in small steps, until littlefs has erased them. After a few replaced records, it does so beside each of
    them; after many, or after a restart or a `clear`, it sweeps, which means that it goes through all folders of
    records. If the blocks of a directory are so full that zeros find no room, the store stays untidy, and `tidy` tries
    again after a restart. While no block is free, littlefs may also leave copies of old contents in blocks that it then
    gives away. They are overwritten when these blocks are used again.

    Changes must be possible on a full flash as well, because they may be what removes a key. So on littlefs a commit
    that only removes records, or replaces them by others that are no larger, needs no free space as long as the root
    stays below 4 KB. Two files, `path + ".spare1"` and `path + ".spare2"`, take a block each. If there is no space for
    the draft, the store removes one of them and writes over the root in place, which is atomic on littlefs too. The
    block of the old root is free then, and becomes the new spare file. A new record is refused, before anything has
    changed, unless there is room for it. A power cut between the removal and the new spare file leaves that file
    missing; opening the store makes it again. If another program has taken that block meanwhile, the next commit for
    which the draft finds no space may be refused.

    The root with one changed record stays below the size up to which littlefs keeps a file inside its directory, 128
    bytes with MicroPython's settings. A larger file would take a block of its own, which every commit would erase.

    With `fresh`, the store starts empty, whatever the files contain. The first commit replaces them in one step.

    Raises StoreCorrupt if the root is damaged or of another version, and StoreError if it cannot be read. In both cases
    the files stay as they are. A damaged record raises StoreCorrupt when it is read.
    """

    def __init__(self, path: str, fresh: bool = False) -> None:
        self._path = path
        self._draft = path + ".new"
        self._folder = path + ".d"
        self._fresh = fresh
        # The generation of a new store is random, so that no file which lies in the folder already is of it. The root
        # replaces it in `_decode`.
        self._generation = os.urandom(4)
        # The records whose names have one byte.
        self._resident: dict[bytes, bytes] = {}
        # The changes to other records that are in the root, until `_settle` has carried them out.
        self._changes: dict[bytes, bytes | None] = {}
        # The checksum of the root as it was last read or written; a commit refuses to overwrite any other root.
        self._root_crc = b""
        # A draft shows that a commit was interrupted before its rename. The root holds the state before that commit.
        files.remove(self._draft)
        self._load()
        self._settle(list(self._changes))
        # Whether both spare files exist. A new store writes nothing before its first commit.
        self._has_spares = not files.ON_LITTLEFS
        if self._root_crc:
            self._keep_spares()

    def _load(self) -> None:
        """Read the state from the root file."""
        # The names of records whose old contents may still be in the flash.
        self._replaced: list[bytes] = []
        # The generator that does the work of `tidy`, while some of it is done.
        self._cleaner = None
        # Whether old contents may be left that `tidy` did not reach, because the flash is full. The root then stays
        # untidy, and after a restart `tidy` sweeps.
        self._is_behind = False
        try:
            image = files.read(self._path)
        except StoreCorrupt:
            if not self._fresh:
                raise
            image = None
        if image is not None and not (self._fresh and image[4:8] != self._generation):
            self._decode(image)
        else:
            # Whether `tidy` has to sweep. In a new store it has to if an earlier store has left records.
            self._sweeps = files.exists(self._folder)
        # Whether the attributes agree with the root file. A failed commit may or may not have changed that file.
        self._is_loaded = True

    def get(self, name: bytes) -> bytes | None:
        if not self._is_loaded:
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
            raise damage_error(path)
        # A record of another generation was removed by a commit with `clear`; `tidy` has not come to its file yet.
        return image[8:-_CRC_SIZE] if image[4:8] == self._generation else None

    def names(self) -> list[bytes]:
        """Return the names of all records. This reads every record."""
        self.get(b"?")  # This reads the state again if a failed commit has left it uncertain.
        found = set(self._resident) | set(self._changes)
        for folder in self._folders():
            for file in files.list_folder(folder) or ():
                try:
                    found.add(binascii.unhexlify(file))
                except ValueError:
                    pass  # not a file of ours
        return [name for name in found if self.get(name) is not None]

    def commit(self, changes: dict[bytes, bytes | None], clear: bool = False) -> None:
        check_changes(changes)
        if not self._is_loaded:
            self._load()
        self._settle_waiting()
        resident = {} if clear else dict(self._resident)
        # What could not be carried out yet stays in the root. A newer change of the same record replaces it.
        others = {} if clear else dict(self._changes)
        waiting = _size(others)
        replaced = list(self._replaced)
        for name, record in changes.items():
            if len(name) != 1:
                if record is not None and waiting > _MAX_WAITING and name not in others and self._grows(name, record):
                    raise StoreError("too many records wait to be written: remove some; nothing has changed")
                if self._make_room(name, record) and name not in replaced:
                    replaced.append(name)
                others[name] = record if record is None else bytes(record)
            elif record is None:
                resident.pop(name, None)
            else:
                resident[name] = bytes(record)
        generation = self._generation
        if clear:  # the next number, of 32 bits
            generation = ((int.from_bytes(generation, "little") + 1) & 0xFFFFFFFF).to_bytes(4, "little")
        sweeps = self._sweeps or clear or len(replaced) > _MAX_REPLACED
        untidy = sweeps or bool(replaced) or self._is_behind or self._cleaner is not None
        if sweeps:
            replaced = []
        self._write_root(generation, untidy, resident, others)
        # The commit is made. From here on nothing takes heap: a MemoryError would report it as refused.
        self._generation = generation
        self._resident = resident
        self._changes = others
        self._sweeps = sweeps
        self._replaced = replaced
        if sweeps:
            self._cleaner = None
        self._is_loaded = True
        self._settle(changes)
        self._keep_spares()

    def _grows(self, name: bytes, record: bytes) -> bool:
        """Tell whether the file of a record is to be made, or to become larger. Raises StoreError."""
        try:
            return len(files.read(self._place(name)[1]) or b"") < len(record) + 8 + _CRC_SIZE
        except StoreCorrupt:
            return True

    def _make_room(self, name: bytes, record: bytes | None) -> bool:
        """Make room for a record that is new. Return whether there is an old one whose contents are to be overwritten.

        The room is a file of zeros in the same blocks, whose name has one character less. It is one byte larger than
        the record's file, but no larger than it must be to take a block of its own. `_write_record` removes it before
        it writes the record. Without it a commit could be made that can never be carried out. Raises StoreError if
        there is no space.

        littlefs appends changes to the two blocks of a directory until they are full. Old contents are gone when both
        blocks have been erased. To achieve that, `tidy` writes a file of zeros beside the record, and one beside the
        root, again and again.
        """
        path = self._place(name)[1]
        try:
            if files.exists(path):
                return files.ON_LITTLEFS
            if record is not None:
                self._make_folders(name)
                if files.ON_LITTLEFS and name not in self._changes:
                    files.write(_next_to(path), bytes(min(len(record) + 8 + _CRC_SIZE + 1, files.OWN_BLOCK)))
        except (OSError, StoreError) as error:
            # If anything but lack of space is the cause, the change waits in the root. One record that cannot be
            # written must not stop all others.
            if files.is_full(error):
                files.remove(_next_to(path))  # There may be an empty file.
                raise files.failure("make", path, error, "; nothing has changed") from None  # type: ignore[arg-type]
        return False

    def _keep_spares(self) -> None:
        """Make the spare files that are missing, as far as there is space."""
        if not self._has_spares:
            try:
                for number in "12":
                    files.keep_spare(self._path + ".spare" + number)
                self._has_spares = True
            except _FAILURES:
                pass  # The next commit tries it again.

    def tidy(self, steps: int = 1) -> bool:
        """Remove leftovers and overwrite old contents, one small file a step. Return whether there is more to do.

        Raises StoreError and MemoryError. It may then be called again, and goes on.
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
        """Do the work of `tidy`. Each `yield` ends one step.

        It yields False, so that `tidy` can tell a step from the end.
        """
        replaced, self._replaced = self._replaced, []
        sweeps, self._sweeps = self._sweeps, False
        try:
            if sweeps:
                self._is_behind = False
                for folder in self._folders():
                    yield from self._sweep(folder)
            for name in replaced:
                folder, path = self._place(name)
                if files.exists(folder):  # a sweep may have removed it since, if it was empty
                    yield from self._erase(_next_to(path))
            if files.ON_LITTLEFS:
                yield from self._erase(self._draft)
            if self._root_crc and not (self._sweeps or self._replaced):
                self._settle_waiting()
                self._write_root(self._generation, self._is_behind, self._resident, self._changes)
                self._is_loaded = True
                self._keep_spares()
        except BaseException:  # Ctrl-C must not end it either: the root would say that nothing is left to do.
            # What is left to do is noted without taking heap, because heap may be what was missing. If a commit between
            # two steps has added names, the two lists would have to be joined; a sweep does the work of both instead.
            self._sweeps = self._sweeps or sweeps or bool(self._replaced)
            if not self._sweeps:
                self._replaced = replaced
            raise

    def _sweep(self, folder: str):
        """Remove the leftovers from a folder, and all old contents from its blocks, one step at a time."""
        names = sorted([name for name in files.list_folder(folder) or () if len(name) > 1])
        # One file of zeros in every pair of blocks. Without it, littlefs would give a pair away whose last file is
        # removed, and old contents would stay in its blocks. If a pair is too full for it, there is room once the
        # leftover beside it is removed.
        places = []
        if files.ON_LITTLEFS:
            places = [folder + "/" + name for name in names if len(name) % 2 == 0][::_IN_A_BLOCK]
        zeros = [_next_to(path) for path in places]
        for path in zeros:
            files.write_zeros(path)
        for name in names:
            path = folder + "/" + name
            if path not in zeros and not self._is_ours(path, name):
                try:
                    files.remove(path)
                    if path in places:
                        files.write_zeros(_next_to(path))
                except StoreError:
                    self._is_behind = True  # Nothing else has to wait for this file.
            yield False
        for path in places:
            yield from self._erase(_next_to(path))
        try:
            os.rmdir(folder)
        except OSError:
            pass  # there are files in it

    def _erase(self, zeros: str):
        """Write the file `zeros` until littlefs has erased both blocks of its directory, one write a step."""
        for _ in range(files.REWRITES):
            if files.write_zeros(zeros):
                self._is_behind = True
                break
            yield False
        files.remove(zeros)

    def _is_ours(self, path: str, name: str) -> bool:
        """Return whether a file must stay: it is of this generation, or so damaged that it might be."""
        if len(name) % 2:  # a file of zeros: see `_next_to`
            return False
        try:
            image = files.read(path)
        except StoreError:  # it cannot be read, or it is a folder
            return True
        return image is None or image[4:8] == self._generation or not _is_whole(image, path)

    def _folders(self) -> list[str]:
        """Return the paths of the folders of records."""
        inner = files.list_folder(self._folder)
        if inner is None:
            raise damage_error(self._folder)
        return [self._folder + "/" + name for name in sorted(inner) if len(name) == 1] + [self._folder]

    def _place(self, name: bytes) -> tuple[str, str]:
        """Return folder and path of a record's file.

        There may be many records with long names. They are spread over 16 folders, because littlefs reads a whole
        folder to find a file in it.
        """
        hexadecimal = binascii.hexlify(name).decode()
        folder = self._folder + "/" + hexadecimal[2] if len(name) > 2 else self._folder
        return folder, folder + "/" + hexadecimal

    def _make_folders(self, name: bytes) -> None:
        """Make the folder of a record, if it does not exist. Raises OSError and StoreError."""
        folder = self._place(name)[0]
        if files.exists(folder):
            return
        for path in (self._folder, folder):
            if not files.exists(path):
                files.make_folder(path)

    def _settle_waiting(self) -> None:
        """Carry out the changes that wait, as far as it is possible now.

        Raises StoreError if another program has changed the root file since it was read.
        """
        if not (self._fresh and not self._root_crc) and (files.read(self._path) or b"")[-_CRC_SIZE:] != self._root_crc:
            self._is_loaded = False
            raise StoreError("another program has changed {}; nothing was done".format(self._path))
        waiting = list(self._changes)
        self._settle(waiting)
        if len(self._changes) < len(waiting):
            # `tidy` may have overwritten old contents before these records were written.
            self._is_behind = True

    def _settle(self, names) -> None:
        """Carry out those changes of the root that are named, each as far as it is possible now.

        The root holds a change until it is carried out, and `get` looks there first, so nothing is lost.
        """
        for name in names:
            if name not in self._changes:
                continue
            record = self._changes[name]
            try:
                path = self._place(name)[1]
                if record is not None:
                    self._write_record(name, path, record)
                elif files.exists(path):
                    # The zeros come before the removal, because now they surely go into the same blocks. If these are
                    # too full, there is room after it.
                    is_full = files.ON_LITTLEFS and files.write_zeros(_next_to(path))
                    files.remove(path)
                    if is_full:
                        files.write_zeros(_next_to(path))
                del self._changes[name]
            except _FAILURES:
                pass

    def _write_record(self, name: bytes, path: str, record: bytes) -> None:
        """Write a record's file. This need not be atomic, because the root still holds the record.

        Raises OSError and StoreError.
        """
        image = _MAGIC + self._generation + record
        image += _crc(image, path)
        old = files.read(path)
        if old == image:
            return
        self._make_folders(name)
        if files.ON_LITTLEFS and old is None:
            files.remove(_next_to(path))  # the room that was made for it
        try:
            files.write(path, image)
        except OSError:
            # The old file may take the only block that there is, or it may be damaged.
            files.remove(path)
            files.write(path, image)
        if old is None:
            files.sync_folder(path)

    def _write_root(
        self,
        generation: bytes,
        untidy: bool,
        resident: dict[bytes, bytes],
        changes: dict[bytes, bytes | None],
    ) -> None:
        """Write the root file. Raises StoreError.

        After a failure the file is read again before anything else is done with the store.
        """
        self._is_loaded = False
        # This comes before the image is made, for which there may be no heap if it is too large.
        if _HEAD + _size(resident) + _size(changes) + _CRC_SIZE > files.MAX_SIZE:
            raise StoreError("too much for one change; nothing has changed")
        image = bytearray(_MAGIC + generation)
        image.append(untidy)
        for group in (resident, changes):
            for name, record in group.items():
                image.append(len(name))
                image += (_REMOVED if record is None else len(record)).to_bytes(2, "little")
                image += name
                image += record or b""
        image += _crc(image)
        root_crc = bytes(image[-_CRC_SIZE:])
        try:
            files.write(self._draft, image)
            os.rename(self._draft, self._path)
            files.sync_folder(self._path)
            self._root_crc = root_crc
        except OSError as error:
            files.remove(self._draft)
            if not (files.ON_LITTLEFS and files.is_full(error) and self._overwrite_root(image[:-_CRC_SIZE])):
                raise files.failure("write", self._path, error, "; the old state stands") from None

    def _overwrite_root(self, image: bytearray) -> bool:
        """Write an image without its CRC-32 over the root, if need be in the block of a spare file.

        Return whether that worked. A root that takes a block of its own needs no room in the blocks of its directory,
        which the files of an application may have filled. Zeros make the image large enough for that, and as large as
        the old root.
        """
        try:
            fill = max(os.stat(self._path)[6], files.OWN_BLOCK) - _CRC_SIZE - len(image)
        except OSError:  # There is no root yet.
            return False
        image += bytes(max(fill, 0))
        image += _crc(image)
        for number in "012":
            try:
                if number > "0":  # At first without a spare file, because there may be a free block.
                    self._has_spares = False
                    files.remove(self._path + ".spare" + number)
                files.overwrite(self._path, image)
                self._root_crc = bytes(image[-_CRC_SIZE:])
                return True
            except OSError as error:
                if not files.is_full(error):
                    break
        return False

    def _decode(self, image: bytes) -> None:
        """Take the state from the contents of a root file. Raises StoreCorrupt."""
        end = len(image) - _CRC_SIZE
        if end < _HEAD or not _is_whole(image):
            raise damage_error(self._path)
        resident: dict[bytes, bytes] = {}
        changes: dict[bytes, bytes | None] = {}
        at = _HEAD
        while at < end and image[at]:
            name_at = at + 3
            record_at = name_at + image[at]
            size = int.from_bytes(image[at + 1 : name_at], "little")
            name = image[name_at:record_at]
            at = record_at if size == _REMOVED else record_at + size
            (resident if len(name) == 1 else changes)[name] = None if size == _REMOVED else image[record_at:at]  # type: ignore[assignment]
        if at > end or any(image[at:end]):
            raise damage_error(self._path)
        self._generation = image[4:8]
        self._sweeps = image[8] != 0
        self._root_crc = image[end:]
        self._resident = resident
        self._changes = changes


def _next_to(path: str) -> str:
    """Return the path of a file of zeros beside a file: littlefs sorts names, so both are in the same blocks.

    It is the path without its last character. The name of such a file has an odd number of characters, and that of a
    record an even one, so they are never mixed up.
    """
    return path[:-1]


def _size(changes) -> int:
    """Return how many bytes records take in the root. They are given as a dict from their names."""
    return sum([3 + len(name) + len(record or b"") for name, record in changes.items()])


def _crc(image: bytes | bytearray | memoryview, path: str = "") -> bytes:
    """Return the CRC-32 of a record's file, its name included, or of a root, if there is no path."""
    return binascii.crc32(image, binascii.crc32(path[path.rfind("/") + 1 :].encode())).to_bytes(4, "little")


def _is_whole(image: bytes, path: str = "") -> bool:
    """Return whether magic and CRC-32 are those of the file of a record, or of a root, if there is no path."""
    end = len(image) - _CRC_SIZE
    return end >= 8 and image[:4] == _MAGIC and _crc(memoryview(image)[:end], path) == image[end:]
