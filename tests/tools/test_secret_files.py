"""Files with secrets: they appear whole or not at all, and only their owner can read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e4_tools.keys.secret_files import write_file


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
