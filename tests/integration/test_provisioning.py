"""Deploying and provisioning: what is on the board afterwards, and that a repetition loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fleet import BoardMaker, config_for

import e4
from e4_tools.boards import Board
from e4_tools.deploy import deploy
from e4_tools.errors import ToolError
from e4_tools.provisioning import provision
from e4_tools.virtual_board import VirtualBoard

_KEY = b"0123456789abcdef0123456789ABCDEF"
_OTHER = b"fedcba9876543210FEDCBA9876543210"

_GIVE_TOPIC_KEY = """
import e4
from firmware import provision, config
client = provision._client(config.KEYS_PATH, config.load())
client._clock = lambda: 1774894944
client.unprotect(e4.protect(e4.commands.set_topic_key(b"t" * 32, "topic"), {key!r}, 1774894944), client.receiving_topic)
"""
_HOLDS_TOPIC_KEY = """
from firmware import provision, config
print(provision._client(config.KEYS_PATH, config.load()).holds_key("topic"))
"""


def _run(board: VirtualBoard, code: str) -> str:
    with Board(board.device, restart=False) as serial:
        return serial.run(code, "a test").strip()


def test_compiled_modules_are_deployed_and_older_sources_removed(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        serial.write_file("lib/e4/siv.py", b"raise SystemError('an old version')\n")
    deploy(board.device)
    files = _run(board, "import os; print(*os.listdir('/lib/e4'), *os.listdir('/firmware'), *os.listdir('/'))").split()
    assert "siv.mpy" in files and "siv.py" not in files
    assert "node.mpy" in files and "main.py" in files
    assert _run(board, "import e4.blocks; print(e4.blocks.BACKEND)") == "viper"


def test_deploying_keeps_keys_and_configuration(make_board: BoardMaker) -> None:
    board = make_board()
    provision(board.device, config_for("alice", 1), _KEY)
    deploy(board.device)
    assert _run(board, "from firmware import provision, config; print(config.load().name)") == "alice"
    provision(board.device, config_for("alice", 1), _KEY)


def test_provisioning_again_with_the_same_key_keeps_what_was_learnt(make_board: BoardMaker) -> None:
    board = make_board()
    provision(board.device, config_for("alice", 1), _KEY)
    _run(board, _GIVE_TOPIC_KEY.format(key=_KEY))
    provision(board.device, config_for("alice", 2, topics=["elsewhere"]), _KEY)
    assert _run(board, _HOLDS_TOPIC_KEY) == "True"
    assert _run(board, "from firmware import config; print(config.load().port, config.load().topics)") == (
        "2 ['elsewhere']"
    )


def test_another_key_or_name_needs_replace(make_board: BoardMaker) -> None:
    board = make_board()
    provision(board.device, config_for("alice", 1), _KEY)
    _run(board, _GIVE_TOPIC_KEY.format(key=_KEY))
    for name, key in (("alice", _OTHER), ("bob", _KEY)):
        with pytest.raises(ToolError, match="--replace"):
            provision(board.device, config_for(name, 1), key)
        assert _run(board, _HOLDS_TOPIC_KEY) == "True"
        assert _run(board, "from firmware import config; print(config.load().name)") == "alice"
    provision(board.device, config_for("bob", 1), _OTHER, replace=True)
    assert _run(board, _HOLDS_TOPIC_KEY) == "False"


def test_a_board_without_our_files_is_told_apart(tmp_path: Path, deployed_image: Path) -> None:
    with VirtualBoard(tmp_path / "empty.flash") as board, pytest.raises(ToolError, match="deploy them first"):
        provision(board.device, config_for("alice", 1), _KEY)


def test_a_wrong_configuration_changes_nothing(make_board: BoardMaker) -> None:
    board = make_board()
    with pytest.raises(ToolError, match="topics"):
        provision(board.device, config_for("alice", 1, topics=None), _KEY)
    assert "e4.keys" not in _run(board, "import os; print(os.listdir('/'))")


def test_no_error_shows_the_key_or_a_password(make_board: BoardMaker) -> None:
    board = make_board()
    provision(board.device, config_for("alice", 1), _KEY)
    for config in (config_for("bob", 1), config_for("alice", 1, topics=None)):
        with pytest.raises(ToolError) as caught:
            provision(board.device, config, _OTHER)
        for secret in (_OTHER.hex(), _KEY.hex(), "virtual-wifi"):
            assert secret not in str(caught.value)


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(ToolError, match="nothing was changed"):
        deploy("/dev/no-such-port")


def test_the_command_line(make_board: BoardMaker) -> None:
    board = make_board()
    environment = {"PATH": "/usr/bin:/bin", "E4_KEY": _KEY.hex(), "WIFI_PASSWORD": "virtual-wifi"}
    options = ["--port", board.device, "--broker", "127.0.0.1:1", "--topic", "/e4go/demo/messages"]
    command = [sys.executable, "-m", "e4_tools.cli", "provision", "alice", "--wifi", "virtual", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert e4.receiving_topic(e4.id_of("alice")) in done.stdout
    assert _KEY.hex() not in done.stdout + done.stderr
    another = {**environment, "E4_KEY": _OTHER.hex()}
    done = subprocess.run(command, env=another, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--replace" in done.stderr
