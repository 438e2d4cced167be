"""A function that tells the host what a board is.

The host sends this module over the serial port and calls its function. It runs on every MicroPython, also where
nothing of this project is installed. It reads no secret.
"""

import gc
import os
import sys

_LONGEST_VERSION = 64  # characters; a file of another kind may exceed the heap


def describe_board(identity_paths: list[str], our_paths: list[str], version_path: str) -> dict[str, object]:
    """Return the facts of `BoardInfo` by name. Facts that this MicroPython does not know are left out.

    The board is provisioned if one of `identity_paths` exists, and has files of ours if one of `our_paths` exists.
    `version_path` is the file that holds their version.
    """
    gc.collect()
    facts: dict[str, object] = {
        "heap_free": gc.mem_free(),
        "micropython": ".".join(str(number) for number in sys.implementation.version[:3]),
        "machine": getattr(sys.implementation, "_machine", None) or os.uname()[4],
        "provisioned": _any_exists(identity_paths),
        "ours": _any_exists(our_paths),
    }
    try:
        numbers = os.statvfs("/")
        facts["flash_size"] = numbers[1] * numbers[2]
        facts["flash_free"] = numbers[1] * numbers[4]
    except OSError:
        pass  # the board has no file system
    try:
        import machine  # noqa: PLC0415 (some ports of MicroPython do not have it)

        facts["mac"] = ":".join("%02x" % byte for byte in machine.unique_id())  # noqa: UP031
    except (ImportError, AttributeError):
        pass
    try:
        with open(version_path) as file:
            facts["version"] = file.read(_LONGEST_VERSION).strip()
    except (OSError, ValueError):  # The file is missing, or is no text.
        pass
    return facts


def _any_exists(paths: list[str]) -> bool:
    for path in paths:
        try:
            os.stat(path)
            return True
        except OSError:
            pass
    return False
