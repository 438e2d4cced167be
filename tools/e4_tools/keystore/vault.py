"""How the secrets of a key store are encrypted.

Each secret is encrypted alone, with AES-256-GCM and a random data key. It is bound to its place (table, row and column)
as associated data: if somebody copies an encrypted secret to another place, it does not decrypt there.

The data key itself is stored encrypted, under a key that is derived from a passphrase (scrypt, RFC 7914) or from a key
file (HKDF-SHA256, RFC 5869). Whether that decrypts is how a wrong passphrase is recognized.
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

PASSPHRASE = "passphrase"  # noqa: S105 (it names a kind of key slot, and is no secret)
KEY_FILE = "key-file"
LEAST_PASSPHRASE = 8  # bytes of UTF-8

_DATA_KEY_SIZE = 32  # bytes
_SALT_SIZE = 16  # bytes
_NONCE_SIZE = 12  # bytes
_COST = 1 << 17  # scrypt's N; with r = 8 it takes 128 MiB and about half a second
_COST_LIMIT = 1 << 20  # a store that asks for more is damaged, or is meant to exhaust our memory
_BLOCK_SIZE = 8  # scrypt's r
_PARALLELISM = 1  # scrypt's p


@dataclass(frozen=True)
class KeySlot:
    """What a store has recorded about a secret that opens it. Nothing of this is secret."""

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
        """Return `secret` encrypted, and bound to its place: the names of table, row and column."""
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, secret, _bound_to(*place))

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Return the secret that `seal` encrypted for this place. Raises KeyStoreError if it was altered or moved."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], _bound_to(*place))
        except (InvalidTag, ValueError):
            raise KeyStoreError(
                f"the store is damaged: a secret in its table {place[0]} is not what was put there"
            ) from None

    def make_slot(self, kind: str, secret: bytes) -> KeySlot:
        """Return a new key slot for this vault, which `secret` opens. `kind` is PASSPHRASE or KEY_FILE."""
        salt, cost = os.urandom(_SALT_SIZE), _COST if kind == PASSPHRASE else 0
        wrapping = Vault(_wrapping_key(kind, salt, cost, secret))
        return KeySlot(kind, salt, cost, wrapping.seal(self._data_key, *_slot_place(kind, salt, cost)))


def new_vault() -> Vault:
    """Return a vault with a random data key."""
    return Vault(os.urandom(_DATA_KEY_SIZE))


def unlock(slot: KeySlot, secret: bytes) -> Vault:
    """Return the vault that a key slot opens. Raises KeyStoreError if the secret is wrong."""
    if slot.kind == PASSPHRASE and (not 1 < slot.cost <= _COST_LIMIT or slot.cost & (slot.cost - 1)):
        raise KeyStoreError(
            "the store is damaged: its cost of trying a passphrase is one that no store has; it was left as found. "
            "A copy of it that is whole can take its place"
        )
    wrapping = Vault(_wrapping_key(slot.kind, slot.salt, slot.cost, secret))
    try:
        return Vault(wrapping.open(slot.wrapped, *_slot_place(slot.kind, slot.salt, slot.cost)))
    except KeyStoreError:
        what = "passphrase" if slot.kind == PASSPHRASE else "key file"
        raise KeyStoreError(f"wrong {what} for this key store; nothing was done") from None


def _wrapping_key(kind: str, salt: bytes, cost: int, secret: bytes) -> bytes:
    """Return the key that encrypts the data key."""
    if kind == PASSPHRASE:
        return Scrypt(salt=salt, length=_DATA_KEY_SIZE, n=cost, r=_BLOCK_SIZE, p=_PARALLELISM).derive(secret)
    return HKDF(SHA256(), _DATA_KEY_SIZE, salt, b"e4 key store, key file").derive(secret)


def _slot_place(kind: str, salt: bytes, cost: int) -> tuple[str, ...]:
    return "lock", kind, salt.hex(), str(cost)


def _bound_to(*place: str) -> bytes:
    """Return the associated data for a place. The separator is a control character, which no name here contains."""
    return "\x1f".join(("e4 key store", *place)).encode()
