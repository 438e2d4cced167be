"""The command that writes MicroPython, or an image with all files of a board, to a board."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click

from e4_tools.board.flash import (
    check_erasable,
    detect_chip,
    wait_for_micropython,
    write_flash,
    write_micropython,
)
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.options import board_port, ledger_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import ToolError
from e4_tools.image.flash_file import FlashContents, read_flash
from e4_tools.image.micropython_image import find_image, read_image
from e4_tools.printable import printable
from e4_tools.provisioning.identity_files import Identity, read_identity
from e4_tools.provisioning.image_factory import check_secret_image
from e4_tools.provisioning.image_proof import prove_board
from e4_tools.provisioning.key_sources import GivenKey
from e4_tools.provisioning.ledger import Ledger

_UNANSWERED = "the image was written and verified, but no MicroPython answers; press the board's reset button"


@click.command(
    epilog="\b\nExamples:\n  e4 flash --erase                                 a new board, image here or in build\n"
    "  e4 flash ESP32_GENERIC-20251209-v1.27.0.bin --port /dev/ttyUSB0\n"
    "  e4 flash alice.secret.bin                        as e4 image has made it"
)
@click.argument("image", type=click.Path(path_type=Path), required=False)
@click.option("--erase", is_flag=True, help="Erase the whole flash first, keys included.")
@click.option("--keep", is_flag=True, help="Write beside what is there, even if the board is provisioned.")
@ledger_option
@reports
@board_port
def flash(report: Report, image: Path | None, port: str, erase: bool, keep: bool, ledger: Path) -> None:  # noqa: PLR0913
    """Put MicroPython on a board with esptool: check that IMAGE is for its chip, write it, and read it back.

    Without IMAGE the only file ESP32_GENERIC-*.bin here or in build is taken. A board that is provisioned, or that
    cannot be asked, is left alone unless --erase or --keep says what you want.

    IMAGE may be one of e4 image, with all files of a board. Then the whole flash is erased before, and the board is
    ready afterwards. With an identity in the image, the board proves its key, and the ledger, if it is there, notes it
    as issued. A name that is issued to another board is refused: each image is for one board.
    """
    if erase and keep:
        raise click.UsageError("--erase and --keep exclude each other")
    path = image if image is not None else find_image()
    contents = _read_contents(path)
    if contents is None:
        _flash_micropython(report, path, port, erase, keep)
        return
    if keep:
        raise ToolError(f"{path} is for the whole flash, so nothing on the board can be kept; nothing was done")
    identity = read_identity(contents.files)
    if identity is not None:
        check_secret_image(path)
    _WholeFlash(report, path, contents, identity, ledger).flash(port, erase)


def _read_contents(path: Path) -> FlashContents | None:
    """Return what is in an image of `e4 image`, or None if the file is something else."""
    try:
        return read_flash(path.read_bytes())
    except OSError:
        return None  # The error says more if the file is read as MicroPython.


def _flash_micropython(report: Report, path: Path, port: str, erase: bool, keep: bool) -> None:
    firmware = read_image(path)
    report.say(f"{firmware.path}: {firmware.chip}, {firmware.size} bytes", image=str(firmware.path), chip=firmware.chip)
    check_erasable(port, erase, keep)
    write_micropython(port, firmware, erase, _show)
    board = wait_for_micropython(port)
    report.say(erased=erase, verified=True, micropython=board.micropython if board else None)
    if board is None:
        raise ToolError(_UNANSWERED)
    report.say(f"{port} runs MicroPython {board.micropython} on {board.machine}. Next: e4 deploy")


@dataclass(frozen=True)
class _WholeFlash:
    """An image of `e4 image` that is to be written."""

    report: Report
    path: Path
    contents: FlashContents
    identity: Identity | None
    ledger: Path

    def flash(self, port: str, erase: bool) -> None:
        """Write it to the board at a port, and have the board prove its key. Raises ToolError."""
        whose = f", the flash of {self.identity.name}" if self.identity else ""
        self.report.say(f"{self.path}: {self.contents.chip}{whose}", image=str(self.path), chip=self.contents.chip)
        check_erasable(port, erase, keep=False)
        chip = detect_chip(port, _show)
        if self.identity is not None and chip.mac is not None and self.ledger.exists():
            with Ledger(self.ledger) as ledger:
                if ledger.knows(self.identity.name):
                    ledger.refuse_proof(self.identity.name, chip.mac, self.identity.key)
        write_flash(port, chip, self.path, self.contents, _show)
        board = wait_for_micropython(port)
        self.report.say(erased=True, verified=True, micropython=board.micropython if board else None)
        if board is None:
            later = f", then e4 prove {self.identity.name} with --in-store or --keys" if self.identity else ""
            raise ToolError(f"{_UNANSWERED}{later}")
        if self.identity is None:
            self.report.say(f"{port} runs MicroPython {board.micropython} and E4 {board.version}. Next: e4 provision")
        else:
            self._prove(port, self.identity)

    def _prove(self, port: str, identity: Identity) -> None:
        source = GivenKey(identity.key)
        with Board(port) as board:
            if self.ledger.exists():
                with Ledger(self.ledger) as ledger:
                    proved = prove_board(board, identity.name, source, ledger if ledger.knows(identity.name) else None)
            else:
                proved = prove_board(board, identity.name, source, None)
            board.reset()
        self.report.say(f"{proved.name} has proved that it holds its ID key.", **asdict(proved))
        if proved.noted:
            self.report.say(f"It is issued to board {proved.mac}.")
        else:
            self.report.say(
                f"{self.ledger} does not know it, so nothing was noted. Where the ledger is: e4 prove {proved.name}"
            )


def _show(said: bytes) -> None:
    """Print what esptool says. It quotes what the chip has answered."""
    click.echo(printable(said, keep="\r\n\t"), nl=False, err=True)


flash_commands = [flash]
