"""The commands of docs/packages.md bring a virtual board to life, as they stand there, and C2 commands it.

Only the addresses are changed, and `mpremote` is told where the board is, because it looks for USB devices.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import e4
from e4_tools.board.compile import Target
from e4_tools.dev.mip_index import build_index
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.provisioning.install import SET_UP_BOARD, provision_at
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError, find_micropython
from helpers.board_files import on_board
from helpers.boards import KEY, ROOT, BoardMaker, config_for
from helpers.mosquitto import Mosquitto
from helpers.mpremote import environment_with_board, mpremote, serve
from helpers.operator import Operator
from helpers.terminal import Terminal

_DOCUMENT = (ROOT / "docs" / "packages.md").read_text()
_INDEX = "http://192.0.2.20:8000"
_BROKER = "192.0.2.10"
_WIFI_PASSWORD = "virtual-wifi"  # noqa: S105 (the access point does not exist)
_RUN = "mpremote run --no-follow set_up_board.py repl"
_WITH_KEYS = """
import e4
store = e4.FileStore("/e4.keys")
client = e4.Client(e4.id_of("alice"), None, store, None)
print(client.prove_key(b"nonce").hex(), open("/e4.json").read())
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index for virtual boards."""
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"no virtual board: {error}")
    folder = tmp_path_factory.mktemp("index")
    build_index(folder, [Target("x64", 63, True)])
    with serve(folder) as address:
        yield address


def _commands(part: str, first_word: str) -> list[str]:
    """Return the block of commands in a part of the document that begins with a word."""
    section = _DOCUMENT.split(f"## {part}\n", 1)[1].split("\n## ", 1)[0]
    blocks = [block.splitlines() for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]
    found = [block for block in blocks if block[0].split()[0] == first_word]
    assert len(found) == 1
    return [line.strip() for line in found[0]]


def _get_files(folder: Path, index: str) -> None:
    """Get the three files from the index that the document names."""
    for name in ("boot.py", "main.py", "set_up_board.py"):
        with urllib.request.urlopen(f"{index}/{name}") as answer:  # noqa: S310 (a server on this machine)
            (folder / name).write_bytes(answer.read())


def _answer_settings(terminal: Terminal, broker: str, more: str = "") -> None:
    terminal.answer("Name of the board: ", "alice")
    terminal.answer("WiFi network: ", "virtual")
    terminal.answer("WiFi password (not shown; empty: an open network): ", _WIFI_PASSWORD)
    terminal.answer("Broker, as HOST or HOST:PORT: ", broker)
    terminal.answer("User at the broker (empty: none): ", "")
    terminal.answer("CA certificate of the broker, as a path on the board (empty: no TLS): ", "")
    terminal.answer("Topic to subscribe to (empty: no more): ", "sensors/lab")
    terminal.answer("Topic to subscribe to (empty: no more): ", "")
    terminal.answer("(empty: none): ", more)


def test_a_board_comes_to_life_with_nothing_but_mpremote(tmp_path: Path, index: str, mosquitto: Mosquitto) -> None:
    operator = Operator(tmp_path, mosquitto.port)
    _get_files(tmp_path, index)
    commands = [line.replace(_INDEX, index) for line in _commands("With nothing but mpremote", "mpremote")]
    assert commands[-1] == _RUN
    with VirtualBoard(tmp_path / "bare.flash") as board:
        environment = environment_with_board(tmp_path, board)
        for command in commands[:-1]:
            subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, check=True, capture_output=True)
        with Terminal(["/bin/sh", "-c", _RUN], tmp_path, environment) as terminal:
            _answer_settings(terminal, f"{HOST}:{mosquitto.port}")
            terminal.answer("ID key, 64 hexadecimal digits (not shown; empty: the board makes one): ", "")
            key = bytes.fromhex(terminal.expect(r"^[0-9a-f]{64}")[0])
            assert key != bytes(32) and _WIFI_PASSWORD not in terminal.shown
            terminal.press("\r")
            # The line with the key is erased, and the key is not shown again.
            terminal.expect(r"\r\x1b\[2K\s+alice is set up and starts")
            terminal.expect("connected")
            for command in _commands("With nothing but mpremote", "e4"):
                words = command.replace(_BROKER, f"{HOST}:{mosquitto.port}").split()
                operator.text(*words[1:], E4_KEY=key.hex())
            terminal.expect(r"^< unprotected message:\s*$")  # The command has been applied.
            operator.text("send", "sensors/lab", "hello")
            terminal.expect("^< unprotected message: hello")
            terminal.press("\x1d")
            assert terminal.wait() == 0
            assert terminal.shown.count(key.hex()) == 1
        proof, config = on_board(board, _WITH_KEYS).split(" ", 1)
        assert bytes.fromhex(proof) == e4.proof_of_key(key, b"nonce")
        assert key.hex() not in config


@pytest.fixture
def set_up(make_board: BoardMaker, tmp_path: Path) -> Iterator[tuple[VirtualBoard, Callable[[], Terminal]]]:
    """A board with our files, and a function that runs the program for it at a terminal."""
    board = make_board()
    (tmp_path / SET_UP_BOARD.name).write_bytes(SET_UP_BOARD.read_bytes())
    environment = environment_with_board(tmp_path, board)
    with ExitStack() as stack:
        yield board, lambda: stack.enter_context(Terminal(["/bin/sh", "-c", _RUN], tmp_path, environment))


def _end(terminal: Terminal, text: str) -> None:
    """Wait for a text, and leave `mpremote`."""
    terminal.expect(text)
    terminal.press("\x1d")
    assert terminal.wait() == 0


def _identity(board: VirtualBoard) -> tuple[str, dict[str, Any]]:
    """Return a proof of the board's ID key, and its configuration."""
    proof, config = on_board(board, _WITH_KEYS).split(" ", 1)
    return proof, json.loads(config)


def test_what_is_typed_is_checked_and_not_shown(set_up: tuple[VirtualBoard, Callable[[], Terminal]]) -> None:
    board, start = set_up
    terminal = start()
    _answer_settings(terminal, "127.0.0.1:port", '{"watchdog": 5}')
    for entry in ("broker.port", "watchdog"):
        terminal.expect(f'"{entry}" is not a number')
    _answer_settings(terminal, "127.0.0.1:1", "[]")
    terminal.expect("no JSON object")
    _answer_settings(terminal, "127.0.0.1:1", '{"watchdog": 30, "broker": {"ca": "/e4.ca"}}')
    terminal.expect("there is no /e4.ca on the board")
    _answer_settings(terminal, "127.0.0.1:1", '{"watchdog": 30, "broker": {"keepalive": 30}}')
    for key in ("00" * 32, "abc", KEY.hex()):
        terminal.answer("ID key, 64 hexadecimal digits (not shown; empty: the board makes one): ", key)
    _end(terminal, "alice is set up and starts")
    assert KEY.hex() not in terminal.shown and _WIFI_PASSWORD not in terminal.shown
    assert _identity(board) == (
        e4.proof_of_key(KEY, b"nonce").hex(),
        {
            "name": "alice",
            "wifi": {"ssid": "virtual", "password": _WIFI_PASSWORD},
            "broker": {"host": HOST, "port": 1, "keepalive": 30},
            "topics": ["sensors/lab"],
            "watchdog": 30,
        },
    )


def test_a_board_gives_up_its_keys_only_when_it_is_told_so(
    set_up: tuple[VirtualBoard, Callable[[], Terminal]],
) -> None:
    board, start = set_up
    provision_at(board.device, config_for("alice", 1), KEY)
    before = _identity(board)
    terminal = start()
    _answer_settings(terminal, "127.0.0.1:2")
    terminal.answer("The board holds an ID key of alice. Keep it (yes or no): ", "no")
    terminal.answer('Type "forget"', "")
    terminal.expect('Type "forget"')
    terminal.press("\x03")
    _end(terminal, "nothing was changed")
    assert _identity(board) == before
    terminal = start()
    _answer_settings(terminal, "127.0.0.1:2")
    terminal.answer("Keep it (yes or no): ", "yes")
    _end(terminal, "alice is set up and starts")
    assert _identity(board)[0] == before[0] and _identity(board)[1]["broker"]["port"] == 2
    terminal = start()
    _answer_settings(terminal, "127.0.0.1:2")
    terminal.answer("Keep it (yes or no): ", "no")
    terminal.answer('Type "forget"', "forget")
    terminal.answer("the board makes one): ", KEY[::-1].hex())
    _end(terminal, "alice is set up and starts")
    assert _identity(board)[0] == e4.proof_of_key(KEY[::-1], b"nonce").hex()


def test_without_a_keyboard_the_program_says_how_it_is_run(make_board: BoardMaker) -> None:
    printed = mpremote(make_board(), "run", str(SET_UP_BOARD))
    assert "Nothing was changed" in printed and _RUN in printed
