"""The commands `e4 ports`, `status`, `console` and `wipe`, run as a user runs them."""

from __future__ import annotations

import json
import os
import select
import shutil
import time
from pathlib import Path

import pytest

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.deploy import checkout_version
from e4_tools.board.flash import check_erasable
from e4_tools.board.raw_repl import Board
from e4_tools.cli import main
from e4_tools.errors import PortError, PortInUse
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard
from helpers.board_files import on_board
from helpers.boards import BoardMaker, config_for
from helpers.e4_process import E4, WIFI_PASSWORD

_KEY = b"0123456789abcdef0123456789ABCDEF"
_FILES_OF_A_STORE = {"e4.keys", "e4.keys.d", "e4.keys.spare1", "e4.keys.spare2"}


def _link(board: VirtualBoard, tool: E4, name: str) -> None:
    """Make the same link to a board as `e4 board --port build/NAME.port` does."""
    (tool.folder / "build").mkdir(exist_ok=True)
    (tool.folder / "build" / f"{name}.port").symlink_to(board.device)


def test_ports_lists_boards_and_whether_ours_is_on_them(
    make_board: BoardMaker, deployed_image: Path, tmp_path: Path
) -> None:
    tool = E4(tmp_path / "e4")
    assert "No board" in tool.run("ports")
    with VirtualBoard(tmp_path / "bare.flash") as bare:
        _link(bare, tool, "bare")
        _link(make_board(), tool, "node")
        (tool.folder / "build" / "ended.port").symlink_to("/dev/pts/no-such-board")
        lines = tool.run("ports").splitlines()
        assert len(lines) == 2
        assert "build/bare.port: ESP32, MicroPython 1." in lines[0] and "nothing of ours" in lines[0]
        assert f"E4 {checkout_version()}" in lines[1]
        found = json.loads(tool.run("ports", "--json"))["ports"]
        assert [(port["port"], port["chip"], port["ours"]) for port in found] == [
            ("build/bare.port", "ESP32", False),
            ("build/node.port", "ESP32", True),
        ]
    assert "no such port" in tool.run("ports", "/dev/no-such-port")


def test_a_port_that_another_program_uses_is_no_reason_to_flash(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    with BoardConsole("board", board.device):
        for said in (
            tool.run("ports", board.device),
            tool.run("status", "--port", board.device, code=4),
            tool.run("console", "--port", board.device, code=4),
        ):
            assert "in use by another program" in said and "e4 flash" not in said
        with pytest.raises(PortInUse):
            check_erasable(board.device, erase=True, keep=False)
    assert "ESP32" in tool.run("ports", board.device)


def test_a_port_without_micropython_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    mine, its = os.openpty()
    try:
        assert "no MicroPython answers (e4 flash installs it" in tool.run("ports", os.ttyname(its))
    finally:
        os.close(mine)
        os.close(its)
    assert "there is no such port: build/nothing" in tool.run("deploy", "--port", "build/nothing", code=4)


def test_the_only_board_is_taken_and_of_two_none(make_board: BoardMaker, tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    assert "no board is plugged in" in tool.run("status", code=4)
    _link(make_board("one"), tool, "one")
    assert "Virtual ESP32" in tool.run("status")
    _link(make_board("two"), tool, "two")
    said = tool.run("status", code=2)
    assert "build/one.port" in said and "build/two.port" in said and "nothing was done" in said
    assert json.loads(tool.run("wipe", "--yes", "--json", code=2))["ok"] is False
    assert "Virtual ESP32" in tool.run("status", "--port", "build/two.port")


def test_status_of_a_board_with_nothing_of_ours(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    with VirtualBoard(tmp_path / "bare.flash") as board:
        assert "nothing of ours" in tool.run("status", "--port", board.device)
        said = json.loads(tool.run("status", "--port", board.device, "--json"))
    assert said["ok"] and said["node"] is None and said["flash_free"] > 1_000_000


def test_status_of_a_member_tells_who_it_is_and_no_secret(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    assert "not provisioned" in tool.run("status", "--port", board.device)
    provision_at(board.device, config_for("alice", 1, topics=["a", "b/+"]), _KEY)
    said = tool.run("status", "--port", board.device)
    assert "topics         1, with a key for 0; 1 wildcard filter" in said
    assert "viper loops" in said and f"alice, ID {e4.id_of('alice').hex()}" in said
    node = json.loads(tool.run("status", "--port", board.device, "--json"))["node"]
    assert node["topics"] == ["a", "b/+"] and node["topics_with_key"] == [] and node["problems"] == []
    assert tool.traces_of(_KEY, WIFI_PASSWORD.encode()) == []
    with Board(board.device) as serial:
        serial.write_file("e4.keys", b"damaged")
    assert "problem        keys:" in tool.run("status", "--port", board.device)
    with Board(board.device) as serial:
        serial.write_file("lib/e4/siv.mpy", b"damaged")
    assert "deploy them again" in tool.run("status", "--port", board.device)


def test_the_console_types_and_shows(make_board: BoardMaker, tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    with VirtualBoard(tmp_path / "bare.flash") as board:
        said = json.loads(tool.run("console", "--port", board.device, "--json", typed="print(6 * 7)"))
        assert "42" in said["lines"]
    assert "no such port" in tool.run("console", "--port", "/dev/no-such-port", code=4)


def _read_until(terminal: int, text: bytes) -> None:
    said, deadline = b"", time.monotonic() + 30
    while text not in said:
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], said
        said += os.read(terminal, 1024)


def test_on_a_terminal_raw_passes_keys_so_that_the_repl_edits_its_line(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    mine, its = os.openpty()
    with VirtualBoard(tmp_path / "bare.flash") as board:
        process = tool.start("console", "--raw", "--port", board.device, terminal=its)
        os.write(mine, b"\r")
        _read_until(mine, b">>> ")
        os.write(mine, b"print(6 * )\x1b[D7\r")  # one key to the left, and a digit in front of the bracket
        _read_until(mine, b"42")
        os.write(mine, b"\x04")
        assert process.wait(20) == 0
    os.close(mine)
    os.close(its)


def test_a_stopped_board_is_told_from_one_that_runs_and_reset_starts_it(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    with Board(board.device, restart=False) as serial:
        serial.write_file("main.py", b"import time\nwhile True:\n    print('main runs')\n    time.sleep(0.3)\n")
    said = tool.run("console", "--port", board.device, "--seconds", "4")
    assert "e4 console --reset" in said and "main runs" not in said
    tool.run("reset", "--port", board.device)
    with BoardConsole("board", board.device) as console:
        console.expect("main runs", 30)
    with VirtualBoard(tmp_path / "bare.flash") as bare:
        said = tool.run("console", "--port", bare.device, "--seconds", "3", typed="print(6 * 7)\n")
    assert "at MicroPython's prompt" in said


def test_the_console_shows_the_start_of_a_board_that_it_resets(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    # At the first time, the console may show the start of the board when it was switched on, and not the reset.
    for _ in range(2):
        said = tool.run("console", "--reset", "--port", board.device, "--seconds", "5")
        assert said.index("This board is not ready:") < said.index("Provision it over this serial port")
    assert "--reset" in tool.run("reset", "--port", board.device)


def test_a_failure_that_leaves_a_board_stopped_says_so(make_board: BoardMaker) -> None:
    board = make_board()
    with pytest.raises(PortError) as caught, Board(board.device) as serial:
        board.stop()
        serial.run("print(1)", "asking")
    assert any("e4 reset" in note for note in caught.value.__notes__)


def test_a_secret_that_nobody_gives_is_named(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    command = ("provision", "alice", "--port", "/dev/none", "--broker", "b", "--wifi", "w", "--topic", "t", "--json")
    said = json.loads(tool.start(*command).communicate()[0])
    assert "E4_KEY is not set" in said["error"] and "nothing was done" in said["error"]


def test_the_console_ends_when_the_line_is_lost(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    with VirtualBoard(tmp_path / "bare.flash") as board:
        process = tool.start("console", "--port", board.device, "--seconds", "60")
        # This waits for an answer of the board, so the board runs afterwards.
        board.wifi(False)
        # Within this time the console has opened the port, also on a busy machine. It must not have ended.
        with pytest.raises(Exception, match="timed out"):
            process.wait(8)
    assert process.wait(10) == 4
    assert process.stderr is not None and "lost" in process.stderr.read()


@pytest.mark.parametrize("fill", [False, True])
def test_wipe_removes_identity_and_says_what_is_left(make_board: BoardMaker, tmp_path: Path, fill: bool) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    image = tmp_path / "board.flash"
    other = b"fedcba9876543210FEDCBA9876543210"
    provision_at(board.device, config_for("alice", 1), _KEY)
    provision_at(board.device, config_for("alice", 1), other, replace=True)
    on_board(board, "open('/e4.keys.new', 'w').close(); open('/mine', 'w').write('of the user')")
    assert image.read_bytes().count(other) >= 1
    assert "nothing was done" in tool.run("wipe", "--port", board.device, code=1, typed="n\n")
    options = ["--fill"] if fill else []
    said = json.loads(tool.run("wipe", "--yes", "--json", "--port", board.device, *options).splitlines()[0])
    assert set(said["removed"]) == {*_FILES_OF_A_STORE, "e4.json", "e4.keys.new"}
    assert ("--fill" in said["left"]) is not fill
    found = image.read_bytes()
    assert [secret for secret in (_KEY, other) if secret in found] == []
    assert not (fill and WIFI_PASSWORD.encode() in found)
    assert (
        on_board(board, "import os; print(open('/mine').read(), 'e4.keys' in os.listdir('/'))") == "of the user False"
    )
    assert "nothing, there were no keys" in tool.run("wipe", "--yes", "--port", board.device)
    board.stop()
    shutil.copyfile(image, tmp_path / "copy.flash")
    with VirtualBoard(tmp_path / "copy.flash") as again:
        assert on_board(again, "import firmware.node; print('imported')") == "imported"


@pytest.mark.parametrize("name", ["ports", "status", "deploy", "provision", "wipe", "console", "flash", "reset"])
def test_help_has_examples_and_json(name: str) -> None:
    command = main.commands[name]
    assert f"e4 {name}" in (command.epilog or "")
    assert any("--json" in option.opts for option in command.params)


def test_wipe_takes_its_own_files_only_whatever_they_are_called(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    provision_at(board.device, config_for("alice", 1), _KEY)
    on_board(
        board,
        "for name in ('e4.keys.d/a b', 'e4.keys.d/new\\nline', 'e4.keys.d/a!', 'e4.keys. x', 'e4.calibration',"
        "'e4 keys'):\n    open('/' + name, 'w').close()\n"
        "open(b'/\\xff', 'w').close()\nopen(b'/e4.keys.d/\\xff\\xfe', 'w').close()",
    )
    said = json.loads(tool.run("wipe", "--yes", "--json", "--port", board.device))
    assert set(said["removed"]) == {*_FILES_OF_A_STORE, "e4.json", "e4.keys. x"}
    left = on_board(board, "import os; print(sorted(entry[0] for entry in os.ilistdir(b'//')))")
    assert "b'e4.calibration'" in left and "b'e4 keys'" in left and "b'\\xff'" in left and "e4.keys" not in left
