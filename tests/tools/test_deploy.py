"""Deploying writes only what differs and checks what it has written.

After any interruption the board must have the whole old version or the whole new one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from e4_tools.board import deploy as deploying
from e4_tools.board.deploy import DeployOptions, carry_out, checkout_version, deploy_to, plan_for
from e4_tools.board.raw_repl import Board
from e4_tools.errors import PortError, ToolError
from e4_tools.virtual_board import VirtualBoard
from helpers.board_files import hashes, on_board
from helpers.boards import BoardMaker
from helpers.e4_process import E4, moments

_ROOT = Path(__file__).resolve().parents[2]
_MAKE_OLD = """
import os
for folder in ('/lib/e4', '/firmware'):
    for name in os.listdir(folder):
        with open(folder + '/' + name, 'w') as f:
            f.write('old ' + name)
for path in ('/lib/e4/gone.mpy', '/firmware/gone.py'):
    with open(path, 'w') as f:
        f.write('old')
for name in ('boot.py', 'main.py', 'e4.version'):
    with open('/' + name, 'a') as f:
        f.write('# old\\n')
"""
_LEAVE_BLOCKS = """
import os
with open('/big', 'wb') as f:
    for _ in range(os.statvfs('/')[4] - {}):
        f.write(bytes(4096))
"""
_INTERRUPTED_SWITCH = """
import os
lines = {lines!r}
with open('/e4.update', 'w') as f:
    f.write(lines)
for line in lines.split()[:{done}]:
    os.rename('/' + line[1:] + '.new', '/' + line[1:]) if line[0] == '+' else os.remove('/' + line[1:])
"""


@pytest.fixture(scope="module")
def versions(
    deployed_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str], dict[str, str]]:
    """The image of a board with an old version, and the hashes of all files of the old version and of the new one."""
    image = tmp_path_factory.mktemp("old") / "old.flash"
    shutil.copyfile(deployed_image, image)
    with VirtualBoard(image) as board:
        new = hashes(board)
        on_board(board, _MAKE_OLD)
        return image, hashes(board), new


@pytest.fixture
def old_board(
    versions: tuple[Path, dict[str, str], dict[str, str]], make_board: BoardMaker, tmp_path: Path
) -> VirtualBoard:
    board = make_board("old")
    board.stop()
    shutil.copyfile(versions[0], tmp_path / "old.flash")
    board.start()
    return board


def _ours(found: dict[str, str]) -> dict[str, str]:
    return {path: digest for path, digest in found.items() if not path.endswith(".new") and path != "e4.update"}


def test_again_there_is_nothing_to_do(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        assert not plan_for(serial, DeployOptions()).has_changes


def test_only_what_differs_is_sent_and_what_is_gone_is_removed(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        serial.write_file("lib/e4/siv.mpy", b"M")
        serial.write_file("lib/e4/retired.py", b"old")
        serial.write_file("lib/e4/_loops_plain.mpy", b"of no use where there is machine code")
        serial.write_file("firmware/node.py", b"an older one, which would be imported first")
        serial.write_file("lib/e4/stray.mpy.new", b"of an interrupted deployment")
        serial.write_file("lib/other.py", b"of the user")
        plan = plan_for(serial, DeployOptions())
        assert plan.write == ("lib/e4/siv.mpy",)
        assert set(plan.remove) == {"lib/e4/retired.py", "lib/e4/_loops_plain.mpy", "firmware/node.py"}
        assert plan.leftovers == ("lib/e4/stray.mpy.new",)
        carry_out(serial, plan)
        assert not plan_for(serial, DeployOptions()).has_changes
        assert serial.run("import os; print(os.listdir('/lib'))", "a test").strip() == "['e4', 'other.py']"


def test_a_dry_run_changes_nothing(old_board: VirtualBoard, tmp_path: Path) -> None:
    before = hashes(old_board)
    said = json.loads(E4(tmp_path / "e4").run("deploy", "--port", old_board.device, "--dry-run", "--json"))
    assert "lib/e4/siv.mpy" in said["write"] and "lib/e4/gone.mpy" in said["remove"]
    assert said["bytes"] > 20000 and said["version"] == checkout_version()
    assert hashes(old_board) == before


def test_sources_take_the_place_of_compiled_modules_and_the_reverse(make_board: BoardMaker) -> None:
    board = make_board()
    for source, ending, other in ((True, ".py", ".mpy"), (False, ".mpy", ".py")):
        with Board(board.device) as serial:
            carry_out(serial, plan_for(serial, DeployOptions(source=source)))
        paths = [path for path in hashes(board) if path.startswith(("lib/e4/", "firmware/"))]
        assert "lib/e4/siv" + ending in paths
        assert not [path for path in paths if path.endswith(other)]
        assert on_board(board, "import e4.loops; from firmware import node; print(e4.loops.BACKEND)") == "viper"


def test_the_boards_main_py_is_kept_on_request(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    with Board(board.device) as serial:
        serial.write_file("main.py", b"print('mine')\n")
    before = hashes(board)["main.py"]
    tool.run("deploy", "--port", board.device, "--keep-main")
    assert hashes(board)["main.py"] == before
    tool.run("deploy", "--port", board.device)
    assert hashes(board)["main.py"] != before


def test_a_main_py_that_would_not_start_is_not_sent(
    old_board: VirtualBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(old_board)
    (tmp_path / "boot.py").write_bytes((_ROOT / "boot.py").read_bytes())
    (tmp_path / "main.py").write_text("node = Node(\n")
    monkeypatch.setattr("e4_tools.board.compile._FOLDER_OF_SOURCES", tmp_path)
    with pytest.raises(ToolError, match=r"(?s)main\.py does not compile.*line 2.*SyntaxError"):
        deploy_to(old_board.device)
    assert hashes(old_board) == before


def test_what_does_not_arrive_as_sent_is_not_installed(
    old_board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(old_board)
    send = deploying._send
    monkeypatch.setattr(deploying, "_send", lambda board, path, data: send(board, path, data[:-1] + b"?"))
    with pytest.raises(PortError, match="old version"):
        deploy_to(old_board.device)
    assert _ours(hashes(old_board)) == before
    monkeypatch.undo()
    deploy_to(old_board.device)


def test_a_full_flash_is_noticed_before_anything_is_changed(old_board: VirtualBoard) -> None:
    before = hashes(old_board)
    with Board(old_board.device) as serial:
        serial.run(_LEAVE_BLOCKS.format(10), "a test")
        with pytest.raises(ToolError, match=r"bytes free, and \d+ are needed"):
            plan_for(serial, DeployOptions())
        serial.run("os.remove('/big')", "a test")
    assert hashes(old_board) == before


def test_a_flash_that_becomes_full_keeps_the_old_version(
    old_board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hashes(old_board)
    monkeypatch.setattr(deploying, "_RESERVE_BLOCKS", -(10**6))
    with Board(old_board.device) as serial:
        serial.run(_LEAVE_BLOCKS.format(10), "a test")
        with pytest.raises(ToolError, match=r"flash is full .* old version"):
            carry_out(serial, plan_for(serial, DeployOptions()))
        serial.run("os.remove('/big')", "a test")
    assert hashes(old_board) == before


# So many files have got their new names when the change is interrupted; negative numbers count from the end.
@pytest.mark.parametrize("done", [0, 1, 2, 12, -2, -1])
def test_the_change_of_names_is_finished_at_the_next_start(
    old_board: VirtualBoard, versions: tuple[Path, dict[str, str], dict[str, str]], done: int
) -> None:
    _, _, new = versions
    with Board(old_board.device) as serial:
        plan = plan_for(serial, DeployOptions())
        lines = "".join([f"+{path}\n" for path in plan.write] + [f"-{path}\n" for path in plan.remove])
        serial.run("pass", "a test")
        for path in plan.write:
            serial.write_file(path + ".new", plan.files[path])
        serial.write_file("boot.py", (_ROOT / "boot.py").read_bytes())
        done %= len(lines.split()) + 1
        serial.run(_INTERRUPTED_SWITCH.format(lines=lines, done=done), "a test")
    assert hashes(old_board) == new


@pytest.mark.parametrize("power", [False, True], ids=["process killed", "power cut"])
def test_interrupted_at_any_point_the_board_has_one_version_and_again_finishes(
    old_board: VirtualBoard,
    versions: tuple[Path, dict[str, str], dict[str, str]],
    tmp_path: Path,
    power: bool,
) -> None:
    image, old, new = versions
    tool = E4(tmp_path / "e4")
    longest = tool.seconds("deploy", "--port", old_board.device)
    for part in moments(4, 1.0):
        interrupted = False
        while not interrupted:
            old_board.stop()
            shutil.copyfile(image, tmp_path / "old.flash")
            old_board.start()
            command = ("deploy", "--port", old_board.device)
            interrupted = tool.kill(part * longest, *command, board=old_board if power else None)
            found = _ours(hashes(old_board))
            assert found in (old, new), f"a mixture, after {part * longest} s"
            tool.run(*command)
            assert hashes(old_board) == new
            # If the command has ended before it was killed, the machine was busier when its time was measured.
            longest *= 1 if interrupted else 0.7


def test_a_cable_that_is_pulled_says_what_state_the_board_is_in(old_board: VirtualBoard) -> None:
    with Board(old_board.device) as serial:
        plan = plan_for(serial, DeployOptions())
        with pytest.raises(PortError, match=r"old version.* Run the command again"):
            carry_out(serial, plan, lambda path, size: old_board.stop())
    old_board.start()
    deploy_to(old_board.device)


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    said = E4(tmp_path / "e4").run("deploy", "--port", "/dev/no-such-port", code=4)
    assert "nothing was changed" in said


def test_over_a_socket(tmp_path: Path, deployed_image: Path) -> None:
    with VirtualBoard(tmp_path / "board.flash", listen="127.0.0.1:0") as board:
        assert board.socket_url is not None
        E4(tmp_path / "e4").run("deploy", "--port", board.socket_url)
        with Board(board.socket_url) as serial:
            assert not plan_for(serial, DeployOptions()).has_changes


_STRANGE = [
    "old -boot.py",
    "old +main.py",
    "old\n-boot.py",
    "a\r\n-main.py",
    "a\t-boot.py",
    "-boot.py",
    " .py",
    'it\'s "quoted".mpy',
    "\x1b]0;title\x07.py",
    "ünï\u2028.mpy",
    "x -main.py.new",
    "not utf-8 -boot.py",
]


def test_no_name_of_a_file_makes_a_deployment_remove_another_one(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    before = hashes(board)
    with Board(board.device) as serial:
        for name in _STRANGE[:-1]:
            for folder in ("/firmware/", "/lib/e4/"):
                serial.write_file(folder + name, b"of nobody")
        # The name of this one is no UTF-8, so that MicroPython cannot list it as text.
        serial.run("open(b'/firmware/\\xff\\xfe -boot.py', 'w').close()", "a test")
        serial.write_file("/firmware/notes -boot.txt", b"of the user")
    said = json.loads(tool.run("deploy", "--port", board.device, "--json"))
    assert len(said["remove"]) + len(said["leftovers"]) == 2 * len(_STRANGE[:-1])
    with Board(board.device) as serial:
        serial.run(
            "import os\nos.remove(b'/firmware/\\xff\\xfe -boot.py')\nos.stat('/firmware/notes -boot.txt')", "a test"
        )
        serial.run("os.remove('/firmware/notes -boot.txt')", "a test")
        assert not plan_for(serial, DeployOptions()).has_changes
    assert hashes(board) == before


@pytest.mark.parametrize("name", _STRANGE[:2])
def test_boot_py_reads_a_list_of_changes_line_by_line(old_board: VirtualBoard, name: str) -> None:
    before = hashes(old_board)
    with Board(old_board.device) as serial:
        serial.write_file("boot.py", (_ROOT / "boot.py").read_bytes())
        serial.write_file(f"/firmware/{name}", b"of nobody")
        serial.write_file("/e4.update", f"-firmware/{name}\n".encode())
    found = hashes(old_board)
    assert found.keys() == before.keys()
