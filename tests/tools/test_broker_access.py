"""Brokers that need TLS, a user and a password: what `e4` writes to boards, and how it connects itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import e4_tools.provisioning.identity_files as identity_files_module
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.provisioning.install import install
from e4_tools.virtual_board import VirtualBoard
from helpers.authority import Authority, mosquitto_lines
from helpers.board_files import on_board
from helpers.boards import BoardMaker
from helpers.e4_process import E4, WIFI_PASSWORD
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_KEY = b"0123456789abcdef0123456789ABCDEF"
_PASSWORD = "a password of the board's"  # noqa: S105 (no real password)
_FILES = "import os, json; print(json.dumps([n for n in os.listdir('/') if n.startswith('e4.ca')]))"


@pytest.fixture
def tool(tmp_path: Path) -> E4:
    return E4(tmp_path / "e4", E4_KEY=_KEY.hex())


def _sends(board: VirtualBoard, *options: str) -> tuple[str, ...]:
    common = ("--broker", "mqtt.example", "--wifi", "virtual", "--topic", "a")
    return ("provision", "alice", "--port", board.device, *common, *options)


def _broker(board: VirtualBoard) -> dict[str, object]:
    found = json.loads(on_board(board, "print(open('/e4.json').read())"))["broker"]
    assert isinstance(found, dict)
    return found


def _certificates(board: VirtualBoard) -> list[str]:
    found = json.loads(on_board(board, _FILES))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("form", ["pem", "der"])
def test_the_board_gets_the_certificate_as_der_and_tls_port(make_board: BoardMaker, tool: E4, form: str) -> None:
    board, ca = make_board(), Authority()
    (tool.folder / "ca").write_bytes(ca.pem if form == "pem" else ca.der)
    said = json.loads(tool.run(*_sends(board, "--ca", "ca", "--json")))
    assert said["ca"] == "CN=test CA" and said["ca_expires"] == f"{ca.certificate.not_valid_after_utc:%Y-%m-%d}"
    broker = _broker(board)
    assert broker["port"] == 8883
    path = broker["ca"]
    assert _certificates(board) == [str(path)[1:]]
    assert on_board(board, f"print(open({path!r}, 'rb').read().hex())") == ca.der.hex()
    assert on_board(board, "from firmware import config; c = config.load(); print(c.problems, c.ca)") == f"[] {path}"
    tool.run(*_sends(board))
    assert _broker(board) == {"host": "mqtt.example", "port": 1883}
    assert _certificates(board) == []


def test_a_configuration_keeps_its_certificate_until_another_is_in_place(make_board: BoardMaker, tool: E4) -> None:
    board, other = make_board(), {"E4_KEY": (b"x" * 32).hex()}
    for name in ("first", "second"):
        (tool.folder / name).write_bytes(Authority(name).pem)
    tool.run(*_sends(board, "--ca", "first"))
    before = _broker(board)
    refused = E4(tool.folder, **other).run(*_sends(board, "--ca", "second"), code=1)
    assert "--replace" in refused
    assert _broker(board) == before and str(before["ca"])[1:] in _certificates(board)
    tool.run(*_sends(board, "--ca", "second"))
    assert _broker(board) != before
    assert _certificates(board) == [str(_broker(board)["ca"])[1:]]


def test_a_certificate_that_does_not_arrive_changes_nothing(
    make_board: BoardMaker, tool: E4, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = make_board()
    tool.run(*_sends(board))
    before = _broker(board)
    config = {"name": "alice", "wifi": {"ssid": "v"}, "broker": {"host": "h", "ca": Authority().der}, "topics": ["a"]}
    monkeypatch.setattr(identity_files_module, "CA_PATH", "/no-such-folder/ca")
    with Board(board.device) as serial, pytest.raises(ToolError):
        install(serial, config, _KEY)
    assert _broker(board) == before


def _change(der: bytes, before: str, after: str) -> bytes:
    assert bytes.fromhex(before) in der
    return der.replace(bytes.fromhex(before), bytes.fromhex(after), 1)


def test_files_that_are_no_ca_are_refused_before_anything_is_asked(tool: E4) -> None:
    ca = Authority()
    leaf, private = ca.issue(tool.folder)
    wrong = {
        "is not the certificate of a CA": leaf.read_bytes(),
        "expired on": Authority(days=-1).pem,
        "private key": ca.pem + private.read_bytes(),
        "2 certificates": ca.pem + Authority("other").pem,
        "may not sign": Authority(signs=False).pem,
        "neither RSA nor EC": ca.issue_ca_with_other_key(),
        "is no certificate": b"certainly not",
        # A point that is not on the curve, and a kind of key that nobody knows.
        "a part of it cannot be read": _change(ca.der, "03420004", "03420005"),
        "part of it cannot be read": _change(ca.der, "2a8648ce3d0201", "2a8648ce3d0101"),
    }
    for complaint, content in wrong.items():
        (tool.folder / "ca").write_bytes(content)
        where = ("--port", "/dev/none", "--broker", "b", "--wifi", "w", "--topic", "t", "--ca", "ca")
        said = tool.run("provision", "alice", *where, code=1)
        assert complaint in said and "/dev/none" not in said


def test_user_and_password_reach_the_board_and_nothing_else(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY=_KEY.hex(), E4_BROKER_PASSWORD=_PASSWORD)
    tool.watch(*_sends(board, "--broker-user", "alice's"))
    assert (_broker(board)["user"], _broker(board)["password"]) == ("alice's", _PASSWORD)
    assert tool.traces_of(_KEY, _PASSWORD.encode(), WIFI_PASSWORD.encode()) == []
    file = tool.folder / "password"
    file.touch(0o600)
    file.write_text("from a file\n")
    tool.run(*_sends(board, "--broker-user", "alice", "--broker-password-file", "password"))
    assert _broker(board)["password"] == file.read_text().strip()
    file.chmod(0o644)
    assert "open to others" in tool.run(
        *_sends(board, "--broker-user", "alice", "--broker-password-file", "password"), code=1
    )
    tool.run(*_sends(board))
    assert "user" not in _broker(board)


def test_commands_go_over_tls_and_trust_that_ca_only(tmp_path: Path, mosquitto: Mosquitto) -> None:
    ca, other = Authority(), Authority("another")
    certified = mosquitto_lines(ca.issue(tmp_path))
    for name, authority in (("ca.pem", ca), ("other.pem", other)):
        (tmp_path / name).write_bytes(authority.pem)
    port = free_port()
    mosquitto.configure(f"listener {port} {HOST}\n{certified}")
    operator = Operator(tmp_path, port)
    operator.e4("topic", "add", "lab")
    operator.e4("client", "add", "alice")
    operator.give("E4_BROKER_CA", str(tmp_path / "ca.pem"))
    assert operator.e4("grant", "alice", "lab")["sent"] == 1
    distrusted = operator.e4("grant", "alice", "lab", "--ca", str(tmp_path / "other.pem"), expect=3)["error"]
    assert "is not trusted" in distrusted and "nothing was" in distrusted
    named = operator.e4("grant", "alice", "lab", "--broker", f"localhost:{port}", expect=3)["error"]
    assert "localhost" in named and "is not trusted" in named
    plain = operator.e4("grant", "alice", "lab", "--broker", f"{HOST}:{mosquitto.port}", expect=3)["error"]
    assert "may not speak TLS there" in plain or "does not speak TLS" in plain
    operator.give("E4_BROKER_CA", "")
    assert "--ca" in operator.e4("grant", "alice", "lab", expect=3)["error"]
    nowhere = operator.e4("grant", "alice", "lab", "--broker", "no-such-host.invalid", expect=3)["error"]
    assert "no address for the name no-such-host.invalid" in nowhere
