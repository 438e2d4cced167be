"""Searches for secrets in command lines, output, logs, temporary files and the key store while `e4` works."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest

from e4_tools.keystore import open_store
from e4_tools.keystore.models import IdKeyRow, TopicRow
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.virtual_board import VirtualBoard
from helpers.boards import BoardMaker
from helpers.e4_process import E4, WIFI_PASSWORD
from helpers.mosquitto import Mosquitto
from helpers.secret_search import command_lines, found_in

_ID_KEY, _TOPIC_KEY = bytes(range(7, 39)), bytes(range(160, 192))
_PASSPHRASE = "the passphrase of the store"  # noqa: S105 (only of this test)
_BROKER_PASSWORD = "the password at the broker"  # noqa: S105 (only of this test)


@pytest.fixture
def tool(tmp_path: Path, mosquitto: Mosquitto) -> E4:
    """`e4` in the home of a user. The broker writes its log, with all that it can log, and its database there too."""
    home = tmp_path / "home"
    environment = {
        "E4_BROKER": f"{HOST}:{mosquitto.port}",
        "E4_PASSPHRASE": _PASSPHRASE,
        "E4_KEY": _ID_KEY.hex(),
        "E4_KEY_ALICE": _ID_KEY.hex(),
        "E4_BROKER_USER": "operator",
        "E4_BROKER_PASSWORD": _BROKER_PASSWORD,
    }
    tool = E4(home, **environment)
    mosquitto.configure(
        f"log_dest file {home}/broker.log\nlog_type all\npersistence true\npersistence_location {home}/\n"
        "autosave_interval 1\nautosave_on_changes true"
    )
    return tool


def _keys(tool: E4) -> set[bytes]:
    """Return all keys that are in the store now."""
    store = open_store(str(tool.folder / ".local/share/e4/e4-store.db"), lambda kind: _PASSPHRASE.encode())
    with store.transaction() as session:
        rows = [(row.key, row.place) for row in session.query(IdKeyRow)]
        for topic in session.query(TopicRow):
            rows.append((topic.key, topic.place("key")))
            if topic.previous_key:
                rows.append((topic.previous_key, topic.place("previous_key")))
        return {store.vault.open(sealed, *place) for sealed, place in rows}


def _work(tool: E4, board: VirtualBoard, given: Path) -> set[bytes]:
    """Run all commands that handle keys, as a user would. Return all keys that were ever in the store."""
    where = ("--port", board.device)
    provision = ("provision", "alice", *where, "--wifi", "virtual", "--topic", "lab", "--broker-user", "alice")
    tool.watch(*provision)
    tool.run(*provision[:1], "bob", *provision[2:], code=1)
    tool.watch("topic", "add", "lab", "--key-file", str(given))
    tool.watch("client", "add", "alice", "--ask", "--json")
    tool.watch("init-keys", "other", "alice")
    tool.watch("grant", "alice", "lab")
    listening = tool.start("listen", "lab", "--count", "1", "--timeout", "60")
    assert listening.stderr is not None and "Listening" in listening.stderr.readline()
    tool.watch("send", "lab", "hello")
    tool.printed += "".join(listening.communicate(timeout=60))
    keys = _keys(tool)
    for command in (
        ("topic", "rotate", "lab"),
        ("client", "rekey", "alice", "--json"),
        ("client", "confirm", "alice"),
        ("client", "rekey", "alice"),
        ("client", "show", "alice"),
        ("sync", "alice", "--again"),
        ("topic", "show", "lab"),
        ("status", *where),
        ("client", "remove", "alice"),
    ):
        keys |= _keys(tool)
        tool.watch(*command)
    return keys


def test_no_key_is_found_anywhere(tool: E4, make_board: BoardMaker, tmp_path: Path) -> None:
    given = tmp_path / "given.key"
    given.touch(0o600)
    given.write_bytes(_TOPIC_KEY)
    before = set(Path("/tmp").iterdir())
    keys = _work(tool, make_board(), given)
    assert {_ID_KEY, _TOPIC_KEY} <= keys and len(keys) >= 5
    # The broker saves its database every second.
    time.sleep(1.5)
    secrets = [*keys, _PASSPHRASE.encode(), _BROKER_PASSWORD.encode(), WIFI_PASSWORD.encode()]
    assert (tool.folder / "broker.log").stat().st_size and b"init-keys" in b"".join(tool.command_lines)
    assert tool.traces_of(*secrets) == []
    made = {path for path in set(Path("/tmp").iterdir()) - before if path.is_file() and path.owner() == _me()}
    assert [path for path in made if found_in(path.read_bytes(), *secrets)] == []


def _me() -> str:
    return Path("/proc/self").owner()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    tool = E4(tmp_path / "e4")
    for index, hidden in enumerate(
        (
            _ID_KEY,
            _ID_KEY.hex().upper().encode(),
            base64.b64encode(_ID_KEY),
            base64.urlsafe_b64encode(b"x" + _ID_KEY + b"yz"),
            base64.b64encode(b"xy" + _ID_KEY),
        )
    ):
        (tool.folder / f"file {index}").write_bytes(b"before" + hidden + b"after")
    assert len(tool.traces_of(_ID_KEY)) == 5
    process = tool.start("console", "--port", _ID_KEY.hex(), "--seconds", "1")
    while process.poll() is None:
        tool.command_lines |= command_lines()
    assert "command line" in tool.traces_of(_ID_KEY)
    assert tool.traces_of(_TOPIC_KEY) == []
