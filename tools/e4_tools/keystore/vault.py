"""How the secrets of a key store are encrypted.

A random data key encrypts every secret by itself, AES-256-GCM, bound to its place (table, row, column) so that no
ciphertext can take another one's place. The data key is stored wrapped under a key that comes from a passphrase
(scrypt, RFC 7914) or from a key file (HKDF-SHA256, RFC 5869). That it unwraps is what tells a right passphrase.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from e4_tools.errors import KeyStoreError

PASSPHRASE = "passphrase"  # noqa: S105 (a kind of lock)
KEY_FILE = "key-file"
LEAST_PASSPHRASE = 8  # bytes of UTF-8

_KEY = 32
_SALT = 16
_NONCE = 12
_COST = 1 << 17  # scrypt's N; with r = 8 it takes 128 MiB and about half a second
_COST_LIMIT = 1 << 20  # what a store may ask of us
_BLOCK_SIZE = 8
_PARALLEL = 1


@dataclass(frozen=True)
class Lock:
    """What a store says about its own lock; nothing of it is secret."""

    kind: str  # PASSPHRASE or KEY_FILE
    salt: bytes
    cost: int  # scrypt's N; 0 for a key file
    wrapped: bytes  # the data key, encrypted


class Vault:
    """Encrypts and decrypts the secrets of one store."""

    def __init__(self, data_key: bytes) -> None:
        self._data_key = data_key
        self._cipher = AESGCM(data_key)

    def seal(self, secret: bytes, *place: str) -> bytes:
        """Return `secret` encrypted for its place: the names of table, row and column."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, _bound_to(*place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return what `seal` encrypted for this place. Raises KeyStoreError if it was altered or moved."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(*place))
        except (InvalidTag, ValueError):
            raise KeyStoreError(
                f"the store is damaged: a secret in its table {place[0]} is not what was put there"
            ) from None

    def lock(self, kind: str, secret: bytes) -> Lock:
        """Return a lock that `secret` opens, with a salt of its own."""
        salt, cost = os.urandom(_SALT), _COST if kind == PASSPHRASE else 0
        wrapping = Vault(_wrapping_key(kind, salt, cost, secret))
        return Lock(kind, salt, cost, wrapping.seal(self._data_key, *_lock_place(kind, salt, cost)))


def new_vault() -> Vault:
    """Return a vault with a random data key."""
    return Vault(os.urandom(_KEY))


def unlock(lock: Lock, secret: bytes) -> Vault:
    """Return the vault behind a lock. Raises KeyStoreError for a wrong secret."""
    if lock.kind == PASSPHRASE and not 1 < lock.cost <= _COST_LIMIT:
        raise KeyStoreError("the store is damaged: its lock asks for more memory than any store does")
    wrapping = Vault(_wrapping_key(lock.kind, lock.salt, lock.cost, secret))
    try:
        return Vault(wrapping.open(lock.wrapped, *_lock_place(lock.kind, lock.salt, lock.cost)))
    except KeyStoreError:
        what = "passphrase" if lock.kind == PASSPHRASE else "key file"
        raise KeyStoreError(f"wrong {what} for this key store; nothing was done") from None


def _wrapping_key(kind: str, salt: bytes, cost: int, secret: bytes) -> bytes:
    if kind == PASSPHRASE:
        return Scrypt(salt=salt, length=_KEY, n=cost, r=_BLOCK_SIZE, p=_PARALLEL).derive(secret)
    return HKDF(SHA256(), _KEY, salt, b"e4 key store, key file").derive(secret)


def _lock_place(kind: str, salt: bytes, cost: int) -> tuple[str, ...]:
    return "lock", kind, salt.hex(), str(cost)


def _bound_to(*place: str) -> bytes:
    return "\x1f".join(("e4 key store", *place)).encode()
