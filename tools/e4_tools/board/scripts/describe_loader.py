"""A function that tells the host which compiled modules a MicroPython loads. It runs on every MicroPython."""

import sys


def describe_loader() -> tuple[int, int]:
    """Return `sys.implementation._mpy`, or 0 where it loads no `.mpy` file, and the largest small integer."""
    return getattr(sys.implementation, "_mpy", 0), sys.maxsize
