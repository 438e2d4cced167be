"""The command that runs a virtual board in the foreground.

Everything of it that needs Linux is imported when the command runs, because `e4` has the command on every system.
"""

import sys
from pathlib import Path

import click

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.options import DEFAULT_HEAP, DEFAULT_WIFI, BoardOptions

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("board")
@click.argument("image", type=_PATH, metavar="FLASH")
@click.option("--image", "chip_image", type=_PATH, help="Begin with the file system in this file of e4 image.")
@click.option("--port", type=_PATH, help="Make a symbolic link to the serial port here.")
@click.option("--listen", metavar="127.0.0.1:PORT", help="Serve the serial line over TCP too; port 0: any free one.")
@click.option("--wifi", metavar="SSID:PASSWORD", default=DEFAULT_WIFI, show_default=True, help="The access point.")
@click.option("--heap", metavar="SIZE", default=DEFAULT_HEAP, show_default=True, help="Memory free at start.")
@click.option("--frozen", type=_FOLDER, help="Modules in the firmware. [default: umqtt.simple]")
@click.option("--ntp/--no-ntp", default=True, help="Whether time servers answer.")
@click.option(
    "--cut-power-after",
    metavar="SECONDS",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Cut the power after this time, and restore it.",
)
def board_command(  # noqa: PLR0913 (one parameter for each setting)
    image: Path,
    chip_image: Path | None,
    port: Path | None,
    listen: str | None,
    wifi: str,
    heap: str,
    frozen: Path | None,
    ntp: bool,
    cut_power_after: float | None,
) -> None:
    """Run a virtual ESP32 board whose flash is the file FLASH, until Ctrl-C.

    FLASH is created if it is missing. It holds whatever the board stores, keys included. The file FLASH.nvs
    beside it holds the board's key-value store. With --image a new FLASH begins with the files, and perhaps the
    identity, of an image for a chip, which stays as it is.

    mpremote takes the serial port that is printed here for that of a board. The signal SIGUSR1 cuts the power
    without warning and restores it, and so does --cut-power-after, once. SIGUSR2 switches the access point off
    or on.
    """
    if sys.platform != "linux":
        raise click.ClickException(
            "virtual boards run on Linux only; everything else of e4 works here with real boards"
        )
    from e4_tools.virtual_board.foreground import run_board  # noqa: PLC0415

    try:
        run_board(BoardOptions(image, port, listen, wifi, heap, frozen, ntp, chip_image), cut_power_after)
    except VirtualBoardError as error:
        raise click.ClickException(str(error)) from error
