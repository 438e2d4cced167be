"""`make conformance` passes with the reference vectors on all interpreters, and fails when a vector is wrong."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e4_tools.dev.conformance_cases import SECTIONS
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError, find_micropython
from helpers.boards import VECTORS
from helpers.hostile_board import HostileBoard


def _conformance(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "e4_tools.dev.conformance", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def _vectors(*sections: str) -> dict[str, Any]:
    document = json.loads(VECTORS.read_text())
    document["vectors"] = {name: document["vectors"][name] for name in sections}
    return dict(document)


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """A file with the reference vectors, without the passwords. Each of those takes 20 seconds."""
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(_vectors(*SECTIONS)))
    return path


def _needs_vm() -> None:
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(str(error))


def test_everything_passes_on_cpython_on_the_vm_and_on_a_board(quick: Path, tmp_path: Path) -> None:
    _needs_vm()
    with VirtualBoard(tmp_path / "board.flash", listen="127.0.0.1:0") as board:
        done = _conformance(str(quick), "--port", str(board.socket_url))
        assert done.returncode == 0, done.stdout + done.stderr
        for where in ("CPython", "VM", "board"):
            assert f"{where}: 101 passed, 0 failed" in done.stdout.splitlines()
        listing = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", board.device, "ls"],
            capture_output=True,
            text=True,
            check=True,
        )
    # The files of the tests must not stay on the board.
    assert "e4-conformance" not in listing.stdout


def test_a_wrong_vector_of_any_section_fails_on_both(tmp_path: Path) -> None:
    _needs_vm()
    changes = {
        "aes_siv": ("ciphertext", "00" * 20),
        "sha3_256": ("sha3_256", "00" * 32),
        "ids": ("receiving_topic", "e4/00"),
        "topics": ("topic_hash", "00" * 16),
        "messages": ("expect", "not_authentic"),
        "commands": ("plain", "00" * 17),
        "bad_commands": ("expect", "not_authentic"),
    }
    assert set(changes) == set(SECTIONS)
    document = _vectors(*SECTIONS)
    for section, (entry, value) in changes.items():
        case = copy.deepcopy(document["vectors"][section][0])
        document["vectors"][section] = [{**case, entry: value}]
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document))
    done = _conformance(str(path))
    assert done.returncode == 1
    assert "CPython: 0 passed, 7 failed" in done.stdout
    assert "VM: 0 passed, 7 failed" in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[" * 100000,
        '{"vectors": []}',
        '{"vectors": {"aes_gcm": [{}]}}',
        '{"vectors": {"aes_siv": [7]}}',
        '{"vectors": {"passwords": [{}]}}',
    ],
)
def test_a_file_that_is_no_vector_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vectors.json"
    path.write_text(text)
    done = _conformance(str(path))
    assert done.returncode == 1
    assert "passed" not in done.stdout
    assert "Error" in done.stderr and "Traceback" not in done.stderr


def test_no_cases_are_no_success(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    path.write_text('{"vectors": {"aes_siv": []}}')
    assert _conformance(str(path)).returncode == 1


def test_a_port_without_a_board(quick: Path) -> None:
    done = _conformance(str(quick), "--port", "socket://127.0.0.1:1")
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr


def test_the_first_failure_is_reported_and_not_that_of_cleaning_up(quick: Path) -> None:
    answers = {"describe_loader": b"[(0, 2147483647)]\r\n", "digest": b"['0']\r\n"}
    raises = {"make_folders": b"Traceback\r\nOSError: 28 first\r\n"}
    # The folder cannot be removed either. Its first removal, of what an earlier run left, succeeds.
    with HostileBoard(answers, raises, later={"remove_folders": b"Traceback\r\nOSError: 5 second\r\n"}) as board:
        done = _conformance(str(quick), "--port", board.device)
    assert done.returncode == 1
    assert "making the test folder: the board says: OSError: 28 first" in done.stderr
    assert done.stderr.index("first") < done.stderr.index("/e4-conformance may still be on the board")
    assert "second" in done.stderr and "Traceback" not in done.stderr


def test_a_step_that_takes_too_long_is_named(quick: Path) -> None:
    _needs_vm()
    answers = {"describe_loader": b"[(0, 2147483647)]\r\n"}
    with HostileBoard(answers, silent={"make_folders"}) as board:
        done = _conformance(str(quick), "--port", board.device, E4_BOARD_SECONDS="2")
    assert done.returncode == 1
    assert "making the test folder: no answer" in done.stderr and "nothing came for 2 s" in done.stderr
