"""The files of CA certificates on a board.

The host sends this code over the serial port once, and then calls its functions.

The certificate that a configuration names must stay until another configuration is in place. So a new certificate is
written under a name of its own, and those that nobody names are removed afterwards.
"""

import os


def keep(written: str, path: str) -> None:
    """Give a certificate that was written completely its name, at once and in place of an older file."""
    os.rename(written, path)


def drop_others(prefix: str, path: str) -> None:
    """Remove the files of the root folder whose names begin with `prefix`, but for the file `path` ("" keeps none)."""
    for entry in _list_folder(b"//"):
        found = b"/" + entry[0]
        if entry[0].startswith(prefix.encode()) and found != path.encode():
            os.remove(found)


def _list_folder(path: bytes) -> list:
    """Return the entries of a folder, with names as bytes. Names as text would end the listing at one that is no UTF-8.

    For b"/" MicroPython answers with text, and for b"//" with bytes.
    """
    return list(os.ilistdir(path))
