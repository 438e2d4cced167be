"""Searches for secrets in every form in which they could leak, and reads the command lines of all processes."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path


def forms(secret: bytes) -> list[bytes]:
    """Return all forms of a secret that are searched for: bytes, hexadecimal and base64.

    In base64 a secret has three forms, depending on its position in the data that was encoded.
    """
    encoded = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        whole = text[-(-before * 8 // 6) : len(text) - (4 if (before + len(secret)) % 3 else 0)]
        encoded += [whole, whole.translate(bytes.maketrans(b"+/", b"-_"))]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *encoded]


def found_in(content: bytes, *secrets: bytes) -> bool:
    """Tell whether `content` contains one of the secrets, in any of its forms."""
    return any(form in content for secret in secrets for form in forms(secret))


def command_lines() -> set[bytes]:
    """Return the command lines of all processes."""
    lines = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        # A process may have ended since the folder was listed.
        with contextlib.suppress(OSError):
            lines.add(Path("/proc", name, "cmdline").read_bytes())
    return lines
