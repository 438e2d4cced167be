"""Functions with which the host changes the files of a board.

The host sends this module over the serial port and calls its functions. It runs on every MicroPython, also where
nothing of this project is installed, so it imports built-in modules only. All paths begin with "/".
"""

import binascii
import hashlib
import os
from errno import EEXIST, ENOENT

_FOLDER = 0x4000  # the type of a folder in the entries of `os.ilistdir`
_FILE = 0x8000  # the type of a file

_incoming: list = []  # the file that the host is sending, while it is open


def compare_files(folders: tuple[str, ...], root_names: list[str]) -> tuple[dict[str, str], int, int]:
    """Return what the host needs to compare a board's files with its own.

    The result has three parts: the SHA-256 in hexadecimal by path of all files in `folders`, and of those files in the
    root folder that are named in `root_names`; the size of a block of flash in bytes; the number of free blocks.
    """
    found = {}
    for folder in folders:
        for name in _list_files(folder):
            found[folder + "/" + name] = digest(folder + "/" + name)
    for name in _list_files("/"):
        if name in root_names:
            found["/" + name] = digest("/" + name)
    numbers = os.statvfs("/")
    return found, numbers[1], numbers[4]


def digest(path: str) -> str:
    """Return the SHA-256 of a file in hexadecimal. The file is read in pieces, because it may exceed the free heap."""
    whole = hashlib.sha256()
    buffer = memoryview(bytearray(512))
    with open(path, "rb") as file:
        size = file.readinto(buffer)
        while size:
            whole.update(buffer[:size])
            size = file.readinto(buffer)
    return binascii.hexlify(whole.digest()).decode()


def digests(paths: list[str]) -> tuple[str, ...]:
    """Return the SHA-256 of each of these files in hexadecimal."""
    return tuple([digest(path) for path in paths])


def _list_files(folder: str) -> list[str]:
    """Return the names of the files in a folder. A folder that is missing has none.

    A name that is no UTF-8 is left out: the host has no business with such a file.
    """
    names = []
    try:
        for entry in _list_folder(b"/" + folder.encode()):
            if entry[1] & _FILE:
                try:
                    names.append(entry[0].decode())
                except UnicodeError:
                    pass
    except OSError:
        pass
    return names


def _list_folder(path: bytes) -> list:
    """Return the entries of a folder, with names as bytes. Names as text would end the listing at one that is no UTF-8.

    For b"/" MicroPython answers with text, and for b"//" with bytes.
    """
    return list(os.ilistdir(path))


def make_folders(paths: list[str]) -> None:
    """Make folders, and the folders above them. Folders that exist already stay as they are."""
    for path in paths:
        whole = ""
        for name in path[1:].split("/"):
            whole += "/" + name
            try:
                os.mkdir(whole)
            except OSError as error:
                if error.errno != EEXIST:
                    raise


def remove_files(paths: list[str]) -> None:
    """Remove files. It is no error if one is missing."""
    for path in paths:
        try:
            os.remove(path)
        except OSError as error:
            if error.errno != ENOENT:
                raise


def remove_folders(paths: list[str]) -> None:
    """Remove folders with all that is in them. It is no error if one is missing."""
    for path in paths:
        try:
            _remove_folder(path.encode())
        except OSError as error:
            if error.errno != ENOENT:
                raise


def _remove_folder(path: bytes) -> None:
    for entry in _list_folder(path):
        child = path + b"/" + entry[0]
        if entry[1] & _FOLDER:
            _remove_folder(child)
        else:
            os.remove(child)
    os.rmdir(path)


def begin_file(path: str) -> None:
    """Open a file for what `add_to_file` writes. Whatever it held before is lost."""
    while _incoming:  # The host has given up a file in the middle, and must not go on writing to that one.
        _incoming.pop().close()
    _incoming.append(open(path, "wb"))  # noqa: SIM115 (`end_file` closes it)


def add_to_file(text: str) -> None:
    """Write a piece of the open file. The piece comes in base64, so that the line stays printable."""
    _incoming[0].write(binascii.a2b_base64(text))


def end_file() -> None:
    """Close the open file. Only then does littlefs keep what was written."""
    _incoming[0].close()
    _incoming.pop()


def give_up_files(paths: list[str]) -> None:
    """Close the file that is open, if there is one, and remove these files, to get their flash back."""
    while _incoming:
        try:
            _incoming.pop().close()
        except OSError:
            pass  # the flash is full, which is the reason for giving up
    remove_files(paths)


def change_names(update_path: str, suffix: str, lines: str) -> None:
    """Give staged files their names, and remove files, so that `boot.py` can finish this after a power cut.

    A line "+path" says that the file `path + suffix` takes the name `path`, a line "-path" that the file `path` is
    removed; these paths lack their first "/". Each line ends with a newline, and other spaces are part of a path.
    `boot.py` reads the same lines from the file `update_path`. The change is decided when that file gets its name, and
    done when the file is removed.
    """
    with open(update_path + suffix, "w") as file:
        file.write(lines)
    os.rename(update_path + suffix, update_path)
    for line in lines.split("\n")[:-1]:
        path = "/" + line[1:]
        if line[0] == "+":
            os.rename(path + suffix, path)
        else:
            remove_files([path])
    remove_files([update_path])
