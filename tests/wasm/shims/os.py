"""The module `os` of MicroPython for WebAssembly, with the function `urandom` that boards have."""

from uos import *  # noqa: F403


def urandom(n):
    import random  # noqa: PLC0415 (most tests do not need it)

    return bytes(random.getrandbits(8) for _ in range(n))
