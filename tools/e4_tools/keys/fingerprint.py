"""Fingerprints of keys, as the ledger notes them and as `e4 client` shows them."""

from __future__ import annotations

import e4.protection


def fingerprint_text(key: bytes) -> str:
    """Return the fingerprint of a key (`e4.protection.fingerprint`) as 16 hexadecimal digits.

    Two people can compare fingerprints to see whether they mean the same key. A fingerprint tells nothing else about
    a random key, so it may be shown and kept in files.
    """
    return e4.protection.fingerprint(key).hex()
