"""Files with secrets: they appear whole or not at all, and only their owner can read them."""

from __future__ import annotations

import grp
import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e4_tools.cli.shared.settings import _first_line
from e4_tools.errors import ToolError
from e4_tools.keys.files import read_key
from e4_tools.keys.secret_files import write_file
from e4_tools.provisioning.key_sources import KeyFolder


def test_an_old_file_gives_way_only_when_it_may(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_file(path, b"first")
    with pytest.raises(FileExistsError):
        write_file(path, b"second")
    assert path.read_bytes() == b"first"
    write_file(path, b"third", overwrite=True)
    assert path.read_bytes() == b"third" and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_fails_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    path = tmp_path / "key"
    if overwrite:
        write_file(path, b"first")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(descriptor: int) -> None:
        raise OSError("the disk has failed")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk has failed"):
        write_file(path, b"second", overwrite=overwrite)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_is_full_leaves_the_folder_as_it_was(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "key"
    if overwrite:
        write_file(path, b"first")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_file(path, _KEY, overwrite=overwrite)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"

    def die(source: Path, target: Path) -> None:
        raise SystemExit  # It ends here as a killed process does: what cleans up is taken away as well.

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(SystemExit):
            write_file(path, b"never used", overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [".key.new"]
    write_file(path, b"used", overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = os.open

    def open_no_folder(path: Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_dir():
            raise PermissionError("this folder may not be read")
        return really_open(path, flags, mode)

    monkeypatch.setattr(os, "open", open_no_folder)
    write_file(tmp_path / "key", b"content")
    assert (tmp_path / "key").read_bytes() == b"content"


_KEY = b"0123456789abcdef0123456789ABCDEF"
_STRANGER = 12345  # the number of a user


def _from_folder(path: Path) -> bytes:
    return KeyFolder(path.parent).key_of(path.stem)


def _as_password(path: Path) -> bytes:
    return _first_line(path).encode()


# Every way in which the tools read a secret from a file.
_READERS = (read_key, _from_folder, _as_password)


def _give_to_a_stranger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file belong to another user, or, if only root could do that, have this process be another user."""
    if os.geteuid() == 0:
        os.chown(path, _STRANGER, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: _STRANGER)


@pytest.mark.parametrize("read", _READERS)
def test_a_secret_is_read_only_where_nobody_else_can_read_or_replace_it(
    tmp_path: Path, read: Callable[[Path], bytes]
) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    path = folder / "alice.key"
    write_file(path, _KEY)
    for mode in (0o700, 0o755, 0o1777):
        folder.chmod(mode)
        assert read(path) == _KEY
    for mode in (0o777, 0o757, 0o702):
        folder.chmod(mode)
        with pytest.raises(ToolError, match=r"others could replace.*chmod go-w"):
            read(path)
    folder.chmod(0o700)
    for mode in (0o640, 0o604, 0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(ToolError, match=r"open to others.*chmod 600"):
            read(path)
    assert path.read_bytes() == _KEY


@pytest.mark.parametrize("read", _READERS)
def test_the_group_may_write_to_the_folder_of_a_secret_only_if_it_is_the_owners_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], bytes]
) -> None:
    owner = pwd.getpwuid(os.geteuid())
    path = tmp_path / "alice.key"
    write_file(path, _KEY)
    tmp_path.chmod(0o775)
    stranger = pwd.struct_passwd(("mallory", "x", 54321, tmp_path.stat().st_gid, "", "/", "/bin/sh"))
    for name, members, users, accepted in (
        (owner.pw_name, [], [owner], True),
        (owner.pw_name, [owner.pw_name], [owner], True),
        (owner.pw_name, ["mallory"], [owner], False),
        (owner.pw_name, [], [owner, stranger], False),
        ("users", [], [owner], False),
        ("users", [owner.pw_name], [owner], False),
    ):
        group = grp.struct_group((name, "x", tmp_path.stat().st_gid, members))
        monkeypatch.setattr(grp, "getgrgid", lambda _, group=group: group)
        monkeypatch.setattr(pwd, "getpwall", lambda users=users: users)
        if accepted:
            assert read(path) == _KEY
        else:
            with pytest.raises(ToolError, match=r"others could replace.*chmod go-w"):
                read(path)


@pytest.mark.parametrize("read", _READERS)
def test_a_secret_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], bytes]
) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(0o1777)
    path = folder / "alice.key"
    write_file(path, _KEY)
    with monkeypatch.context() as patch:
        _give_to_a_stranger(path, patch)
        with pytest.raises(ToolError, match="another user"):
            read(path)


@pytest.mark.parametrize("read", _READERS)
def test_a_link_is_followed_only_where_nobody_else_can_bend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], bytes]
) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "keys").mkdir(0o700)
    path = tmp_path / "keys" / "alice.key"
    write_file(tmp_path / "real" / "key", _KEY)
    (tmp_path / "real" / "middle").symlink_to("key")
    path.symlink_to("../real/middle")
    assert read(path) == _KEY
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(ToolError, match="others could replace"):
        read(path)
    (tmp_path / "real").chmod(0o700)
    if os.geteuid() == 0:
        _give_to_a_stranger(path, monkeypatch)
        with pytest.raises(ToolError, match=r"link .* belongs to another user"):
            read(path)


@pytest.mark.parametrize("read", _READERS)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, read: Callable[[Path], bytes]) -> None:
    path = tmp_path / "alice.key"
    os.mkfifo(path, 0o600)
    with pytest.raises(ToolError, match="no regular file"):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ToolError, match=r"no regular file|Is a directory"):
        read(path)
    path.rmdir()
    path.symlink_to(path)
    with pytest.raises(ToolError, match=r"cannot be read|no regular file"):
        read(path)


def test_no_key_is_made_in_a_folder_that_others_can_write_to(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = KeyFolder(folder)
    key = keys.key_of("alice")
    folder.chmod(0o777)
    with pytest.raises(ToolError, match="others could replace"):
        KeyFolder(folder)
    for name, renew in (("alice", False), ("alice", True), ("bob", False)):
        with pytest.raises(ToolError, match="others could replace"):
            keys.key_of(name, renew)
    assert [path.name for path in folder.iterdir()] == ["alice.key"] and keys.path_of("alice").read_bytes() == key


def test_a_key_comes_through_a_pipe_of_the_shell(tmp_path: Path) -> None:
    write_file(tmp_path / "key", _KEY)
    read = "import sys, pathlib, e4_tools.keys.files as files; print(files.read_key(pathlib.Path(sys.argv[1])))"
    line = f"{sys.executable} -c '{read}' <(sleep 0.3; cat {tmp_path}/key)"
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(_KEY), done.stderr
