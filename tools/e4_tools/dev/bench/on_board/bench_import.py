"""Tries on the VM whether a module can be imported while a given amount of heap is free."""

import gc
import sys

_PIECES = 2000  # room for all pieces of heap that are taken
_LARGEST = 4096  # bytes of the first pieces that are taken
_SMALLEST = 32  # bytes of the last ones
_HEADER = 32  # bytes of heap that a piece needs beyond its contents


def run(name: str, free: int) -> None:
    """Import a module anew while `free` bytes of heap are free, in one piece. Raises MemoryError if they are too few.

    The modules that it imports are loaded already then, so only its own code is counted.
    """
    __import__(name)
    del sys.modules[name]
    gc.collect()
    room = bytearray(free)
    held: list = [None] * _PIECES
    used = 0
    size = _LARGEST
    while size >= _SMALLEST:
        try:
            held[used] = bytearray(size - _HEADER)
            used += 1
        except MemoryError:
            size //= 2
    del room
    gc.collect()
    __import__(name)
