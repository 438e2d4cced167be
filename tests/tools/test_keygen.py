"""Key files: they have the format of the Go tool, and only their owner can read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from e4_tools.errors import ToolError
from e4_tools.keys.files import read_key
from helpers.operator import Operator


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path, 1)


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_a_symmetric_key(operator: Operator, umask: int) -> None:
    path = operator.folder / "alice.key"
    before = os.umask(umask)
    try:
        assert operator.e4("keygen", "--out", str(path))["files"] == [str(path)]
    finally:
        os.umask(before)
    assert len(path.read_bytes()) == 32 and path.read_bytes() != bytes(32)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.with_name("alice.key.pub").exists()
    assert read_key(path) == path.read_bytes()


def test_an_ed25519_key_is_seed_and_public_key(operator: Operator) -> None:
    path = operator.folder / "alice"
    operator.e4("keygen", "--type", "ed25519", "--out", str(path))
    private, public = path.read_bytes(), path.with_name("alice.pub").read_bytes()
    assert len(private) == 64 and private[32:] == public
    assert Ed25519PrivateKey.from_private_bytes(private[:32]).public_key().public_bytes_raw() == public
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name("alice.pub").stat().st_mode & 0o777 == 0o644


def test_a_curve25519_key_and_its_public_key(operator: Operator) -> None:
    path = operator.folder / "c2"
    operator.e4("keygen", "--type", "curve25519", "--out", str(path))
    private, public = path.read_bytes(), path.with_name("c2.pub").read_bytes()
    assert len(private) == 32
    assert X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw() == public


def test_keys_are_not_overwritten_unless_forced(operator: Operator) -> None:
    path = operator.folder / "c2"
    public = path.with_name("c2.pub")
    public.write_bytes(b"mine")
    refused = operator.e4("keygen", "--type", "curve25519", "--out", str(path), expect=6)
    assert "nothing was written" in refused["error"] and str(public) in refused["error"]
    assert not path.exists() and public.read_bytes() == b"mine"
    path.write_bytes(b"old and open")
    path.chmod(0o644)
    operator.e4("keygen", "--type", "curve25519", "--out", str(path), "--force")
    assert len(path.read_bytes()) == 32 and path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(operator.folder)) == ["c2", "c2.pub", "store.key"]


def test_where_nothing_can_be_written_it_says_so(operator: Operator) -> None:
    assert "cannot be written" in operator.e4("keygen", "--out", "/nowhere/key", expect=1)["error"]


@pytest.mark.parametrize(("content", "mode", "said"), [(b"x" * 31, 0o600, "32 bytes"), (b"x" * 32, 0o644, "chmod 600")])
def test_a_key_file_of_another_size_or_open_to_others_is_refused(
    tmp_path: Path, content: bytes, mode: int, said: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ToolError, match=said):
        read_key(path)


def test_a_key_is_in_no_argument_and_no_output(tmp_path: Path) -> None:
    path = tmp_path / "key"
    command = [sys.executable, "-m", "e4_tools.cli", "keygen", "--out", str(path)]
    done = subprocess.run(command, capture_output=True, check=True)
    printed = done.stdout + done.stderr
    assert path.read_bytes() not in printed and path.read_bytes().hex().encode() not in printed
