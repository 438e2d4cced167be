"""The files that make a board a member of a fleet, made on this machine for the file system of an image.

They are what `on_board/provision.py` writes on a board, in the state before the board has proved its key.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import e4
from e4_tools.board.paths_on_board import CA_PATH, CONFIG_PATH, KEYS_PATH, PENDING_PATH
from e4_tools.errors import ToolError
from e4_tools.paths import FIRMWARE

# The root of a store, as `e4.filestore` describes it: magic, generation, whether it is untidy; for each record the size
# of its name, the size of its value, name and value; the CRC-32 of all that. Nothing else of a store is in an image, so
# the generation may be any. The board writes the records' files when it first opens the store.
_ROOT = b"E4\x00\x02" + b"\x01\0\0\0" + b"\0"
_IDENTITY = b"id"  # the name of the record of an identity (`e4.records`)
_LEAST_IDENTITY = 16 + 32  # bytes: the ID and the ID key, with which the record begins
_NONCE = b"pending"  # for the proof of a pending key (`on_board/provision.py`)
_CHECK_ENTRIES = Path(__file__).with_name("with_firmware") / "check_entries.py"


@dataclass(frozen=True)
class Identity:
    """Who a board is."""

    name: str
    key: bytes = field(repr=False)  # the ID key


def identity_files(config: dict[str, Any], key: bytes) -> dict[str, bytes]:
    """Return the contents of the files by their paths: configuration, store, proof of the pending key, certificate.

    `config` is as for `install.install`. It has been checked by `check_configs`. The key is pending on the board, until
    the board has proved it and the host makes it final.
    """
    config, certificate = place_certificate(config)
    return {
        **certificate,
        CONFIG_PATH: json.dumps(config).encode(),
        KEYS_PATH: _make_store(config["name"], key, config.get("receiving_topic")),
        PENDING_PATH: e4.proof_of_key(key, _NONCE),
    }


def read_identity(files: dict[str, bytes]) -> Identity | None:
    """Return who a board with these files is, or None if `identity_files` has made no such files.

    The paths begin with a slash.
    """
    try:
        name, store = json.loads(files[CONFIG_PATH])["name"], files[KEYS_PATH]
        client_id = e4.id_of(name)
    except (KeyError, ValueError, TypeError, RecursionError, e4.InvalidName):
        return None
    start = len(_ROOT) + 3 + len(_IDENTITY)
    if len(store) < start + _LEAST_IDENTITY + 4:
        return None
    if store[:start] != _ROOT + _head(_IDENTITY, len(store) - start - 4) or store[-4:] != _checksum(store[:-4]):
        return None
    if store[start : start + len(client_id)] != client_id:
        return None
    return Identity(name, store[start + len(client_id) :][:32])


def place_certificate(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the configuration with the path of the broker's CA certificate in it, and the certificate by that path.

    The path is made from the contents, so that the configuration in place does not lose its certificate before another
    configuration takes its place. Without a certificate the configuration is as it was.
    """
    ca = config["broker"].get("ca")
    if not isinstance(ca, bytes):
        return config, {}
    path = f"{CA_PATH}.{hashlib.sha256(ca).hexdigest()[:8]}"
    return {**config, "broker": {**config["broker"], "ca": path}}, {path: ca}


def check_configs(configs: Sequence[dict[str, Any]]) -> None:
    """Raise ToolError if a configuration has a problem. The files that go to the board find it, in another process.

    Each `config` is as for `install.install`, with the name of its board.
    """
    placed = [place_certificate(config)[0] for config in configs]
    paths = os.pathsep.join([*filter(None, sys.path), str(FIRMWARE.parent)])
    command = [sys.executable, "-P", "-X", "utf8", str(_CHECK_ENTRIES)]
    # The passwords in the configurations go through a pipe, because other users can read command lines.
    done = subprocess.run(
        command,
        input=json.dumps(placed),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": paths},
        check=False,
    )
    if done.returncode:
        raise ToolError("our files could not check the configuration; nothing was done. Is the installation whole?")
    for config, problems in zip(placed, json.loads(done.stdout), strict=True):
        if problems:
            raise ToolError(f"the configuration of {config['name']}: {'; '.join(problems)}. Nothing was done")


def _make_store(name: str, key: bytes, receiving_topic: str | None) -> bytes:
    """Return the root file of the store of a client that begins with an ID key."""
    begun = e4.MemoryStore()
    e4.Client(e4.id_of(name), key, begun, _clock, receiving_topic)
    root = _ROOT
    for record in begun.names():
        value = begun.get(record) or b""
        root += _head(record, len(value)) + value
    return root + _checksum(root)


def _head(name: bytes, size: int) -> bytes:
    """Return what comes before the value of a record with that many bytes."""
    return bytes([len(name)]) + size.to_bytes(2, "little") + name


def _checksum(content: bytes) -> bytes:
    return binascii.crc32(content).to_bytes(4, "little")


def _clock() -> int:
    raise e4.ClockNotSet("an image is made without a clock")
