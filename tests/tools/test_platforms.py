"""The tools on macOS and Windows, as far as that can be tried on Linux: what they need of the system.

`make types` checks the same modules with the types of these systems.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import e4
from e4_tools.board.port_errors import port_error
from e4_tools.errors import NoSuchPort, PortError, PortInUse
from e4_tools.paths import ROOT
from e4_tools.provisioning.ledger import Ledger
from helpers.boards import BoardMaker
from helpers.e4_process import E4

_PASSPHRASE = "correct horse battery staple"  # noqa: S105 (it protects nothing)
_TOOLS = ROOT / "tools"
# What a virtual board consists of, and what begins to run in the interpreter of a board.
_LINUX_ONLY = {
    f"e4_tools.virtual_board.{name}"
    for name in ("flash_image", "foreground", "served", "serial_port", "supervisor", "vm_process")
}


def _modules() -> Iterator[str]:
    """Yield the names of all modules of the tools that are imported on this machine, and not on a board."""
    on_boards = ("by_hand", "on_board", "scripts", "vm", "with_firmware", "migrations")
    for path in sorted((_TOOLS / "e4_tools").rglob("*.py")):
        parts = path.relative_to(_TOOLS).with_suffix("").parts
        if not set(parts) & set(on_boards):
            yield ".".join(part for part in parts if part != "__init__")


class _OnWindows(E4):
    """The command `e4` with nothing of the system but what Windows has too."""

    program = (sys.executable, "-m", "helpers.as_on_windows", "e4")

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder, PYTHONPATH=str(ROOT / "tests"), E4_PASSPHRASE=_PASSPHRASE, **environment)


@pytest.fixture
def tool(tmp_path: Path) -> E4:
    return _OnWindows(tmp_path)


def _import(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "helpers.as_on_windows", "import", *names],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_module_but_those_of_a_virtual_board_is_imported_without_posix() -> None:
    wanted = [name for name in _modules() if name not in _LINUX_ONLY]
    assert {"e4_tools.cli", "e4_tools.keys.owners", "e4_tools.virtual_board.cli", "e4_tools.dev.demo"} <= set(wanted)
    done = _import(*wanted)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == wanted


@pytest.mark.parametrize("name", sorted(_LINUX_ONLY))
def test_the_modules_of_a_virtual_board_need_posix(name: str) -> None:
    """So the list above has no module that could be taken out of it, and the modules are really missing."""
    done = _import(name)
    assert done.returncode != 0 and "on Windows" in done.stderr, done.stderr


def test_keys_are_written_as_they_are_and_read_again(tool: E4) -> None:
    tool.run("keygen", "--out", "alice.key")
    assert len((tool.folder / "alice.key").read_bytes()) == 32
    assert "exists already" in tool.run("keygen", "--out", "alice.key", code=6)
    # Windows would change bytes that end lines, if the file were not opened as binary.
    key = b"\r\n\n\r\x1a" + b"k" * 27
    (tool.folder / "bob.key").write_bytes(key)
    tool.run("client", "add", "bob", "--key-file", "bob.key")
    assert key.hex() in tool.run("client", "show", "bob", "--reveal", "--json")


def test_what_fails_is_an_error_that_says_why(tool: E4) -> None:
    options = ("--broker", "127.0.0.1:1", "--wifi", "virtual", "--topic", "all", "--keys", "keys")
    refused = tool.run("provision", "alice", *options, "--port", "COM9", code=4)
    assert "COM9" in refused and "nothing was changed" in refused
    tool.run("client", "add", "alice")
    tool.run("topic", "add", "sensors/lab")
    assert "127.0.0.1" in tool.run("grant", "alice", "sensors/lab", "--broker", "127.0.0.1:1", code=3)
    assert "run on Linux only" in tool.run("board", "my.flash", code=1)
    assert not (tool.folder / "my.flash").exists()


@pytest.mark.parametrize(
    ("reason", "said", "kind"),
    [
        ("could not open port 'COM9': FileNotFoundError(2, 'Die Datei fehlt', None, 2)", "no such port", NoSuchPort),
        ("could not open port 'COM9': PermissionError(13, 'Zugriff verweigert', None, 5)", "in use", PortInUse),
        ("could not open port 'COM9': OSError(22, 'Das Gerät fehlt', None, 433)", "cannot be opened", PortError),
    ],
)
def test_what_pyserial_says_of_a_port_on_windows(
    reason: str, said: str, kind: type[PortError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e4_tools.board.port_errors.sys", SimpleNamespace(platform="win32"))
    error = port_error("COM9", reason)
    assert type(error) is kind and said in str(error)


def test_a_board_is_made_a_member(tool: E4, make_board: BoardMaker) -> None:
    """The board itself is a virtual one, which runs on Linux as ever."""
    port = make_board("board").device
    options = ("--broker", "127.0.0.1:1", "--wifi", "virtual", "--topic", "all", "--port", port)
    (tool.folder / "fleet.csv").write_text("name\none\n")
    assert "all files were there" in tool.run("deploy", "--port", port)
    tool.run("provision", "--factory", "fleet.csv", "--in-store", *options)
    issued = json.loads((tool.folder / "ledger.jsonl").read_bytes().splitlines()[-1])
    assert (issued["event"], issued["name"], issued["id"]) == ("issued", "one", e4.id_of("one").hex())
    assert "name           one" in tool.run("status", "--port", port)
    heard = tool.run("console", "--reset", "--seconds", "8", "--port", port, typed="a line\r\n")
    assert "type anything" in heard and "topic key not found" in heard
    tool.run("wipe", "--yes", "--port", port)


def test_another_process_that_has_the_ledger_is_noticed(tool: E4) -> None:
    (tool.folder / "fleet.csv").write_text("name\none\n")
    with Ledger(tool.folder / "ledger.jsonl"):
        said = tool.run(
            *("provision", "--factory", "fleet.csv", "--in-store", "--broker", "127.0.0.1:1", "--wifi", "virtual"),
            *("--port", "/dev/none"),
            code=1,
        )
    assert "another process is using the ledger" in said
