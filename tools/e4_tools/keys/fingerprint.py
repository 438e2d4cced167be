"""Fingerprints of keys, as the ledger notes them and as `e4 client` shows them."""

from __future__ import annotations

import e4

_SIZE = 8  # bytes


def fingerprint(key: bytes) -> str:
    """Return the first 8 bytes of the key's SHA3-256 (FIPS 202) as 16 hexadecimal digits.

    Two people can compare fingerprints to see whether they mean the same key. A fingerprint tells nothing else about
    a random key, so it may be shown and kept in files.
    """
    return e4.sha3.sha3_256(key)[:_SIZE].hex()
