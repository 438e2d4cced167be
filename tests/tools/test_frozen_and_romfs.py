"""Library and application inside an image of MicroPython: frozen by the manifest, or as a ROMFS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from e4_tools.board.compile import Target, board_files, sources
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.dev.rom_folder import main, write_rom_folder
from e4_tools.paths import FIRMWARE, ROOT
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError
from helpers import manifest_rules
from helpers.board_files import hashes, on_board
from helpers.boards import KEY, BoardMaker, config_for
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

# What `boot.py` does here, an image with a partition for a ROMFS does by itself before it runs `boot.py`. The import
# path has the ROMFS at its end, as there.
_BOOT = """
import sys, vfs
with open("/image", "rb") as file:
    image = file.read()
vfs.mount(vfs.VfsRom(image), "/rom")
sys.path += ["/rom", "/rom/lib"]
"""
_HEAP = """
import gc
gc.collect()
before = gc.mem_alloc()
import firmware.node
gc.collect()
print(gc.mem_alloc() - before, firmware.node.__file__)
"""


def test_the_manifest_freezes_what_deploy_sends(tmp_path: Path) -> None:
    try:
        rules = manifest_rules.load()
    except manifest_rules.ManifestRulesMissing as error:
        pytest.skip(str(error))
    # The manifest of a port of MicroPython, which ours includes.
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "manifest.py").write_text('freeze("$(PORT_DIR)/modules")\n')
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "_boot.py").write_text("import vfs\n")
    manifest = rules.ManifestFile(rules.MODE_FREEZE, {"PORT_DIR": str(tmp_path)})
    manifest.execute(str(FIRMWARE / "manifest.py"))
    assert {file.kind for file in manifest.files()} == {rules.KIND_FREEZE_AS_MPY}
    frozen = {file.target_path: Path(file.full_path).resolve() for file in manifest.files()}
    assert frozen.pop("_boot.py") == tmp_path / "modules" / "_boot.py"
    # A module is imported by its path in the image, which is that on a board without the folder for libraries.
    assert frozen == {path.removeprefix("lib/"): ROOT / path for path, _ in sources() if "/" in path}


@pytest.fixture(scope="module")
def rom_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROMFS image for virtual boards, made by `mpremote`."""
    folder = tmp_path_factory.mktemp("image") / "rom"
    write_rom_folder(folder, Target("x64", 63, True))
    subprocess.run([sys.executable, "-m", "mpremote", "romfs", "build", str(folder)], check=True, capture_output=True)
    return folder.with_suffix(".romfs")


@pytest.fixture
def rom_board(rom_image: Path, tmp_path: Path) -> Iterator[VirtualBoard]:
    """A board that has library and application in a ROMFS, and in its flash only `boot.py` and `main.py`."""
    try:
        board = VirtualBoard(tmp_path / "rom.flash")
        board.start()
    except VirtualBoardError as error:
        pytest.skip(f"no virtual board: {error}")
    try:
        if on_board(board, "import vfs; print(hasattr(vfs, 'VfsRom'))") != "True":
            pytest.skip("this MicroPython has no ROMFS")
        with Board(board.device) as serial:
            serial.write_file("image", rom_image.read_bytes())
            serial.write_file("boot.py", _BOOT.encode())
            serial.write_file("main.py", (ROOT / "main.py").read_bytes())
            serial.reset()
        yield board
    finally:
        board.stop()


def test_a_board_with_a_romfs_is_provisioned_and_obeys(
    rom_board: VirtualBoard, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    operator = Operator(tmp_path, mosquitto.port)
    operator.add("sensors/lab", {"alice": KEY})
    provision_at(rom_board.device, config_for("alice", mosquitto.port, topics=["sensors/lab"]), KEY)
    with BoardConsole("rom", rom_board.device) as console:
        console.expect("subscribed to MQTT topic sensors/lab", 40)
        operator.e4("grant", "alice", "sensors/lab")
        console.expect("^< unprotected message:$")
        operator.e4("send", "sensors/lab", "from a ROMFS")
        console.expect("^< unprotected message: from a ROMFS$")
    assert not [path for path in hashes(rom_board) if path.endswith(".mpy")]


def test_from_a_romfs_a_node_holds_less_heap(rom_board: VirtualBoard, make_board: BoardMaker) -> None:
    held, path = on_board(rom_board, _HEAP).split()
    assert path == "/rom/firmware/node.mpy"
    from_flash, path = on_board(make_board(), _HEAP).split()
    assert path == "firmware/node.mpy"
    # Bytecode runs where it is in the image.
    assert int(held) < int(from_flash) * 0.7


def test_the_command_writes_what_a_board_imports(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path / "rom"), "--architecture", "rv32imc"])
    assert result.exit_code == 0, result.output
    written = {
        path.relative_to(tmp_path / "rom").as_posix(): path.read_bytes()
        for path in (tmp_path / "rom").rglob("*")
        if path.is_file()
    }
    expected = dict(board_files(Target("rv32imc", 31, True)))
    assert written == {path: data for path, data in expected.items() if path not in ("boot.py", "main.py")}
