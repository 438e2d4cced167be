"""Flashing MicroPython: what `e4 flash` checks before, and what it says afterwards.

Both the chip and `esptool` are fakes. No test here shows that the real esptool flashes a real chip; it was only run to
the point where it finds no chip.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e4_tools.board import flash as flashing
from e4_tools.errors import PortError, ToolError
from e4_tools.image.micropython_image import FirmwareImage, find_image, read_image
from e4_tools.provisioning.install import provision_at
from helpers.boards import BoardMaker, config_for
from helpers.e4_process import E4
from helpers.firmware_image import write_image

_FAKE = Path(__file__).resolve().parents[1] / "helpers" / "fake_esptool"


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the fake chip: an ESP32 with 64 KB of flash that is not empty."""
    folder = tmp_path / "chip"
    folder.mkdir()
    (folder / "chip").write_text("ESP32")
    (folder / "flash").write_bytes(b"K" * 65536)
    monkeypatch.setenv("FAKE_CHIP", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(_FAKE))
    return folder


@pytest.mark.parametrize(
    ("chip_id", "name", "offset", "architecture"),
    [
        (0, "ESP32", 0x1000, "xtensawin"),
        (2, "ESP32-S2", 0x1000, "xtensawin"),
        (9, "ESP32-S3", 0, "xtensawin"),
        (5, "ESP32-C3", 0, "rv32imc"),
        (13, "ESP32-C6", 0, "rv32imc"),
        (23, "ESP32-C5", 0x2000, "rv32imc"),
    ],
)
def test_an_image_tells_its_chip(tmp_path: Path, chip_id: int, name: str, offset: int, architecture: str) -> None:
    path = write_image(tmp_path / "image.bin", chip_id, offset)
    assert read_image(path) == FirmwareImage(path, name, offset, architecture, path.read_bytes())


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        ({"magic": 0x7F}, "no firmware for an ESP32"),
        ({"chip_id": 999}, "not known here"),
        ({"whole": False}, "not a whole firmware"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, made: dict[str, int], complaint: str) -> None:
    with pytest.raises(ToolError, match=f"{complaint}.*nothing was done"):
        read_image(write_image(tmp_path / "image.bin", **made))  # type: ignore[arg-type]


def test_a_missing_image_says_what_to_get_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = r"ESP32_GENERIC-20251209-v1\.27\.0\.bin from https://micropython\.org/download/ESP32_GENERIC/"
    for missing in (find_image, lambda: read_image(Path("no.bin"))):
        with pytest.raises(ToolError, match=where):
            missing()
    (tmp_path / "build").mkdir()
    path = write_image(tmp_path / "build" / "ESP32_GENERIC-20251209-v1.27.0.bin")
    assert find_image().resolve() == path
    write_image(tmp_path / "ESP32_GENERIC-20250101-v1.26.0.bin")
    with pytest.raises(ToolError, match="say which"):
        find_image()


@pytest.mark.parametrize("erase", [False, True])
def test_an_image_is_written_at_its_place_and_verified(tmp_path: Path, chip: Path, erase: bool) -> None:
    path = write_image(tmp_path / "image.bin")
    said: list[bytes] = []
    flashing.write_micropython("port", read_image(path), erase, said.append)
    flash = (chip / "flash").read_bytes()
    assert flash[0x1000:0xB000] == path.read_bytes()
    assert flash[0xB000:] == (b"\xff" if erase else b"K") * 0x5000
    assert b"Hash of data verified" in b"".join(said) and b"Verification successful" in b"".join(said)


def test_an_image_for_another_chip_is_not_written(tmp_path: Path, chip: Path) -> None:
    image = read_image(write_image(tmp_path / "image.bin", 9, 0))
    with pytest.raises(ToolError, match="is for ESP32-S3, and this board is ESP32; nothing was written"):
        flashing.write_micropython("port", image, True, lambda said: None)
    assert (chip / "flash").read_bytes() == b"K" * 65536


@pytest.mark.parametrize("unnoticed", [False, True])
def test_a_write_that_fails_is_noticed(tmp_path: Path, chip: Path, unnoticed: bool) -> None:
    (chip / "worn").touch()
    if unnoticed:
        (chip / "unnoticed").touch()
    with pytest.raises(PortError, match="Verification failed" if unnoticed else "MD5 of file does not match"):
        flashing.write_micropython("port", read_image(write_image(tmp_path / "image.bin")), False, lambda said: None)


def test_no_chip(tmp_path: Path, chip: Path) -> None:
    (chip / "chip").unlink()
    with pytest.raises(PortError, match=r"no chip answers; nothing was written.*Failed to connect"):
        flashing.write_micropython("port", read_image(write_image(tmp_path / "image.bin")), False, lambda said: None)


def test_the_real_esptool_understands_us_as_far_as_there_is_no_chip(tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"no chip answers; nothing was written.*rror"):
        flashing.write_micropython(
            "/dev/no-such-port", read_image(write_image(tmp_path / "image.bin")), False, lambda said: None
        )
    selected = ["--chip", "esp32", "--port", "/dev/no-such-port", "--baud", "460800"]
    for arguments in (["--after", "no-reset", "write-flash", "--erase-all"], ["verify-flash"]):
        command = [*selected, *arguments, "0x1000", str(tmp_path / "image.bin")]
        with pytest.raises(PortError, match=r"Could not open /dev/no-such-port|no-such-port"):
            flashing._esptool(command, "as expected", lambda said: None)


def test_a_board_that_may_hold_keys_is_left_alone(
    make_board: BoardMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    board = make_board()
    with pytest.raises(ToolError, match="virtual board"):
        flashing.check_erasable(board.device, True, False)
    monkeypatch.setattr("e4_tools.board.inspection.VIRTUAL", "a board of another kind")
    flashing.check_erasable(board.device, False, False)
    provision_at(board.device, config_for("alice", 1), b"k" * 32)
    with pytest.raises(ToolError, match=r"provisioned.*--erase"):
        flashing.check_erasable(board.device, False, False)
    flashing.check_erasable(board.device, True, False)
    flashing.check_erasable(board.device, False, True)


def test_a_board_that_cannot_be_asked_needs_a_word(tmp_path: Path) -> None:
    ours, its = os.openpty()
    try:
        with pytest.raises(PortError, match=r"cannot be asked whether it holds keys.*--erase"):
            flashing.check_erasable(os.ttyname(its), False, False)
    finally:
        os.close(ours)
        os.close(its)


def test_the_command_line(tmp_path: Path, chip: Path, deployed_image: Path) -> None:
    tool = E4(tmp_path / "e4", FAKE_CHIP=str(chip))
    assert "ESP32_GENERIC-20251209-v1.27.0.bin" in tool.run("flash", "--port", "/dev/no-such-port", code=1)
    image = str(write_image(tmp_path / "image.bin"))
    said = tool.run("flash", image, "--port", "/dev/no-such-port", "--erase", code=1)
    assert "written and verified, but no MicroPython answers" in said
    assert "exclude" in tool.run("flash", image, "--port", "x", "--erase", "--keep", code=2)
