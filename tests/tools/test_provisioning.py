"""Deploying and provisioning: what is on the board afterwards, and that running a command again loses nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import e4
from e4_tools.board.deploy import deploy_to
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError
from e4_tools.fleet.rekeying import Rekeying
from e4_tools.keystore import open_store
from e4_tools.provisioning.install import find_held_key, install, provision_at
from e4_tools.provisioning.label import write_label
from e4_tools.virtual_board import VirtualBoard
from helpers.board_files import on_board
from helpers.boards import BoardMaker, config_for
from helpers.e4_process import E4, WIFI_PASSWORD, moments
from helpers.secret_search import command_lines

_KEY = b"0123456789abcdef0123456789ABCDEF"
_OTHER = b"fedcba9876543210FEDCBA9876543210"

_NOW = 1774894944
_OBEY = """
import e4
from firmware import config
client = e4.Client(e4.id_of("alice"), None, e4.FileStore(config.KEYS_PATH), lambda: {now})
client.unprotect(e4.protect({command!r}, {key!r}, {now}), client.receiving_topic)
"""
_SET_TOPIC_KEY = e4.commands.set_topic_key(b"t" * 32, "topic")
_HOLDS_TOPIC_KEY = """
import e4
from firmware import config
print(e4.Client(e4.id_of(config.load().name), None, e4.FileStore(config.KEYS_PATH), None).holds_key("topic"))
"""


def _run(board: VirtualBoard, code: str) -> str:
    with Board(board.device, restart=False) as serial:
        return serial.run(code, "a test").strip()


def _obey(board: VirtualBoard, command: bytes, key: bytes, now: int = _NOW) -> None:
    """Have a board that is alice apply a command which is protected under an ID key."""
    _run(board, _OBEY.format(command=command, key=key, now=now))


def test_compiled_modules_are_deployed_and_older_sources_removed(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        serial.write_file("lib/e4/siv.py", b"raise SystemError('an old version')\n")
    deploy_to(board.device)
    files = _run(board, "import os; print(*os.listdir('/lib/e4'), *os.listdir('/firmware'), *os.listdir('/'))").split()
    assert "siv.mpy" in files and "siv.py" not in files
    assert "node.mpy" in files and "main.py" in files
    assert _run(board, "import e4.loops; print(e4.loops.BACKEND)") == "viper"


def test_deploying_keeps_keys_and_configuration(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    deploy_to(board.device)
    assert _run(board, "from firmware import config; print(config.load().name)") == "alice"
    provision_at(board.device, config_for("alice", 1), _KEY)


def test_provisioning_again_with_the_same_key_keeps_what_was_learnt(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    _obey(board, _SET_TOPIC_KEY, _KEY)
    provision_at(board.device, config_for("alice", 2, topics=["elsewhere"]), _KEY)
    assert _run(board, _HOLDS_TOPIC_KEY) == "True"
    assert _run(board, "from firmware import config; print(config.load().port, config.load().topics)") == (
        "2 ['elsewhere']"
    )


def test_another_key_or_name_needs_replace(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    _obey(board, _SET_TOPIC_KEY, _KEY)
    for name, key in (("alice", _OTHER), ("bob", _KEY)):
        with pytest.raises(ToolError, match="--replace"):
            provision_at(board.device, config_for(name, 1), key)
        assert _run(board, _HOLDS_TOPIC_KEY) == "True"
        assert _run(board, "from firmware import config; print(config.load().name)") == "alice"
    provision_at(board.device, config_for("bob", 1), _OTHER, replace=True)
    assert _run(board, _HOLDS_TOPIC_KEY) == "False"


@pytest.mark.parametrize("used", [False, True], ids=["previous key", "first key"])
def test_replacing_gives_a_board_back_a_key_that_it_had_before(make_board: BoardMaker, used: bool) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    _obey(board, e4.commands.set_id_key(_OTHER), _KEY)
    if used:  # A command under the new key makes the board forget the previous one, and it knows the first one still.
        _obey(board, _SET_TOPIC_KEY, _OTHER, _NOW + 1)
    with pytest.raises(ToolError, match=r"another ID key of this client.*--replace"):
        provision_at(board.device, config_for("alice", 2), _KEY)
    assert _holds(board, _OTHER)
    assert on_board(board, "from firmware import config; print(config.load().port)") == "1"
    provision_at(board.device, config_for("alice", 2), _KEY, replace=True)
    assert _holds(board, _KEY) and not _holds(board, _OTHER)
    assert _run(board, _HOLDS_TOPIC_KEY) == "False"
    with pytest.raises(ToolError, match="NotAuthentic"):
        _obey(board, _SET_TOPIC_KEY, _OTHER, _NOW + 2)
    _obey(board, _SET_TOPIC_KEY, _KEY, _NOW + 2)
    assert _run(board, _HOLDS_TOPIC_KEY) == "True"


def test_replacing_the_key_that_a_board_has_ends_its_previous_key_only(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    _obey(board, _SET_TOPIC_KEY, _KEY)
    _obey(board, e4.commands.set_id_key(_OTHER), _KEY, _NOW + 1)
    provision_at(board.device, config_for("alice", 1), _OTHER)
    _obey(board, e4.commands.remove_topic("elsewhere"), _KEY, _NOW + 2)  # The previous key counts still.
    provision_at(board.device, config_for("alice", 1), _OTHER, replace=True)
    with pytest.raises(ToolError, match="NotAuthentic"):
        _obey(board, e4.commands.remove_topic("elsewhere"), _KEY, _NOW + 3)
    assert _holds(board, _OTHER) and _run(board, _HOLDS_TOPIC_KEY) == "True"


def test_a_recorded_command_does_not_count_again_after_a_replacement(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    _obey(board, _SET_TOPIC_KEY, _KEY)
    for key in (_OTHER, _KEY):
        provision_at(board.device, config_for("alice", 1), key, replace=True)
    _obey(board, _SET_TOPIC_KEY, _KEY)  # It is the same payload, and taken for a copy.
    assert _run(board, _HOLDS_TOPIC_KEY) == "False"
    with pytest.raises(ToolError, match="Replayed"):
        _obey(board, _SET_TOPIC_KEY, _KEY, _NOW - 1)


@pytest.mark.parametrize(
    "damage",
    [
        "open('/e4.keys', 'r+b').write(b'no store')",
        "open('/e4.keys', 'wb').close()",
        "import os; os.remove('/e4.keys.d/6964'); import e4; e4.FileStore('/e4.keys').commit({b'x': b''})",
        "open('/e4.keys.d/6964', 'wb').write(b'no record'); import e4; e4.FileStore('/e4.keys')",
        "open('/e4.json', 'w').write('no JSON')",
        "import os; os.remove('/e4.json')",
    ],
)
def test_replacing_makes_a_member_of_a_damaged_board(make_board: BoardMaker, tmp_path: Path, damage: str) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"))
    tool.run(*_sends(board), "--in-store")
    key = _stored(tool, "alice")["current"]
    # Two commits more, so that the record of the identity is no longer in the root file as well.
    _obey(board, _SET_TOPIC_KEY, key)
    on_board(board, "import e4; s = e4.FileStore('/e4.keys'); s.commit({b'x': b'1'})")
    on_board(board, damage)
    tool.run(*_sends(board), "--in-store", "--replace")
    assert _holds(board, key)
    assert on_board(board, "from firmware import config; print(config.load().problems)") == "[]"


def test_a_proof_is_bound_to_the_client_and_to_one_question(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    with Board(board.device) as serial:
        assert find_held_key(serial, {"the key": _KEY}, "alice") == "the key"
        assert find_held_key(serial, {"the key": _KEY}, "bob") is None
        # A board that says it is bob, and repeats what the board of alice would prove with the same key.
        serial.run("e4.id_of = lambda name, real=e4.id_of: real('alice')", "a test")
        assert find_held_key(serial, {"the key": _KEY}, "bob") is None
        serial.run("prove = lambda nonce, name, said=prove('00' * 16, None): said", "a test")
        assert find_held_key(serial, {"the key": _KEY}, "alice") is None
        for answer in ("5", "('00', 7)", "('', '')", "('x', 'y')", "[]", "'abc'"):
            serial.run(f"prove = lambda nonce, name: {answer}", "a test")
            try:
                assert find_held_key(serial, {"the key": _KEY}, "alice") is None
            except ToolError as error:
                assert "was not expected" in str(error)


def test_a_board_without_our_files_is_told_apart(tmp_path: Path, deployed_image: Path) -> None:
    with VirtualBoard(tmp_path / "empty.flash") as board, pytest.raises(ToolError, match="deploy them first"):
        provision_at(board.device, config_for("alice", 1), _KEY)


def test_a_wrong_configuration_changes_nothing(make_board: BoardMaker) -> None:
    board = make_board()
    with pytest.raises(ToolError, match="topics"):
        provision_at(board.device, config_for("alice", 1, topics=None), _KEY)
    assert "e4.keys" not in _run(board, "import os; print(os.listdir('/'))")


def test_no_error_shows_the_key_or_a_password(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    for config in (config_for("bob", 1), config_for("alice", 1, topics=None)):
        with pytest.raises(ToolError) as caught:
            provision_at(board.device, config, _OTHER)
        for secret in (_OTHER.hex(), _KEY.hex(), "virtual-wifi"):
            assert secret not in str(caught.value)


def test_a_port_that_is_not_there() -> None:
    with pytest.raises(ToolError, match="nothing was changed"):
        deploy_to("/dev/no-such-port")


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


def _sends(board: VirtualBoard, name: str = "alice") -> tuple[str, ...]:
    return ("provision", name, "--port", board.device, "--broker", "127.0.0.1:1", "--wifi", "virtual", "--topic", "a")


def _holds(board: VirtualBoard, key: bytes) -> bool:
    with Board(board.device, restart=False) as serial:
        return find_held_key(serial, {"the key": key}) is not None


def _shown(printed: str) -> bytes:
    return bytes.fromhex(re.findall(r"\b[0-9a-f]{64}\b", printed)[-1])


def test_a_random_key_is_shown_once_and_kept_when_settings_change(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY="")
    key = _shown(tool.run(*_sends(board)))
    assert _holds(board, key)
    said = tool.run(*_sends(board), "--topic", "b")
    assert "keeps the ID key" in said and key.hex() not in said
    assert _holds(board, key)
    assert on_board(board, "from firmware import config; print(config.load().topics)") == "['a', 'b']"
    tool.run(*_sends(board, "bob"), code=1)
    assert _shown(tool.run(*_sends(board), "--replace")) != key
    assert not _holds(board, key)


def test_a_key_from_a_file_is_made_there_first_and_never_shown(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4")
    tool.run(*_sends(board), "--keys", "keys", "--label", "labels/alice.svg")
    file = tool.folder / "keys" / "alice.key"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    assert _holds(board, file.read_bytes())
    tool.run(*_sends(board), "--keys", "keys")
    assert tool.traces_of(file.read_bytes()) == [str(file)]
    label = (tool.folder / "labels" / "alice.svg").read_text()
    assert ElementTree.fromstring(label).tag.endswith("svg")  # noqa: S314 (The label is our own.)
    assert ">alice<" in label and e4.id_of("alice").hex() in label


def test_a_label_is_xml_whatever_is_in_the_name(tmp_path: Path) -> None:
    write_label(tmp_path / "label.svg", "a\x00b\x1b[2J <&> ]]> \ufffe größe")
    texts = [text.text for text in ElementTree.parse(tmp_path / "label.svg").iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 (The label is our own.)
    assert texts[0] == "a\ufffdb\ufffd[2J <&> ]]> \ufffd größe"


@pytest.mark.parametrize("power", [False, True], ids=["process killed", "power cut"])
def test_interrupted_at_any_point_the_same_command_finishes(
    make_board: BoardMaker, deployed_image: Path, tmp_path: Path, power: bool
) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY="")
    for seconds in moments(4, tool.seconds(*_sends(board))):
        board.stop()
        shutil.copyfile(deployed_image, tmp_path / "board.flash")
        board.start()
        tool.kill(seconds, *_sends(board), board=board if power else None)
        shown = len(tool.printed)
        tool.run(*_sends(board))
        again = re.findall(r"\b[0-9a-f]{64}\b", tool.printed[shown:])
        assert _holds(board, bytes.fromhex(again[-1]) if again else _shown(tool.printed)), f"after {seconds} s"
        assert "e4.pending" not in on_board(board, "import os; print(os.listdir('/'))")


def test_interrupted_while_replacing_the_same_command_finishes(make_board: BoardMaker, tmp_path: Path) -> None:
    board = make_board()
    tool = E4(tmp_path / "e4", E4_KEY=_OTHER.hex())
    for seconds in moments(3, tool.seconds(*_sends(board, "bob"))):
        provision_at(board.device, config_for("alice", 1), _KEY, replace=True)
        tool.kill(seconds, *_sends(board, "bob"), "--replace", board=board)
        with Board(board.device, restart=False) as serial:
            old, new = (find_held_key(serial, {key: key}, name) for name, key in (("alice", _KEY), ("bob", _OTHER)))
        assert (old, new) in ((_KEY, None), (None, _OTHER)), f"after {seconds} s"
        tool.run(*_sends(board, "bob"), "--replace")
        assert _holds(board, _OTHER)
        assert on_board(board, "from firmware import config; print(config.load().name)") == "bob"
    assert tool.traces_of(_KEY, _OTHER) == []


def test_secrets_are_in_no_command_line_no_file_and_no_output(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY=_KEY.hex())
    for options in ((), ("--json",), ("--replace",)):
        process = tool.start(*_sends(board), *options)
        while process.poll() is None:
            tool.command_lines |= command_lines()
        tool.printed += "".join(process.communicate())
        assert process.returncode == 0, tool.printed
    assert b"provision" in b"".join(tool.command_lines)
    assert tool.traces_of(_KEY, WIFI_PASSWORD.encode()) == []


def test_a_pending_key_gives_way_and_a_confirmed_one_does_not(make_board: BoardMaker) -> None:
    board = make_board()
    config = config_for("alice", 1)

    def killed() -> None:
        raise KeyboardInterrupt

    with Board(board.device) as serial:
        with pytest.raises(KeyboardInterrupt):
            install(serial, config, _KEY, on_proof=killed)
        install(serial, config, _OTHER)
        with pytest.raises(ToolError, match="--replace"):
            install(serial, config, _KEY)
    assert _holds(board, _OTHER)


def test_what_an_interrupted_replacement_left_is_no_obstacle(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), _KEY)
    on_board(board, "open('/e4.keys.new', 'w').write('half of a new state')")
    provision_at(board.device, config_for("alice", 1), _OTHER, replace=True)
    assert _holds(board, _OTHER)
    assert "e4.keys.new" not in on_board(board, "import os; print(os.listdir('/'))")


def test_a_board_that_lies_about_its_key_is_found_out(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        serial.run("import e4\ne4.Client.prove_key = lambda client, nonce: bytes(32)", "a test")
        with pytest.raises(ToolError, match="another ID key"):
            install(serial, config_for("alice", 1), _KEY)


def _store(tool: E4, **environment: str) -> E4:
    """Return `e4` for the same user, with a key store that a key file opens."""
    key_file = tool.folder / "store.key"
    key_file.touch(0o600)
    key_file.write_bytes(b"opens the store, 32 bytes of it!")
    return E4(tool.folder, E4_KEYFILE=str(key_file), E4_STORE=str(tool.folder / "fleet.db"), **environment)


def _stored(tool: E4, name: str) -> dict[str, bytes]:
    shown = json.loads(tool.start("client", "show", name, "--reveal", "--json").communicate()[0])
    return {key["state"]: bytes.fromhex(key["key"]) for key in shown["keys"]}


def test_a_key_in_the_store_is_there_first_and_shown_nowhere(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"))
    said = json.loads(tool.run(*_sends(board), "--in-store", "--json"))
    assert said["in_store"] and "id_key" not in said
    key = _stored(tool, "alice")["current"]
    assert _holds(board, key) and tool.traces_of(key) == []
    tool.run("topic", "add", "lab")
    tool.run(*_sends(board), "--in-store", "--topic", "b")
    assert _stored(tool, "alice") == {"current": key} and _holds(board, key)
    assert "exclude" in tool.run(*_sends(board), "--in-store", "--keys", "keys", code=2)


def test_the_store_is_asked_before_the_board_is_touched(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"))
    (tool.folder / "fleet.db").mkdir()
    tool.run(*_sends(board), "--in-store", code=5)
    assert "e4.keys" not in on_board(board, "import os; print(os.listdir('/'))")


def test_a_board_keeps_whichever_key_of_the_store_it_holds(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"), E4_KEY=_OTHER.hex())
    tool.run("client", "add", "alice", "--ask")
    store = open_store(str(tool.folder / "fleet.db"), lambda kind: (tool.folder / "store.key").read_bytes())
    Rekeying(store).rekey("alice")
    pending = _stored(tool, "alice")["pending"]
    # The board gets the pending key, as if the command SetIDKey had reached it.
    provision_at(board.device, config_for("alice", 1), pending)
    tool.run(*_sends(board), "--in-store")
    assert _holds(board, pending) and _stored(tool, "alice") == {"current": pending}
    # The board gets a key that the store does not know.
    provision_at(board.device, config_for("alice", 1), _KEY, replace=True)
    refused = tool.run(*_sends(board), "--in-store", code=1)
    assert "does not know; nothing was done" in refused and "--replace" in refused
    assert _holds(board, _KEY)
    tool.run(*_sends(board), "--in-store", "--replace")
    assert _holds(board, pending)


def test_a_board_with_a_key_that_was_replaced_does_not_bring_it_back(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"), E4_KEY=_OTHER.hex())
    tool.run("client", "add", "alice", "--ask")
    store = open_store(str(tool.folder / "fleet.db"), lambda kind: (tool.folder / "store.key").read_bytes())
    Rekeying(store).renew("alice")
    keys = _stored(tool, "alice")
    assert keys["previous"] == _OTHER
    provision_at(board.device, config_for("alice", 1), _OTHER)
    refused = tool.run(*_sends(board), "--in-store", code=1)
    assert "an earlier ID key" in refused and "--replace" in refused
    said = tool.run("client", "confirm", "alice", "--port", board.device, code=1)
    assert "nothing was changed" in said and "--undo" in said
    assert _stored(tool, "alice") == keys and _holds(board, _OTHER)
    tool.run(*_sends(board), "--in-store", "--replace")
    assert _holds(board, keys["current"]) and _stored(tool, "alice") == {"current": keys["current"]}


def test_a_key_that_was_replaced_counts_again_only_on_demand(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"), E4_KEY=_OTHER.hex())
    tool.run("client", "add", "alice", "--ask")
    store = open_store(str(tool.folder / "fleet.db"), lambda kind: (tool.folder / "store.key").read_bytes())
    provision_at(board.device, config_for("alice", 1), _OTHER)
    Rekeying(store).renew("alice")
    # A second new key is pending. Without a board, --undo cannot tell which of the earlier keys the board holds.
    Rekeying(store).rekey("alice")
    pending = _stored(tool, "alice")["pending"]
    port = ("--port", board.device)
    assert "nothing was changed" in tool.run("client", "confirm", "alice", *port, code=1)
    assert _stored(tool, "alice")["pending"] == pending
    said = tool.run("client", "confirm", "alice", *port, "--undo")
    assert "Warning: an earlier ID key of alice counts again" in said
    keys = _stored(tool, "alice")
    assert keys["current"] == _OTHER and keys["pending"] == pending


def test_a_receiving_topic_of_its_own_reaches_the_board(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), _store(E4(tmp_path / "e4"))
    tool.run("client", "add", "alice", "--receiving-topic", "own/alice")
    assert "alice listens on own/alice." in tool.run(*_sends(board), "--in-store")
    assert on_board(board, "from firmware import config; print(config.load().receiving_topic)") == "own/alice"


def test_a_random_key_that_only_the_answer_would_hold_is_not_made(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY="")
    assert "--in-store" in json.loads(tool.run(*_sends(board), "--json", code=1))["error"]
    assert "e4.keys" not in on_board(board, "import os; print(os.listdir('/'))")


def test_further_entries_of_the_configuration(make_board: BoardMaker, tmp_path: Path) -> None:
    board, tool = make_board(), E4(tmp_path / "e4", E4_KEY=_KEY.hex())
    tool.run(*_sends(board), "--set", 'time_servers=["ntp.example"]', "--set", "receiving_topic=null")
    assert on_board(board, "from firmware import config; print(config.load().time_servers)") == "['ntp.example']"
    assert "not a known entry" in tool.run(*_sends(board), "--set", "broker.colour=1", code=1)
    for entry in ("broker.password=x", "wifi.password=x", "name=bob", "topics=[]"):
        assert "option of its own" in tool.run(*_sends(board), "--set", entry, code=2)
    # An entry and the whole that it belongs to: one of the two would be lost.
    for whole in ("queue=5", 'queue={"messages": 3}', "queue=" + "[" * 5000):
        for entries in ((whole, "queue.bytes=100"), ("queue.bytes=100", whole)):
            said = tool.run(*_sends(board), "--set", entries[0], "--set", entries[1], code=2)
            assert "queue.bytes is a part of queue" in " ".join(said.split()), said
    assert on_board(board, "from firmware import config; print(config.load().time_servers)") == "['ntp.example']"
