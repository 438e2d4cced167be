"""`e4 image`, and what follows it: flashing, the proof of the key, and a virtual board that begins with an image.

The firmware is none that runs: its partition table and its version are real, and the rest is random. The chip and
`esptool` are fakes, and what the chip would run is a virtual board with the same file system.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import e4
from e4_tools.board.compile import Target
from e4_tools.board.console import BoardConsole
from e4_tools.board.deploy import files_for
from e4_tools.errors import ToolError
from e4_tools.image.file_system import make_file_system
from e4_tools.image.flash_file import FlashContents, build_flash, read_flash
from e4_tools.image.micropython_image import read_image
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.provisioning.identity_files import identity_files, read_identity
from e4_tools.provisioning.ledger import BEGUN, ISSUED, Ledger
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError
from helpers.board_files import on_board
from helpers.boards import KEY, BoardMaker, config_for
from helpers.e4_process import E4, WIFI_PASSWORD
from helpers.firmware_image import write_image
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

_MB = 1024 * 1024
_FIRMWARE = "firmware.bin"
_SETTINGS = ("--broker", "127.0.0.1:1", "--wifi", "virtual", "--topic", "all")
_KEYS = ("--keys", "keys")
_ALICE = ("--provision", "alice", *_KEYS, *_SETTINGS)
_FAKE = Path(__file__).resolve().parents[1] / "helpers" / "fake_esptool"
_PENDING = "import os; print('e4.pending' in os.listdir('/'))"


@pytest.fixture
def tool(tmp_path: Path) -> E4:
    tool = E4(tmp_path / "factory")
    write_image(tool.folder / _FIRMWARE)
    return tool


def _image(tool: E4, *arguments: str, code: int = 0) -> str:
    return tool.run("image", _FIRMWARE, *arguments, code=code)


def _contents(path: Path) -> FlashContents:
    found = read_flash(path.read_bytes())
    assert found is not None
    return found


def _ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def test_an_image_has_what_a_deployment_sends_and_files_of_the_user(tool: E4) -> None:
    package = tool.folder / "sensor"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "driver.pyc").write_bytes(b"of this machine")
    (package / "driver.py").write_text("PIN = 4\n")
    (tool.folder / "main.py").write_text("import sensor.driver\n")
    said = json.loads(_image(tool, "--add", "sensor", "--add", "main.py", "--json"))
    assert (said["chip"], said["flash_size"], said["micropython"]) == ("ESP32", 4 * _MB, "1.27.0")
    path = tool.folder / "e4-esp32.bin"
    ours = files_for(Target("xtensawin", 31, loads_mpy=True))
    wanted = {**ours, "sensor/driver.py": b"PIN = 4\n", "main.py": b"import sensor.driver\n"}
    assert _contents(path).files == {"/" + name: data for name, data in wanted.items()}
    assert path.stat().st_size == 4 * _MB
    assert "lib/e4/_loops_viper.mpy" in ours and "lib/e4/_loops_plain.mpy" not in ours


def test_an_image_can_be_trimmed_and_made_for_more_flash(tool: E4) -> None:
    _image(tool, "--trim", "--flash-size", "16MB", "--out", "large.bin")
    path = tool.folder / "large.bin"
    assert path.stat().st_size < 2.4 * _MB
    assert _contents(path).flash_size == 16 * _MB


def test_the_real_esptool_puts_the_same_parts_together_in_the_same_way(tmp_path: Path) -> None:
    firmware = write_image(tmp_path / _FIRMWARE, 23, 0x2000)
    (tmp_path / "vfs").write_bytes(make_file_system({"a": b"b"}, 2 * _MB))
    parts = ["0x2000", str(firmware), "0x200000", str(tmp_path / "vfs")]
    command = ["--chip", "esp32c5", "merge-bin", "-o", str(tmp_path / "merged"), "--pad-to-size", "4MB", *parts]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "esptool", *command], check=True, capture_output=True, env=environment)
    assert (tmp_path / "merged").read_bytes() == build_flash(read_image(firmware), {"a": b"b"}, 4 * _MB)


def test_an_identity_is_nowhere_but_in_the_image_and_the_ledger_notes_it(tool: E4) -> None:
    tool.watch("image", _FIRMWARE, *_ALICE)
    path, key_file = tool.folder / "alice.secret.bin", tool.folder / "keys" / "alice.key"
    assert path.stat().st_mode & 0o777 == 0o600
    files, key = _contents(path).files, key_file.read_bytes()
    identity = read_identity(files)
    assert identity is not None and (identity.name, identity.key) == ("alice", key)
    config = json.loads(files["/e4.json"])
    assert config["topics"] == ["all"] and config["wifi"]["password"] == WIFI_PASSWORD
    assert set(tool.traces_of(key)) == {str(path), str(key_file)}
    assert tool.traces_of(WIFI_PASSWORD.encode()) == [str(path)]
    (entry,) = _ledger(tool.folder)
    assert (entry["event"], entry["name"], entry["mac"]) == (BEGUN, "alice", "")
    assert entry["key_fingerprint"] == fingerprint_text(key)


def test_the_same_command_makes_the_same_image_and_other_settings_keep_the_key(tool: E4) -> None:
    _image(tool, *_ALICE)
    path = tool.folder / "alice.secret.bin"
    first, inode = path.read_bytes(), path.stat().st_ino
    _image(tool, *_ALICE)
    assert path.stat().st_ino == inode  # It was not written again.
    _image(tool, *_ALICE, "--topic", "more")
    assert json.loads(_contents(path).files["/e4.json"])["topics"] == ["all", "more"]
    assert path.read_bytes() != first and len(_ledger(tool.folder)) == 1
    found, before = read_identity(_contents(path).files), read_flash(first)
    assert found is not None and before is not None and found == read_identity(before.files)


def test_a_file_that_is_something_else_stays(tool: E4) -> None:
    _image(tool, *_ALICE)
    bob = ("--provision", "bob", *_KEYS, *_SETTINGS)
    path = tool.folder / "alice.secret.bin"
    before = path.read_bytes()
    assert "is the image of alice" in _image(tool, *bob, "--out", "alice.secret.bin", code=1)
    assert "ends in .secret.bin" in _image(tool, *bob, "--out", "bob.bin", code=1)
    assert "does not end in .secret.bin" in _image(tool, "--out", "plain.secret.bin", code=1)
    assert "is no image" in _image(tool, "--out", "ledger.jsonl", code=1)
    open_folder = tool.folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    assert "others could replace" in _image(tool, *bob, "--out", "open/bob.secret.bin", code=1)
    assert path.read_bytes() == before and len(_ledger(tool.folder)) == 1
    assert not (tool.folder / "keys" / "bob.key").exists()
    _image(tool, *bob, "--out", "alice.secret.bin", "--force")
    found = read_identity(_contents(path).files)
    assert found is not None and found.name == "bob"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--set", "watchdog=1"), 1, "configuration of alice: .*watchdog"),
        (("--set", "wat=1"), 1, '"wat" is not a known entry'),
        (("--factory", "fleet.csv"), 2, "exclude each other"),
        (("--in-store",), 2, "exclude each other"),
        (("--add", "e4.json"), 1, "cannot be added"),
        (("--add", "boot.py"), 1, "cannot be added"),
        (("--flash-size", "2MB"), 1, "leave no room"),
    ],
)
def test_what_makes_no_member_is_refused_and_nothing_is_done(
    tool: E4, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    for name in ("e4.json", "boot.py"):
        (tool.folder / name).write_text("{}")
    said = _image(tool, *_ALICE, *arguments, code=code)
    assert re.search(complaint, said), said
    assert not (tool.folder / "keys" / "alice.key").exists() and not (tool.folder / "alice.secret.bin").exists()
    assert not (tool.folder / "ledger.jsonl").exists() or _ledger(tool.folder) == []


def test_firmware_that_is_too_old_or_something_else_is_refused(tool: E4) -> None:
    path = tool.folder / _FIRMWARE
    content = path.read_bytes()
    path.write_bytes(content.replace(b"MicroPython v1.27.0", b"MicroPython v1.26.9"))
    assert "1.27 or later" in _image(tool, code=1)
    path.write_bytes(content.replace(b"MicroPython v1.27.0", b"CircuitPython 1.270"))
    assert "no MicroPython" in _image(tool, code=1)


def test_a_chip_without_machine_code_gets_plain_loops(tool: E4) -> None:
    path = tool.folder / _FIRMWARE
    path.write_bytes(path.read_bytes().replace(b"ViperTypeError", b"OtherTypeError"))
    _image(tool)
    files = _contents(tool.folder / "e4-esp32.bin").files
    assert "/lib/e4/_loops_plain.mpy" in files and "/lib/e4/_loops_viper.mpy" not in files


def test_a_factory_goes_on_where_it_was_interrupted(tool: E4) -> None:
    factory = ("--factory", "fleet.csv", *_KEYS, *_SETTINGS, "--trim", "--json")
    table = tool.folder / "fleet.csv"
    table.write_text("name,topics\none,\ntwo,rooms/2 doors/+\nthree,a//#/b\n")
    assert "three" in _image(tool, *factory, code=1)  # a topic filter that none can subscribe to
    assert not (tool.folder / "images").exists()
    table.write_text("name,topics\none,\ntwo,rooms/2 doors/+\none,\n")
    assert "fleet.csv, line 4" in _image(tool, *factory, code=1)
    table.write_text("name,topics\none,\ntwo,rooms/2 doors/+\nthree,\n")
    (tool.folder / "images").mkdir(0o700)
    blocked = tool.folder / "images" / "two.secret.bin"
    blocked.write_text("something else")
    assert "is no image" in _image(tool, *factory, code=1)
    one = tool.folder / "images" / "one.secret.bin"
    before = one.read_bytes()
    blocked.unlink()
    said = json.loads(_image(tool, *factory))
    assert said["unchanged"] == ["one"] and [made["name"] for made in said["images"]] == ["two", "three"]
    assert one.read_bytes() == before
    assert json.loads(_contents(blocked).files["/e4.json"])["topics"] == ["rooms/2", "doors/+"]
    assert [entry["name"] for entry in _ledger(tool.folder)] == ["one", "two", "three"]
    keys = {name: (tool.folder / "keys" / f"{name}.key").read_bytes() for name in ("one", "two", "three")}
    assert len(set(keys.values())) == 3
    with Ledger(tool.folder / "ledger.jsonl") as ledger:
        ledger.note(ISSUED, "one", "24:0a:c4:12:34:56", "0", keys["one"])
    one.unlink()
    assert json.loads(_image(tool, *factory))["unchanged"] == ["two", "three"] and not one.exists()


def test_a_killed_factory_leaves_whole_images_and_is_finished_by_another_run(tool: E4) -> None:
    factory = ("image", _FIRMWARE, "--factory", "fleet.csv", *_KEYS, *_SETTINGS)
    names = [f"b{number}" for number in range(12)]
    (tool.folder / "fleet.csv").write_text("\n".join(["name", *names]))
    longest = tool.seconds(*factory, "--out", "once")
    (tool.folder / "ledger.jsonl").unlink()
    for share in (0.5, 0.7, 0.9):
        tool.kill(longest * share, *factory)
        for path in (tool.folder / "images").glob("*.secret.bin"):
            assert read_identity(_contents(path).files) is not None
    tool.run(*factory)
    for name in names:
        path = tool.folder / "images" / f"{name}.secret.bin"
        assert path.read_bytes() == (tool.folder / "once" / path.name).read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tool.folder / "images").iterdir()) == sorted(f"{n}.secret.bin" for n in names)
    assert {entry["name"] for entry in _ledger(tool.folder)} == set(names)


def test_a_name_is_in_an_image_or_begun_with_a_board_but_not_both(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        ledger.note(BEGUN, "alice", "", "1", KEY)
        ledger.note(BEGUN, "bob", "", "1", KEY)
        ledger.note(BEGUN, "carol", "24:0a:c4:00:00:01", "1", KEY)
        with pytest.raises(ToolError, match=r"alice was put into an image.*--replace"):
            ledger.refuse_conflict("alice", "24:0a:c4:00:00:02", replace=False)
        ledger.refuse_conflict("alice", "24:0a:c4:00:00:02", replace=True)
        # The key in an image is not used again, because a board may have it.
        assert ledger.has_with_other_board("alice", "24:0a:c4:00:00:02")
        with pytest.raises(ToolError, match=r"carol was begun with board 24:0a:c4:00:00:01.*--replace"):
            ledger.refuse_image("carol", replace=False)
        ledger.refuse_image("bob", replace=False)
        ledger.refuse_conflict("dave", "24:0a:c4:00:00:02", replace=False)
        with pytest.raises(ToolError, match="no entry of dave"):
            ledger.refuse_proof("dave", "24:0a:c4:00:00:02")
        with pytest.raises(ToolError, match="another key"):
            ledger.refuse_proof("alice", "24:0a:c4:00:00:02", b"o" * 32)
        with pytest.raises(ToolError, match="is carol"):
            ledger.refuse_proof("alice", "24:0a:c4:00:00:01", KEY)
        ledger.note(ISSUED, "alice", "24:0a:c4:00:00:02", "1", KEY)
        ledger.refuse_proof("alice", "24:0a:c4:00:00:02", b"of a later rekeying".ljust(32))
        with pytest.raises(ToolError, match="issued already"):
            ledger.refuse_image("alice", replace=True)


def test_an_identity_is_read_only_from_files_that_were_made_here() -> None:
    config = {**config_for("alice", 1), "receiving_topic": "somewhere/else"}
    files = identity_files(config, KEY)
    found = read_identity(files)
    assert found is not None and (found.name, found.key) == ("alice", KEY)
    assert KEY.decode() not in repr(found)
    assert read_identity({**files, "/e4.json": b'{"name": "bob"}'}) is None
    assert read_identity({**files, "/e4.json": b"[]"}) is None
    assert read_identity({**files, "/e4.keys": files["/e4.keys"][:-1] + b"x"}) is None
    assert read_identity({**files, "/e4.keys": b""}) is None
    assert read_identity({}) is None


def test_the_library_opens_the_store_of_an_image(tmp_path: Path) -> None:
    files = identity_files({**config_for("alice", 1), "receiving_topic": "somewhere/else"}, KEY)
    (tmp_path / "keys").write_bytes(files["/e4.keys"])
    for _ in range(2):
        client = e4.Client(e4.id_of("alice"), None, e4.FileStore(str(tmp_path / "keys")), lambda: 1800000000)
        assert client.prove_key(b"nonce") == e4.proof_of_key(KEY, b"nonce")
        assert client.receiving_topic == "somewhere/else"


# Boards that begin with an image


@dataclass
class _Line:
    """An operator with a key store, an image for alice, and a function that starts a board with the image."""

    operator: Operator
    image: Path
    start: Callable[..., VirtualBoard]

    @property
    def ledger(self) -> Path:
        return self.image.with_name("ledger.jsonl")

    def prove(self, board: VirtualBoard, *arguments: str, expect: int = 0) -> dict[str, Any]:
        where = ("--port", board.device, "--ledger", str(self.ledger))
        return self.operator.e4("prove", *arguments, "--in-store", *where, expect=expect)


@pytest.fixture
def line(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[_Line]:
    operator = Operator(tmp_path, mosquitto.port)
    operator.give("WIFI_PASSWORD", WIFI_PASSWORD)
    image = tmp_path / "alice.secret.bin"
    command = ["image", str(write_image(tmp_path / _FIRMWARE)), "--provision", "alice", "--in-store"]
    command += ["--wifi", "virtual", "--topic", "rooms/1", "--out", str(image)]
    operator.e4(*command, "--ledger", str(tmp_path / "ledger.jsonl"))
    with ExitStack() as stack:

        def start(name: str = "board") -> VirtualBoard:
            return stack.enter_context(VirtualBoard(tmp_path / f"{name}.flash", chip_image=image))

        yield _Line(operator, image, start)


def test_a_board_with_an_image_is_a_working_node_and_a_proof_makes_it_issued(line: _Line) -> None:
    before = line.image.read_bytes()
    board = line.start()
    with BoardConsole("alice", board.device) as console:
        console.expect("> subscribed to MQTT topic rooms/1", 60)
        line.operator.e4("topic", "add", "rooms/1")
        line.operator.e4("grant", "alice", "rooms/1")
        console.expect("< unprotected message:", 30)  # the topic key has arrived
        console.send(b"hello\r")
        console.expect("> message published successfully", 30)
        console.expect("< unprotected message: hello", 30)
    assert line.image.read_bytes() == before
    assert on_board(board, _PENDING) == "True"
    proved = line.prove(board)
    assert (proved["name"], proved["noted"]) == ("alice", True)
    assert on_board(board, _PENDING) == "False"
    issued = [entry for entry in _ledger(line.ledger.parent) if entry["event"] == ISSUED]
    assert [(entry["name"], entry["mac"]) for entry in issued] == [("alice", proved["mac"])]
    line.prove(board, "alice")
    assert len(_ledger(line.ledger.parent)) == 2
    # The keys that it has learnt survive a cut of the power.
    board.cut_power()
    board.power_on()
    with BoardConsole("alice", board.device) as console:
        console.expect("> subscribed to MQTT topic rooms/1", 60)
        console.send(b"again\r")
        console.expect("< unprotected message: again", 30)


def test_a_second_board_with_the_same_image_is_noticed(line: _Line) -> None:
    line.prove(line.start("first"))
    second = line.start("second")
    said = line.prove(second, expect=1)
    assert "was issued already" in said["error"] and "same key" in said["error"]
    assert on_board(second, _PENDING) == "True"
    assert "no entry of bob" in line.prove(second, "bob", expect=1)["error"]


def test_a_board_that_was_not_given_the_image_is_not_issued(line: _Line, make_board: BoardMaker) -> None:
    other = make_board("other")
    assert "no name" in line.prove(other, expect=1)["error"]
    assert "holds none of the ID keys" in line.prove(other, "alice", expect=1)["error"]
    assert [entry["event"] for entry in _ledger(line.ledger.parent)] == [BEGUN]


def test_a_board_goes_on_with_its_flash_and_does_not_run_on_an_image(line: _Line, tmp_path: Path) -> None:
    before = line.image.read_bytes()
    flash = tmp_path / "board.flash"
    line.start().stop()
    for options, complaint in (
        ({"image": flash, "chip_image": line.image}, "keeps what its board has learnt"),
        ({"image": line.image}, "is an image for a chip"),
        ({"image": tmp_path / "new.flash", "chip_image": tmp_path / _FIRMWARE}, "no image with a file system"),
        ({"image": tmp_path / "new.flash", "chip_image": tmp_path / "none"}, "cannot be read"),
    ):
        with pytest.raises(VirtualBoardError, match=complaint):
            VirtualBoard(**options).start()  # type: ignore[arg-type]
    assert line.image.read_bytes() == before and not (tmp_path / "new.flash").exists()
    with VirtualBoard(flash) as board:
        assert on_board(board, "from firmware import config; print(config.load().name)") == "alice"


# Flashing


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fake ESP32 with 4 MB of flash."""
    folder = tmp_path / "chip"
    folder.mkdir()
    (folder / "chip").write_text("ESP32")
    (folder / "flash").write_bytes(b"K" * (4 * _MB))
    monkeypatch.setenv("FAKE_CHIP", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(_FAKE))
    # The virtual board stands for what the chip runs.
    monkeypatch.setattr("e4_tools.board.inspection.VIRTUAL", "a board of another kind")
    return folder


def _mac_of(board: VirtualBoard) -> str:
    return on_board(board, "import machine; print(machine.unique_id().hex(':'))")


def test_flashing_ends_with_the_proof_and_the_ledger(line: _Line, chip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = line.start()
    monkeypatch.setenv("FAKE_MAC", _mac_of(board))
    flash = ("flash", str(line.image), "--port", board.device, "--ledger", str(line.ledger))
    assert "provisioned" in line.operator.e4(*flash, expect=1)["error"]
    assert "nothing on the board can be kept" in line.operator.e4(*flash, "--keep", expect=1)["error"]
    assert (chip / "flash").read_bytes() == b"K" * (4 * _MB)
    said = line.operator.e4(*flash, "--erase")
    assert (chip / "flash").read_bytes() == line.image.read_bytes()
    assert (said["name"], said["mac"], said["noted"]) == ("alice", _mac_of(board), True)
    assert on_board(board, _PENDING) == "False"
    assert [entry["event"] for entry in _ledger(line.ledger.parent)] == [BEGUN, ISSUED]
    # Another board must not get the same image; esptool tells the MAC before anything is written.
    (chip / "flash").write_bytes(b"K" * (4 * _MB))
    monkeypatch.setenv("FAKE_MAC", "24:0a:c4:ff:ff:ff")
    assert "was issued already" in line.operator.e4(*flash, "--erase", expect=1)["error"]
    assert (chip / "flash").read_bytes() == b"K" * (4 * _MB)


def test_flashing_without_a_ledger_says_that_nothing_was_noted(line: _Line, chip: Path) -> None:
    board = line.start()
    none = line.ledger.with_name("none.jsonl")
    said = line.operator.text("flash", str(line.image), "--erase", "--port", board.device, "--ledger", str(none))
    assert "has proved" in said and "nothing was noted" in said and "e4 prove alice" in said
    assert not none.exists() and on_board(board, _PENDING) == "False"


def test_an_image_for_another_flash_or_open_to_others_is_not_written(line: _Line, chip: Path) -> None:
    flash = ("flash", str(line.image), "--erase", "--port", line.start().device, "--ledger", str(line.ledger))
    (chip / "size").write_text("8MB")
    assert "is for 4 MB of flash, and this board has 8 MB" in line.operator.e4(*flash, expect=1)["error"]
    (chip / "size").unlink()
    (chip / "chip").write_text("ESP32-S3")
    assert "is for ESP32, and this board is ESP32-S3" in line.operator.e4(*flash, expect=1)["error"]
    (chip / "chip").write_text("ESP32")
    line.image.chmod(0o644)
    assert "is open to others" in line.operator.e4(*flash, expect=1)["error"]
    assert (chip / "flash").read_bytes() == b"K" * (4 * _MB)
    assert [entry["event"] for entry in _ledger(line.ledger.parent)] == [BEGUN]
