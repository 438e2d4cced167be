"""Key files with the same bytes that the Go tool `e4keygen` writes: nothing but the key.

| type | FILE (mode 0600) | FILE.pub (mode 0644) |
|---|---|---|
| symmetric | 32 random bytes | none |
| ed25519 (RFC 8032) | 64 bytes: the seed, then the public key | 32 bytes: the public key |
| curve25519 (RFC 7748) | 32 random bytes, not clamped | 32 bytes: X25519 of them and the base point |
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from e4_tools.errors import NameTaken, ToolError
from e4_tools.keys.secret_files import PRIVATE, read_private_file, write_file
from e4_tools.keys.symmetric import KEY_SIZE, check_size, new_key

TYPES = ("symmetric", "ed25519", "curve25519")
_SEED_SIZE = 32  # bytes of random from which a key pair of either curve is computed
_PUBLIC = 0o644  # the permissions of a file that everybody may read


def make_key(kind: str) -> tuple[bytes, bytes | None]:
    """Return a new private key of one of TYPES, and its public key. A symmetric key has no public key: None."""
    if kind == "symmetric":
        return new_key(), None
    seed = secrets.token_bytes(_SEED_SIZE)
    if kind == "ed25519":
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        return seed + public, public
    return seed, X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def write_keys(path: Path, private: bytes, public: bytes | None, force: bool = False) -> list[Path]:
    """Write the private key to PATH and, if there is one, the public key to PATH.pub; return the paths written.

    Raises NameTaken if one of the files exists and `force` is false, and ToolError if one cannot be written.
    """
    files = [(path, private, PRIVATE)]
    if public is not None:
        files.append((path.with_name(path.name + ".pub"), public, _PUBLIC))
    taken = [str(name) for name, _, _ in files if os.path.lexists(name)]
    if taken and not force:
        raise NameTaken(f"{' and '.join(taken)} exists already; nothing was written. --force overwrites")
    try:
        for name, content, mode in files:
            write_file(name, content, mode, overwrite=force)
    except FileExistsError as error:
        raise NameTaken(f"{error.filename} has just been made by somebody else; it was left as it is") from None
    except OSError as error:
        raise ToolError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return [name for name, _, _ in files]


def read_key(path: Path) -> bytes:
    """Return the symmetric key in a file.

    Raises ToolError if the file cannot be read, if others may read it, or if it does not hold exactly one key.
    """
    content = read_private_file(path, "key file", most=KEY_SIZE + 1)  # one byte more shows that a file is too long
    return check_size(
        content, f"the key file {path} does not have {KEY_SIZE} bytes; nothing was done. e4 keygen makes one"
    )
