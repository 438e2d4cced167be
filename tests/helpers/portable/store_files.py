"""The files of a `FileStore` at a path."""

import os


def record_files(path):
    """Return the paths of all files of records, sorted."""
    found = []
    folders = [path + ".d"]
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        for entry in entries:
            inner = folder + "/" + entry
            if os.stat(inner)[0] & 0x4000:
                folders.append(inner)
            else:
                found.append(inner)
    return sorted(found)


def remove_store(path):
    """Remove all files of a store, and leave its folders."""
    for root in (path, path + ".new"):
        try:
            os.remove(root)
        except OSError:
            pass
    for record in record_files(path):
        os.remove(record)
