"""Key files, byte for byte as the Go tool `e4keygen` writes them: the bare bytes of the key.

| type | FILE (0600) | FILE.pub (0644) |
|---|---|---|
| symmetric | 32 random bytes | none |
| ed25519 | 64: seed, then public key | 32 |
| curve25519 | 32 random bytes, not clamped | 32: X25519 of them and the base point |
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from e4_tools.errors import NameTaken, ToolError

TYPES = ("symmetric", "ed25519", "curve25519")
_KEY_SIZE = 32


def make_key(kind: str) -> tuple[bytes, bytes | None]:
    """Return a new private key of one of TYPES, and its public key if there is one."""
    secret = secrets.token_bytes(_KEY_SIZE)
    if kind == "ed25519":
        public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        return secret + public, public
    if kind == "curve25519":
        return secret, X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return secret, None


def write_keys(path: Path, private: bytes, public: bytes | None, force: bool = False) -> list[Path]:
    """Write PATH and, with a public key, PATH.pub; return what was written.

    Raises NameTaken if one of them is there and not `force`, ToolError if one cannot be written.
    """
    files = [(path, private, 0o600)]
    if public is not None:
        files.append((path.with_name(path.name + ".pub"), public, 0o644))
    taken = [str(name) for name, _, _ in files if os.path.lexists(name)]
    if taken and not force:
        raise NameTaken(f"{' and '.join(taken)} exists already; nothing was written. --force overwrites")
    try:
        for name, content, mode in files:
            _write(name, content, mode, force)
    except FileExistsError as error:
        raise NameTaken(f"{error.filename} has just been made by somebody else; it was left as it is") from None
    except OSError as error:
        raise ToolError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    return [name for name, _, _ in files]


def _write(path: Path, content: bytes, mode: int, force: bool) -> None:
    """Write a file that has its permissions from the first byte, in place of an old one only when it is whole."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}") if force else path
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            fresh.unlink()
            raise
    if force:
        fresh.replace(path)


def read_key(path: Path) -> bytes:
    """Return the 32 bytes of a symmetric key's file. Raises ToolError if others may read it, or it is another size."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_KEY_SIZE + 1)
    except OSError as error:
        raise ToolError(f"the key file {path} cannot be read: {error.strerror}; nothing was done") from None
    if mode & 0o077:
        raise ToolError(f"the key file {path} is open to others (mode {mode:o}); nothing was done. chmod 600 {path}")
    if len(content) != _KEY_SIZE:
        raise ToolError(f"the key file {path} does not have 32 bytes; nothing was done. e4 keygen makes one")
    return content
