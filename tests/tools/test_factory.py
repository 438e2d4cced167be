"""Factory mode: a table of names, one board after the other, a ledger, and interruptions at any point."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.keystore import KEY_FILE, make_store
from e4_tools.provisioning.factory import read_table
from e4_tools.provisioning.install import find_held_key
from e4_tools.provisioning.key_sources import KeyFolder, StoredKeys
from e4_tools.provisioning.label import write_label
from e4_tools.provisioning.ledger import BEGUN, ISSUED, Ledger
from e4_tools.virtual_board import VirtualBoard
from helpers.board_files import on_board
from helpers.boards import BoardMaker
from helpers.e4_process import E4, WIFI_PASSWORD, moments
from helpers.mosquitto import Mosquitto

_TABLE = "name,topics\none,\ntwo,rooms/2 doors/+\nthree,\n"
_OPTIONS = ("--keys", "keys", "--broker", "127.0.0.1:1", "--wifi", "virtual", "--topic", "all")
_STORED = ("--factory", "fleet.csv", "--in-store", "--wifi", "virtual", "--topic", "all")


@pytest.fixture
def tool(tmp_path: Path) -> E4:
    tool = E4(tmp_path / "factory")
    (tool.folder / "fleet.csv").write_text(_TABLE)
    return tool


def _command(*arguments: str) -> tuple[str, ...]:
    return ("provision", *arguments, "--factory", "fleet.csv", *_OPTIONS)


def _ledger(tool: E4) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tool.folder / "ledger.jsonl").read_text().splitlines()]


def _holds(board: VirtualBoard, key: bytes) -> bool:
    with Board(board.device, restart=False) as serial:
        return find_held_key(serial, {"the key": key}) is not None


def test_boards_get_names_in_turn_and_the_ledger_tells(make_board: BoardMaker, tool: E4) -> None:
    first, second = make_board("1"), make_board("2")
    said = json.loads(
        tool.run(*_command(), "--port", first.device, "--port", second.device, "--label", "labels", "--json")
    )
    assert [entry["name"] for entry in said["issued"]] == ["one", "two"] and said["left"] == ["three"]
    keys = {name: (tool.folder / "keys" / f"{name}.key").read_bytes() for name in ("one", "two")}
    assert _holds(first, keys["one"]) and _holds(second, keys["two"])
    assert on_board(second, "from firmware import config; print(config.load().topics)") == "['rooms/2', 'doors/+']"
    entries = [entry for entry in _ledger(tool) if entry["event"] == ISSUED]
    assert [(entry["name"], entry["id"]) for entry in entries] == [(n, e4.id_of(n).hex()) for n in ("one", "two")]
    assert entries[0]["key_fingerprint"] == fingerprint_text(keys["one"]) and len(entries[0]["mac"]) == 17
    assert (tool.folder / "ledger.jsonl").stat().st_mode & 0o777 == 0o600
    assert (tool.folder / "labels" / "two.svg").exists()
    for name, key in keys.items():
        assert tool.traces_of(key) == [str(tool.folder / "keys" / f"{name}.key")]
    assert tool.traces_of(WIFI_PASSWORD.encode()) == []


def test_a_prompt_asks_for_board_after_board(make_board: BoardMaker, tool: E4) -> None:
    (tool.folder / "build").mkdir()
    (tool.folder / "build" / "it.port").symlink_to(make_board().device)
    said = tool.run(*_command(), typed="\nq\n")
    assert "Plug in the board for one" in said and "one is issued" in said and "2 of 3 names are left" in said


def test_unknown_and_issued_names_and_known_boards_are_refused(make_board: BoardMaker, tool: E4) -> None:
    first, second = make_board("1"), make_board("2")
    assert "not in fleet.csv" in tool.run(*_command("four"), "--port", first.device, code=1)
    tool.run(*_command("two"), "--port", first.device)
    assert "issued already" in tool.run(*_command("two"), "--port", second.device, code=1)
    assert "is two" in tool.run(*_command("one"), "--port", first.device, code=1)
    assert "--replace" in tool.run(*_command("one"), "--port", first.device, code=1)
    tool.run(*_command("one"), "--port", first.device, "--replace")
    assert _holds(first, (tool.folder / "keys" / "one.key").read_bytes())


def test_a_board_that_others_provisioned_is_refused_before_a_name_is_used(make_board: BoardMaker, tool: E4) -> None:
    board, other = make_board("1"), make_board("2")
    tool.run("provision", "old", *_OPTIONS, "--port", board.device)
    assert "not by this ledger" in tool.run(*_command(), "--port", board.device, code=1)
    tool.run(*_command("one"), "--port", other.device)


def test_killed_at_any_point_the_same_command_finishes(make_board: BoardMaker, tool: E4) -> None:
    tool.run(*_command("one"), "--port", make_board("0").device)
    for index, seconds in enumerate(moments(4, 2.0)):
        board = make_board(str(index + 1))
        (tool.folder / "fleet.csv").write_text("name\n" + "\n".join(f"n{number}" for number in range(index + 1)))
        command = _command(f"n{index}")
        tool.kill(seconds, *command, "--port", board.device, board=board if index % 2 else None)
        issued = [entry for entry in _ledger(tool) if entry["name"] == f"n{index}" and entry["event"] == ISSUED]
        said = tool.run(*command, "--port", board.device, code=1 if issued else 0)
        assert not issued or "issued already" in said
        assert _holds(board, (tool.folder / "keys" / f"n{index}.key").read_bytes()), f"after {seconds} s"
    entries = [entry["name"] for entry in _ledger(tool) if entry["event"] == ISSUED]
    assert sorted(entries) == ["n0", "n1", "n2", "n3", "one"]
    assert len({path.read_bytes() for path in (tool.folder / "keys").glob("*.key")}) == 5


def test_a_name_that_was_begun_with_another_board_gets_another_key(make_board: BoardMaker, tool: E4) -> None:
    key = KeyFolder(tool.folder / "keys").key_of("one")
    with Ledger(tool.folder / "ledger.jsonl") as ledger:
        ledger.note(BEGUN, "one", "00:11:22:33:44:55", "unknown", key)
    board = make_board()
    assert "begun with board 00:11:22:33:44:55" in tool.run(*_command("one"), "--port", board.device, code=1)
    tool.run(*_command("one"), "--port", board.device, "--replace")
    assert not _holds(board, key) and _holds(board, KeyFolder(tool.folder / "keys").key_of("one"))


def test_more_boards_than_names_are_left(tool: E4) -> None:
    for names, complaint in (((), "2 boards and 1 name left"), (("three",), "all names of the list are issued")):
        with Ledger(tool.folder / "ledger.jsonl") as ledger:
            for name in names or ("one", "two"):
                ledger.note(ISSUED, name, "mac", "1", b"k" * 32)
        said = tool.run(*_command(), "--port", "/dev/none", "--port", "/dev/none-either", code=1)
        assert complaint in said and "nothing was done" in said


def test_a_ledger_line_that_a_crash_cut_short_is_dropped_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.note(BEGUN, "one", "mac", "1", b"k" * 32)
        ledger.note(ISSUED, "one", "mac", "1", b"k" * 32)
        with pytest.raises(ToolError, match="another process"), Ledger(path):
            pass
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Ledger(path) as ledger:
        assert ledger.issued_names() == set()
        ledger.note(ISSUED, "one", "mac", "1", b"k" * 32)
    assert path.read_bytes().count(b"\n") == 2
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(ToolError, match="line 1"), Ledger(path):
        pass


_ENTRY = (
    b'{"event": "issued", "time": "2026-01-02T03:04:05+00:00", "name": "one", "id": "%s", "mac": "aa:bb", '
    b'"firmware": "1 \\"x\\" \\u00e4", "key_fingerprint": "0011223344556677"}' % e4.id_of("one").hex().encode()
)


@pytest.mark.parametrize(
    "content",
    [
        bytes(range(200, 232)),
        b"k" * 31 + b"\n",
        b"name,topics\none,\ntwo,rooms/2",
        b"SQLite format 3\0" + bytes(4096),
        b"{}\n",
        b"{",
        b'{"event": "login", "time": "2026',
        b'{"event": "issued"}',
        b"[1]\n",
        b"[" * 5000,
        b"\n",
        _ENTRY + b"\n" + _ENTRY.replace(b"issued", b"lost") + b"\n",
        _ENTRY + b"\n" + _ENTRY[:-30] + b"\n" + _ENTRY + b"\n",
        _ENTRY + b"\n" + b"some other text",
        _ENTRY + b"\n" + _ENTRY[:60] + b"\0",
        _ENTRY + b"\n" + _ENTRY.replace(b'"aa:bb"', b"7"),
        _ENTRY.replace(b'"id": "', b'"id": "0'),
    ],
)
def test_a_file_that_is_no_ledger_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ToolError, match=r"no ledger: its line \d .*nothing was done"), Ledger(path):
        pass
    assert path.read_bytes() == content


def test_a_place_that_holds_no_regular_file_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("made")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (*(tmp_path / name for name in ("link", "dangling", "folder", "pipe")), Path("/dev/full")):
        with pytest.raises(ToolError, match="nothing was done"), Ledger(path):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "folder", "link", "pipe", "real"]
    assert (tmp_path / "real").read_bytes() == b"precious"


def test_a_last_line_that_is_cut_short_anywhere_costs_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for length in range(1, len(_ENTRY)):
        content = _ENTRY + b"\n" + _ENTRY[:length]
        path.write_bytes(content)
        with Ledger(path) as ledger:
            assert len(ledger.entries) == 1
        assert path.read_bytes() == content, "opening a ledger must not change it"
        with Ledger(path) as ledger:
            ledger.note(BEGUN, "two", "mac", "1", b"k" * 32)
        lines = path.read_bytes().split(b"\n")
        assert lines[0] == _ENTRY and json.loads(lines[1])["name"] == "two" and lines[2:] == [b""]
    path.write_bytes(_ENTRY)  # Only the newline is missing, so the entry counts.
    with Ledger(path) as ledger:
        assert ledger.issued_names() == {"one"}
        ledger.note(BEGUN, "two", "mac", "1", b"k" * 32)
    assert path.read_bytes().startswith(_ENTRY + b"\n{")
    path.write_bytes(_ENTRY[:40])  # The first line of all was cut short.
    with Ledger(path) as ledger:
        assert ledger.entries == []


def test_a_disk_that_gets_full_leaves_the_ledger_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(path) as ledger:
        ledger.note(BEGUN, "one", "mac", "1", b"k" * 32)
        whole = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, before[1]))
        try:
            with pytest.raises(ToolError, match="cannot be written: File too large"):
                ledger.note(ISSUED, "one", "mac", "1", b"k" * 32)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == whole and ledger.issued_names() == set()
        ledger.note(ISSUED, "one", "mac", "1", b"k" * 32)
    with Ledger(path) as ledger:
        assert [entry.event for entry in ledger.entries] == [BEGUN, ISSUED]


def test_options_that_name_a_wrong_file_destroy_nothing(tool: E4) -> None:
    KeyFolder(tool.folder / "keys").key_of("one")
    key, table = tool.folder / "keys" / "one.key", tool.folder / "fleet.csv"
    table.write_text("name,topics\none,\ntwo,x")
    before = key.read_bytes(), table.read_bytes()
    for path in (key, table):
        said = tool.run(*_command(), "--ledger", str(path), "--port", "/dev/none", code=1)
        assert "is no ledger" in said and "nothing was done" in said
        said = tool.run("provision", "one", *_OPTIONS, "--label", str(path), "--port", "/dev/none", code=1)
        assert "is no label" in said and "nothing was done" in said
    assert (key.read_bytes(), table.read_bytes()) == before


def test_a_label_gives_way_to_a_label_only(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "one.svg"
    write_label(path, "one")
    first = path.read_bytes()
    write_label(path, "two")
    assert b">two<" in path.read_bytes() and path.read_bytes() != first
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(ToolError, match="File too large"):
            write_label(path, "three")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert b">two<" in path.read_bytes()
    for content in (b"", b"<svg>a drawing</svg>"):
        path.write_bytes(content)
        with pytest.raises(ToolError, match="is no label"):
            write_label(path, "one")
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("topics\na\n", "first line"),
        ("name,colour\na,red\n", "first line"),
        ("name\na\na\n", "line 3"),
        ("name\n\nx,y\n", "line"),
        ("name,topics\na,b,c\n", "too many columns"),
        ("name\n" + "x" * 300 + "\n", "line 2"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, table: str, complaint: str) -> None:
    path = tmp_path / "fleet.csv"
    path.write_text(table)
    with pytest.raises(ToolError, match=complaint):
        read_table(path)


def test_names_that_files_cannot_have_stay_in_their_folder(tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    names = ["../out", "a/b", "..", "ä", "A"]
    assert len({keys.key_of(name) for name in names}) == 5
    assert [path.parent for path in tmp_path.rglob("*.key")] == [tmp_path / "keys"] * 5
    keys.path_of("A").write_bytes(b"short")
    with pytest.raises(ToolError, match="not the 32 bytes"):
        keys.key_of("A")


def test_boards_issued_into_the_key_store_obey_its_commands(
    mosquitto: Mosquitto, make_board: BoardMaker, tmp_path: Path
) -> None:
    key_file = tmp_path / "store.key"
    key_file.touch(0o600)
    key_file.write_bytes(b"k" * 32)
    where = {"E4_STORE": str(tmp_path / "fleet.db"), "E4_KEYFILE": str(key_file)}
    tool = E4(tmp_path / "factory", **where)
    (tool.folder / "fleet.csv").write_text(_TABLE)
    broker = f"127.0.0.1:{mosquitto.port}"
    board = make_board("1")
    tool.run("topic", "add", "all")
    tool.run("provision", *_STORED, "--broker", broker, "--port", board.device)
    with BoardConsole("one", board.device) as console:
        # The board has printed its first lines before the console was opened. It starts once more, so that we see them.
        board.cut_power()
        board.power_on()
        console.expect("> subscribed to MQTT topic all", 60)
        tool.run("grant", "one", "all", "--broker", broker)
        tool.run("send", "all", "hello, one", "--broker", broker)
        console.expect("hello, one")
    assert [client["name"] for client in json.loads(tool.run("client", "list", "--json"))["clients"]] == ["one"]
    missing = ("provision", "--factory", "fleet.csv", "--wifi", "w", "--broker", "b")
    assert "--in-store or --keys" in tool.run(*missing, code=2)


def test_a_name_begun_with_another_board_gets_another_key_in_the_store_too(tmp_path: Path) -> None:
    store = make_store(str(tmp_path / "fleet.db"), KEY_FILE, b"k" * 32)
    keys = StoredKeys(store)
    first = keys.key_of("one")
    assert keys.key_of("one") == first
    second = keys.key_of("one", renew=True)
    assert second != first and set(keys.known_keys("one")) == {first, second}
    keys.note_proof("one", second)
    assert keys.known_keys("one") == [second]
