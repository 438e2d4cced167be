"""The symmetric keys of E4: ID keys of clients and keys of topics, which are all of one size.

The sizes are those of AES-256-SIV (RFC 5297) with a 32-byte E4 key. No other module of
the tools has a constant for it.
"""

from __future__ import annotations

import secrets

from e4_tools.errors import ToolError

KEY_SIZE = 32  # bytes


def new_key() -> bytes:
    """Return a random key of `KEY_SIZE` bytes from the operating system's source of secrets."""
    return secrets.token_bytes(KEY_SIZE)


def check_size(key: bytes, complaint: str) -> bytes:
    """Return `key` if it has `KEY_SIZE` bytes. Raises ToolError with the text `complaint` if it has not.

    The complaint says whose key it is. It must not quote the key: what has the wrong size may still be a secret.
    """
    if len(key) != KEY_SIZE:
        raise ToolError(complaint)
    return key


def parse_hex_key(text: str, whose: str) -> bytes:
    """Return the key that `text` holds in hexadecimal. Raises ToolError, which names the client `whose` key it is."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    return check_size(key, f"the ID key of {whose} is not {2 * KEY_SIZE} hexadecimal digits; nothing was done")
