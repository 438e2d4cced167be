"""From a password to a key, as E4's reference clients do it. This runs on the host only, because it needs 64 MiB."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import argon2pure

from e4_tools.errors import ToolError
from e4_tools.keys.symmetric import KEY_SIZE

_MIN_PASSWORD = 16  # bytes
_PASSES = 1
_MEMORY_KIB = 64 * 1024
_LANES = 4


def derive_key(password: str, processes: int = 1) -> bytes:
    """Return the 32-byte key of a password: Argon2i 1.3, empty salt, 1 pass, 64 MiB, 4 lanes (RFC 9106).

    This takes about 20 seconds, because no faster implementation accepts the empty salt that the reference clients
    use. `processes` is how many processes may work on it. Raises ToolError for a password of less than 16 bytes.
    """
    try:
        secret = password.encode()
    except UnicodeEncodeError:  # Bytes of the environment that are no UTF-8 become halves of characters (PEP 383).
        secret = b""
    if len(secret) < _MIN_PASSWORD:
        raise ToolError(f"a password has at least {_MIN_PASSWORD} bytes of UTF-8")
    key = argon2pure.argon2(
        secret,
        b"",
        _PASSES,
        _MEMORY_KIB,
        _LANES,
        tag_length=KEY_SIZE,
        type_code=argon2pure.ARGON2I,
        threads=processes,
    )
    return bytes(key)


def derive_keys(passwords: Iterable[str]) -> list[bytes]:
    """Return the keys of several passwords. As many are derived at a time as there are processors. Raises ToolError."""
    wanted = list(passwords)
    if not wanted:
        return []
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(derive_key, wanted))
