"""Functions with which the host removes keys and configuration from a board and overwrites the flash that held them.

The host sends this module over the serial port and calls its functions. It runs on every MicroPython, also where
nothing of this project is installed; the host passes the numbers that the library knows about its store and littlefs.

littlefs never writes over old contents. It keeps small files, such as the records of keys, inside the two blocks of
their directory, and erases these blocks in turn when they are full. For this reason the files are overwritten first,
and then their directory is filled with a file of zeros until both of its blocks have been erased. A directory of many
files has more blocks; each pair of them holds `files_in_a_block` files or more, so a file of zeros is written beside
every file of that number.
"""

import os

_FOLDER = 0x4000  # the type of a folder in the entries of `os.ilistdir`
_ENOENT = 2
_ENOSPC = 28  # the module `errno` of MicroPython does not have it
_PIECE = 64  # bytes that are overwritten at once
_BLOCK = 4096  # bytes of a block of flash
_BLOCKS_PER_SIGN = 8  # blocks of random data between two signs of life
_FOLDER_CHANGES = 256  # small files that are written at the end, to use the blocks of directories again


def overwrite_identity(
    names: tuple[bytes, ...], fill_path: str, rewrites: int, zeros: int, files_in_a_block: int
) -> list[bytes]:
    """Overwrite and remove the files and folders `names` in the root folder, and those that add a suffix to a name.

    A suffix begins with a dot. `fill_path` is the file of zeros in the root folder. `rewrites` says how often a file of
    `zeros` bytes is written until both blocks of its directory have been erased. Return the names of what was removed.
    """
    entries = [entry for entry in _list_folder(b"//") if _is_one_of(entry[0], names)]
    for entry in entries:
        if entry[1] & _FOLDER:
            _wipe_folder(b"/" + entry[0], rewrites, zeros, files_in_a_block)
        else:
            _overwrite(b"/" + entry[0])
    _erase_beside(fill_path.encode(), rewrites, zeros)
    for entry in entries:
        if not entry[1] & _FOLDER:
            _remove(b"/" + entry[0])
    _erase_beside(fill_path.encode(), rewrites, zeros)
    return [entry[0] for entry in entries]


def _list_folder(path: bytes) -> list:
    """Return the entries of a folder, with names as bytes. Names as text would end the listing at one that is no UTF-8.

    For b"/" MicroPython answers with text, and for b"//" with bytes.
    """
    return list(os.ilistdir(path))


def _is_one_of(name: bytes, names: tuple[bytes, ...]) -> bool:
    return any(name == known or name.startswith(known + b".") for known in names)


def _wipe_folder(folder: bytes, rewrites: int, zeros: int, files_in_a_block: int) -> None:
    for entry in _list_folder(folder):
        if entry[1] & _FOLDER:
            _wipe_folder(folder + b"/" + entry[0], rewrites, zeros, files_in_a_block)
    names = sorted([entry[0] for entry in _list_folder(folder)])
    for name in names:
        _overwrite(folder + b"/" + name)
    for name in names[::files_in_a_block]:
        _erase_beside(folder + b"/" + name[:-1] + b"!", rewrites, zeros)  # a name that sorts just before `name`
    for name in names:
        _remove(folder + b"/" + name)
    os.rmdir(folder)


def _remove(path: bytes) -> None:
    """Remove a file. It is no error if it is missing: a file of zeros may have had its name."""
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != _ENOENT:
            raise


def _overwrite(path: bytes) -> None:
    """Write random bytes over a whole file."""
    with open(path, "r+b") as file:
        left = file.seek(0, 2)
        file.seek(0)
        while left > 0:
            left -= file.write(os.urandom(min(left, _PIECE)))


def _erase_beside(path: bytes, rewrites: int, zeros: int) -> None:
    """Write a file of zeros so often that littlefs erases both blocks of its directory, and remove it."""
    for _ in range(rewrites):
        with open(path, "wb") as file:
            file.write(bytes(zeros))
    os.remove(path)


def fill_free_blocks(fill_path: str) -> None:
    """Write random data into all free blocks of the flash, and free them again. Print a dot now and then.

    Blocks of data are reached by one large file. Blocks of directories, in which small files are kept, are reached by
    many small changes.
    """
    data = os.urandom(_BLOCK)
    blocks = 0
    try:
        with open(fill_path, "wb") as file:
            while True:
                file.write(data)
                blocks += 1
                if blocks % _BLOCKS_PER_SIGN == 0:
                    print(".", end="")
    except OSError as error:
        if error.errno != _ENOSPC:
            raise
    os.remove(fill_path)
    for _ in range(_FOLDER_CHANGES):
        with open(fill_path, "wb") as file:
            file.write(data[:_PIECE])
        os.remove(fill_path)
    print(".", end="")
