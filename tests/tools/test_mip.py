"""What `mip` installs from our index, with `mpremote` and on the board itself, is what `e4 deploy` would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from e4_tools.board.compile import Target, board_files
from e4_tools.board.deploy import DeployOptions, checkout_version, plan_for
from e4_tools.board.raw_repl import Board
from e4_tools.dev.mip_index import build_index, main
from e4_tools.image.micropython_image import ARCHITECTURES
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError, find_micropython
from helpers.board_files import hashes, on_board
from helpers.mpremote import mpremote, serve

_OURS = Target("x64", 63, True)  # the kind of a virtual board
_VERSION = checkout_version().partition("+")[0]
_EVERY_KIND = tuple(Target(name, 31, True) for name in ("x64", *ARCHITECTURES))
_PROTECT_AND_UNPROTECT = """
import e4, time
from e4 import loops
payload = e4.protect(b"21.5 C", bytes(range(32)), int(time.time()))
print(loops.BACKEND, e4.unprotect(payload, bytes(range(32)), int(time.time())))
"""
_JOIN = """
import network, time
station = network.WLAN(network.STA_IF)
station.active(True)
station.connect("virtual", "virtual-wifi")
while not station.isconnected():
    time.sleep_ms(20)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the indexes `one` (for virtual boards), `every` and `other` (for other boards)."""
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"no virtual board: {error}")
    folder = tmp_path_factory.mktemp("indexes")
    build_index(folder / "one", [_OURS])
    build_index(folder / "every", _EVERY_KIND)
    build_index(folder / "other", _EVERY_KIND[1:])
    with serve(folder) as address:
        yield address


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A board with nothing of ours."""
    with VirtualBoard(tmp_path / "bare.flash") as board:
        yield board


def _left_to_deploy(board: VirtualBoard) -> tuple[set[str], set[str]]:
    """Return the paths that `e4 deploy` would write, and those that it would remove."""
    with Board(board.device, restart=False) as serial:
        plan = plan_for(serial, DeployOptions())
    return set(plan.write), {*plan.remove, *plan.leftovers}


def test_the_application_is_what_deploy_sends(board: VirtualBoard, server: str) -> None:
    install = ("mip", "install", "--index", f"{server}/one", "e4-node")
    mpremote(board, *install)
    assert _left_to_deploy(board) == ({"boot.py", "main.py"}, set())
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"
    assert on_board(board, "from firmware.node import Node; print(Node.__name__)") == "Node"
    again = mpremote(board, *install)
    assert "Exists: /lib/e4/client.mpy" in again and "Installing: " not in again


def test_the_library_alone(board: VirtualBoard, server: str) -> None:
    mpremote(board, "mip", "install", "--index", f"{server}/one", "e4@" + _VERSION)
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"
    installed = {path for path in hashes(board) if path != "boot.py"}
    assert installed == {path for path, _ in board_files(_OURS) if path.startswith("lib/")}


def test_a_board_installs_by_itself(board: VirtualBoard, server: str) -> None:
    printed = on_board(board, f"{_JOIN}import mip; mip.install('e4-node', index='{server}/one')")
    assert printed.endswith("Done")
    assert _left_to_deploy(board) == ({"boot.py", "main.py"}, set())
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"


def test_from_an_index_for_all_boards_each_takes_its_own_machine_code(board: VirtualBoard, server: str) -> None:
    assert on_board(board, f"{_JOIN}import mip; mip.install('e4', index='{server}/every')").endswith("Done")
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"
    found = hashes(board)
    for target in _EVERY_KIND:
        assert [path for path in found if path.endswith(f"_{target.architecture}.mpy")]
    assert {path for path, _ in board_files(_OURS) if path.startswith("lib/")} <= set(found)


def test_a_board_without_machine_code_in_the_index_takes_ordinary_python(board: VirtualBoard, server: str) -> None:
    mpremote(board, "mip", "install", "--index", f"{server}/other", "e4-node")
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "plain b'21.5 C'"


def test_by_address(board: VirtualBoard, server: str) -> None:
    mpremote(board, "mip", "install", f"{server}/one/e4.json")
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"
    assert not [path for path in hashes(board) if path.startswith("firmware/")]
    mpremote(board, "mip", "install", f"{server}/one/")
    assert _left_to_deploy(board) == ({"boot.py", "main.py"}, set())


def test_the_sources(board: VirtualBoard, server: str) -> None:
    mpremote(board, "mip", "install", "--no-mpy", "--index", f"{server}/every", "e4-node")
    files = set(hashes(board))
    assert {path for path, _ in board_files(Target("", 31, False))} - {"boot.py", "main.py"} <= files
    assert not [path for path in files if path.endswith(".mpy")]
    assert on_board(board, _PROTECT_AND_UNPROTECT) == "viper b'21.5 C'"


def test_the_command_builds_for_every_esp32_and_keeps_what_is_there(tmp_path: Path) -> None:
    older = tmp_path / "package" / "6" / "e4" / "0.0.1.json"
    older.parent.mkdir(parents=True)
    older.write_text("{}")
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert older.read_text() == "{}"
    latest = json.loads((older.parent / "latest.json").read_text())
    assert json.loads((older.parent / f"{_VERSION}.json").read_text()) == latest
    listed = dict(latest["hashes"])
    for architecture in ARCHITECTURES:
        # Machine code is under the name of the architecture, and the rest is the same for all.
        for path, data in board_files(Target(architecture, 31, True)):
            if path.startswith("lib/"):
                name = path.removeprefix("lib/")
                of_architecture = name.replace(".mpy", f"_{architecture}.mpy")
                digits = listed[of_architecture if of_architecture in listed else name]
                assert (tmp_path / "file" / digits[:2] / digits).read_bytes() == data
    for name in ("boot.py", "main.py", "set_up_board.py"):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_for_one_kind_of_board_it_has_what_deploy_sends(architecture: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(main, [str(tmp_path), "--architecture", architecture]).exit_code == 0
    listed = json.loads((tmp_path / "package.json").read_text())["urls"]
    found = {path: (tmp_path / url).read_bytes() for path, url in listed}
    del found["../e4.version"]
    expected = dict(board_files(Target(architecture, 31, True)))
    del expected["boot.py"], expected["main.py"]
    assert {("lib/" + path).replace("lib/../", ""): data for path, data in found.items()} == expected
