"""Boards that answer what no board of ours answers: they must not steer a terminal, end a command, or fill memory."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from e4_tools.board.answers import Entries, OrNone, accept
from e4_tools.board.board_code import CHANGE_FILES, DESCRIBE_LOADER, read_result
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board, BoardError, GarbledResult
from e4_tools.errors import NoMicroPython, PortError, ToolError
from helpers.boards import BoardMaker
from helpers.e4_process import E4
from helpers.hostile_board import HostileBoard

# It writes to the clipboard, sets the title, clears the screen (7-bit and 8-bit forms), moves the cursor up, turns the
# order of letters around, begins other lines, and is no UTF-8.
_EVIL = (
    "\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x1b\\\x1b[2J\x9b2J\x1b[1A\r\b\x7f\u202eevil\u2028line\u0085\nproblem  none\x00"
)
_BYTES = _EVIL.encode() + b"\xff\xfe\x9b2J"


def _printed(value: object) -> bytes:
    return f"[{value!a}]\r\n".encode()


_BOARD: dict[str, Any] = {
    "machine": "Board with ESP32",
    "micropython": "1.27.0",
    "heap_free": 160000,
    "provisioned": False,
    "ours": True,
    "version": "0.1.0",
    "mac": "aa:bb",
    "flash_size": 2**21,
    "flash_free": 2**20,
}
_NODE = {"backend": "viper", "problems": [], "name": "alice", "topics": ["a"], "topics_with_key": ["a"], "broker": "b"}
_LOADER = (10 << 10 | 3 << 8 | 6, 0x3FFFFFFF)
_HONEST = {
    "describe_board": _printed(_BOARD),
    "describe_node": _printed(_NODE),
    "describe_loader": _printed(_LOADER),
    "compare_files": _printed(({}, 4096, 300)),
    "overwrite_identity": _printed([b"e4.keys"]),
    "holds": _printed(False),
    "prove": _printed("00" * 32),
}
_EVIL_EVERYWHERE = {
    **_HONEST,
    "describe_board": _BYTES
    + b"\n"
    + _printed({**_BOARD, "machine": _EVIL, "micropython": _EVIL, "version": _EVIL, "mac": _EVIL, _EVIL: _EVIL}),
    "describe_node": _printed(
        {name: [_EVIL] if isinstance(value, list) else _EVIL for name, value in _NODE.items()}
        | {"receiving_topic": _EVIL}
    ),
    "compare_files": _printed(({f"/firmware/{_EVIL}.py": _EVIL, f"/lib/e4/{_EVIL}.py.new": _EVIL}, 4096, 300)),
    "overwrite_identity": _printed([_BYTES]),
}


def _is_safe(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def _tool(folder: Path, **environment: str) -> E4:
    (folder / "keys").mkdir()
    return E4(folder / "e4", E4_BROKER_PASSWORD="p", E4_KEY="11" * 32, **environment)  # noqa: S106 (of no broker)


_PROVISION = ("provision", "alice", "--broker", "b", "--wifi", "w", "--topic", "t")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("status",), 0),
        (("deploy", "--dry-run"), 0),
        (("wipe", "--yes", "--fill"), 0),
        (("console", "--seconds", "1"), 0),
        (("reset",), 0),
        ((*_PROVISION, "--deploy"), 1),
        (_PROVISION, 1),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else "",
)
def test_no_command_lets_a_board_steer_the_terminal(tmp_path: Path, command: tuple[str, ...], code: int) -> None:
    tool = _tool(tmp_path)
    answers = {**_EVIL_EVERYWHERE, "fill_free_blocks": _BYTES.replace(b"\x04", b"")}
    raises = {"write_identity": b"Traceback\r\n" + _BYTES.replace(b"\n", b"") + b"\r\n"}
    if "--deploy" in command:
        raises["remove_files"] = _BYTES.replace(b"\n", b"")
    with HostileBoard(answers, raises, console=_BYTES + b"\r\n") as board:
        for options in ((), ("--json",)):
            said = tool.run(*command, "--port", board.device, *options, code=code)
            assert _is_safe(said), repr(said)
            assert "evil" in said or command[0] in ("reset", "wipe")
    if command[0] in ("status", "console"):  # What has more than one line cannot forge a line of the report.
        assert not [line for line in said.splitlines() if line.startswith("problem  none")]


def test_ports_names_a_board_safely(tmp_path: Path) -> None:
    tool = _tool(tmp_path)
    with HostileBoard(_EVIL_EVERYWHERE) as board:
        (tool.folder / "build").mkdir()
        (tool.folder / "build" / "\x1b]0;t\x07\n.port").symlink_to(board.device)
        said = tool.run("ports")
        assert _is_safe(said) and "evil" in said and len(said.splitlines()) == 1
        assert _is_safe(tool.run("ports", "--json"))


def test_a_proof_over_the_serial_port_is_not_a_way_in(tmp_path: Path) -> None:
    tool = _tool(tmp_path, E4_PASSPHRASE="a long secret", E4_STORE=str(tmp_path / "fleet.db"))  # noqa: S106
    tool.run("client", "add", "alice", "--ask")
    for answers, raises in (
        ({"prove": _printed(_EVIL)}, {}),
        ({"prove": _printed(["00"])}, {}),
        ({}, {"prove": _BYTES}),
    ):
        with HostileBoard(answers, raises) as board:
            said = tool.run("client", "confirm", "alice", "--port", board.device, code=4 if answers else 1)
            assert _is_safe(said) and "Traceback" not in said


_WRONG: list[bytes] = [
    b"",
    b"no result\r\n",
    b"[" * 100_000 + b"]" * 100_000,
    b"[" + b"-" * 50_000 + b"1]",
    b"[" + b"9" * 10_000 + b"]",
    b"['\\d']",
    b"\xff\xfe[1]\xff",
    _printed(None),
    _printed(_EVIL),
    _printed([]),
    _printed({}),
    _printed([1, 2, 3, 4]),
    _printed(-1),
    _printed({1: 2}),
    _printed({name: _EVIL for name in (*_BOARD, *_NODE)}),
    _printed({name: [[[["deep"]]]] for name in (*_BOARD, *_NODE)}),
    _printed({**_BOARD, "heap_free": True}),
    _printed({**_BOARD, "flash_size": -4096}),
    _printed(({}, 0, 0)),
    _printed(({"/firmware/x.py": 5}, 4096, 1)),
]


@pytest.mark.parametrize("wrong", _WRONG, ids=lambda wrong: repr(wrong[:30]))
def test_an_answer_that_was_not_expected_is_an_error_that_says_so(wrong: bytes, tmp_path: Path) -> None:
    tool = _tool(tmp_path)
    for function, command in (
        ("describe_board", ("status",)),
        ("describe_node", ("status",)),
        ("describe_loader", ("deploy",)),
        ("compare_files", ("deploy",)),
        ("overwrite_identity", ("wipe", "--yes")),
        ("holds", ("provision", "alice", "--broker", "b", "--wifi", "w", "--topic", "t", "--in-store")),
    ):
        if wrong == _printed([]) and function == "overwrite_identity":
            continue  # This is an answer: nothing was there.
        with HostileBoard({**_HONEST, function: wrong}) as board:
            options = ("--json", "--port", board.device)
            said = tool.run(*command, *options, code=4) if "--in-store" not in command else ""
        if said:
            error = json.loads(said)["error"]
            assert "Traceback" not in said and ("was not expected" in error or "no bytes" in error), said


def test_an_entry_that_nobody_knows_is_no_obstacle(tmp_path: Path) -> None:
    later = {"describe_board": _printed({**_BOARD, "later": 1}), "describe_node": _printed({**_NODE, "later": [None]})}
    with HostileBoard({**_HONEST, **later}) as board:
        said = json.loads(_tool(tmp_path).run("status", "--port", board.device, "--json"))
    assert said["mac"] == "aa:bb" and said["node"]["name"] == "alice" and "later" not in said


def test_one_board_does_not_end_ports_for_the_others(make_board: BoardMaker, tmp_path: Path) -> None:
    tool, good = _tool(tmp_path), make_board()
    with (
        HostileBoard({"describe_board": _printed({**_BOARD, "heap_free": "much"})}) as one,
        HostileBoard({"describe_board": b"[" * 1000}) as two,
        HostileBoard(raises={"describe_board": b"MemoryError: \x1b[2J\r\n"}) as three,
    ):
        lines = tool.run("ports", one.device, good.device, two.device, three.device).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [one.device, good.device, two.device, three.device]
    assert "was not expected: heap_free in the answer is of the type str" in lines[0]
    assert "ESP32, MicroPython" in lines[1]
    assert "was not expected" in lines[2] and "MemoryError: \\x1b[2J" in lines[3]


def test_an_answer_without_end_is_cut_off() -> None:
    with (
        HostileBoard({"describe_loader": b"x" * 300_000}) as board,
        Board(board.device, restart=False) as serial,
        pytest.raises(GarbledResult, match="more than 262144 bytes"),
    ):
        serial.ask(DESCRIBE_LOADER, "describe_loader", shape=int, doing="a test")


def test_a_board_that_never_stops_sending_is_given_up() -> None:
    with HostileBoard(console=b"busy " * 5000) as board:
        begin = time.monotonic()
        with Board(board.device, brief=True) as serial:
            assert serial.run("print(1)", "a test") == ""
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (b"R\x01\x10\x00\x1b[2Jsecret", "the board did not take the code as MicroPython does"),
        (b"R\x00\x1b[2Jsecret", "the board did not take the code as MicroPython does"),
        # These never end. The first lets the host send nothing at a time. Whether so many bytes come within the second
        # of the last one depends on the machine.
        (b"R\x01\x00\x00\x01", "it was not done after 1 s"),
        (b"\x1b[2Jsecret", "it was not done after 1 s"),
        (b"R\x01\xff\xff\x01", "it was not done after 1 s|more than 262144 bytes"),
    ],
    ids=repr,
)
def test_a_board_that_does_not_take_code_is_given_up(
    refusal: bytes, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("E4_BOARD_SECONDS", "8")
    with HostileBoard(refusal=refusal) as board, Board(board.device, restart=False, brief=True) as serial:
        with pytest.raises(PortError, match=said) as caught:
            serial.run("print('secret code')", "a test")
        assert "secret" not in str(caught.value) and _is_safe(str(caught.value))
        assert not isinstance(caught.value, BoardError)
    with (
        HostileBoard(refusal=refusal) as board,
        Board(board.device, restart=False, brief=True) as serial,
        pytest.raises(PortError, match=r"could not be reset .*; press its button"),
    ):
        serial.reset()
    assert capfd.readouterr() == ("", "")


def test_what_is_no_prompt_is_not_shown(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("e4_tools.board.raw_repl._BRIEF_STOP_SECONDS", (0.2, 0.2))
    end, its = os.openpty()
    os.write(end, _BYTES)
    with pytest.raises(NoMicroPython, match=r"interrupted 2 times"):
        Board(os.ttyname(its), brief=True).__enter__()
    os.close(end)
    os.close(its)
    assert capfd.readouterr() == ("", "")


def test_a_slow_board_is_given_time_and_a_silent_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E4_BOARD_SECONDS", "2")
    with HostileBoard(_HONEST, seconds=1.2) as board, Board(board.device, restart=False) as serial:
        assert serial.ask(DESCRIBE_LOADER, "describe_loader", shape=(int, int), doing="a test") == _LOADER
    with (
        HostileBoard(_HONEST, seconds=30) as board,
        Board(board.device, restart=False) as serial,
        pytest.raises(PortError, match=r"importing: no answer .* came for 2 s; .*E4_BOARD_SECONDS, now 2\)"),
    ):
        serial.ask(DESCRIBE_LOADER, "describe_loader", shape=(int, int), doing="importing")
    monkeypatch.setenv("E4_BOARD_SECONDS", "3")
    with HostileBoard(_HONEST, seconds=2.2) as board, Board(board.device, restart=False) as serial:
        assert serial.ask(DESCRIBE_LOADER, "describe_loader", shape=(int, int), doing="a test") == _LOADER
    for wrong in ("soon", "0", "-1", "nan", "1e9"):
        monkeypatch.setenv("E4_BOARD_SECONDS", wrong)
        with pytest.raises(ToolError, match="E4_BOARD_SECONDS is"):
            Board("/dev/null").__enter__()


def test_signs_of_life_keep_a_step_going(make_board: BoardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    device = make_board().device
    monkeypatch.setenv("E4_BOARD_SECONDS", "2")
    alive = "import time\nfor _ in range(8):\n    print('.', end='')\n    time.sleep(0.5)"
    with Board(device, restart=False) as serial:
        assert serial.run(alive, "a test") == "." * 8
        with pytest.raises(PortError, match="nothing came for 2 s"):
            serial.run("import time; time.sleep(60)", "waiting")
        # What still runs on the board is interrupted first, so that the next step is not answered by it.
        assert serial.run("print(1)", "a test") == "1\r\n"
        assert serial.ask(CHANGE_FILES, "digests", [], shape=(), doing="a test") == ()


def test_the_error_of_a_board_is_its_last_line_and_safe() -> None:
    with (
        HostileBoard(raises={"x": _BYTES * 100 + b"\r\nValueError: \x1b[2J" + b"!" * 5000 + b"\r\n"}) as board,
        Board(board.device, restart=False) as serial,
        pytest.raises(BoardError) as caught,
    ):
        serial.run("x", "a test")
    assert caught.value.reply.startswith("ValueError: \\x1b[2J!!!") and len(str(caught.value)) < 1000


def test_a_shape_says_what_is_accepted() -> None:
    entries = Entries({"a": int}, {"b": [str]})
    assert accept({"a": 1, "c": object()}, entries) == {"a": 1}
    assert accept({"a": 1, "b": ["x"]}, entries) == {"a": 1, "b": ["x"]}
    assert accept((1, {"x": "y"}), (int, {str: str})) == (1, {"x": "y"})
    assert accept(None, OrNone(str)) is None
    for value, shape in (
        ({}, entries),
        ({"a": 1, "b": [1]}, entries),
        ((1,), (int, int)),
        ([1, 2], (int, int)),
        ({1: "x"}, {str: str}),
        (True, int),
        (-1, int),
        (2**65, int),
        (1, bool),
        (1, OrNone(str)),
    ):
        with pytest.raises(ValueError):
            accept(value, shape)


def test_the_console_keeps_the_last_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e4_tools.board.console._KEPT_LINES", 100)
    monkeypatch.setattr("e4_tools.board.console._LONGEST_LINE", 10_000)
    lines = b"".join(b"line %d\r\n" % number for number in range(500))
    with HostileBoard(console=lines) as board, BoardConsole("board", board.device) as console:
        assert console.expect("line 499") == "line 499"
        assert len(console.lines) <= 100 and console.forgotten >= 400
        assert console.lines[-1].startswith("line ")
    with HostileBoard(console=b"x" * 30_000) as board, BoardConsole("board", board.device) as console:
        assert len(console.expect("xxx")) < 15_000


def test_colours_are_left_out_and_escapes_shown(tmp_path: Path) -> None:
    said = b"\x1b[0;32mI (31) wifi: up\x1b[0m\t\xc3\xbc\r\n\x1b\x1b[0m]0;title\x07\r\n"
    with HostileBoard(console=said) as board:
        shown = _tool(tmp_path).run("console", "--seconds", "1", "--port", board.device)
        assert "I (31) wifi: up\tü\n\\x1b]0;title\\x07\n" in shown
        assert "--raw" in E4(tmp_path / "e4").run("console", "--raw", "--json", "--port", board.device, code=2)


def test_raw_passes_bytes(tmp_path: Path) -> None:
    with HostileBoard(console=b"\x1b[2Jall \x9b of it") as board:
        running = _tool(tmp_path).start("console", "--raw", "--seconds", "2", "--port", board.device)
        assert running.wait(20) == 0 and running.stdout is not None
        assert b"\x1b[2Jall \x9b of it" in os.read(running.stdout.fileno(), 65536)


def test_a_letter_that_a_terminal_does_not_have_ends_nothing(tmp_path: Path) -> None:
    tool = _tool(tmp_path, PYTHONIOENCODING="latin-1")
    with HostileBoard(console="1 \u2192 2\r\n".encode()) as board:
        assert "1 \\u2192 2" in tool.run("console", "--seconds", "1", "--port", board.device)


def test_a_result_is_no_program() -> None:
    for text in ("[__import__('os')]", "[open('/etc/passwd')]", "['\\N{BULLET}']", "[\x1b]"):
        with pytest.raises(ValueError):
            read_result(text)
