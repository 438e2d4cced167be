"""The command that puts MicroPython on a board."""

from __future__ import annotations

from pathlib import Path

import click

from e4_tools.board.flash import check_erasable, wait_for_micropython, write_micropython
from e4_tools.cli.shared.options import board_port
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import ToolError
from e4_tools.image.micropython_image import find_image, read_image
from e4_tools.printable import printable


@click.command(
    epilog="\b\nExamples:\n  e4 flash --erase                                 a new board, image here or in build\n"
    "  e4 flash ESP32_GENERIC-20251209-v1.27.0.bin --port /dev/ttyUSB0"
)
@click.argument("image", type=click.Path(path_type=Path), required=False)
@click.option("--erase", is_flag=True, help="Erase the whole flash first, keys included.")
@click.option("--keep", is_flag=True, help="Write beside what is there, even if the board is provisioned.")
@reports
@board_port
def flash(report: Report, image: Path | None, port: str, erase: bool, keep: bool) -> None:
    """Put MicroPython on a board with esptool: check that IMAGE is for its chip, write it, and read it back.

    Without IMAGE the only file ESP32_GENERIC-*.bin here or in build is taken. A board that is provisioned, or that
    cannot be asked, is left alone unless --erase or --keep says what you want.
    """
    if erase and keep:
        raise click.UsageError("--erase and --keep exclude each other")
    firmware = read_image(image if image is not None else find_image())
    report.say(f"{firmware.path}: {firmware.chip}, {firmware.size} bytes", image=str(firmware.path), chip=firmware.chip)
    check_erasable(port, erase, keep)
    write_micropython(port, firmware, erase, _show)
    board = wait_for_micropython(port)
    report.say(erased=erase, verified=True, micropython=board.micropython if board else None)
    if board is None:
        raise ToolError(
            "the image was written and verified, but no MicroPython answers; press the board's reset button"
        )
    report.say(f"{port} runs MicroPython {board.micropython} on {board.machine}. Next: e4 deploy")


def _show(said: bytes) -> None:
    """Print what esptool says. It quotes what the chip has answered."""
    click.echo(printable(said, keep="\r\n\t"), nl=False, err=True)


flash_commands = [flash]
