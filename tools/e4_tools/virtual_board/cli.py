"""The command that runs a virtual board in the foreground."""

import os
import signal
from pathlib import Path

import click

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.options import DEFAULT_HEAP, DEFAULT_WIFI, BoardOptions
from e4_tools.virtual_board.supervisor import Supervisor

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("board")
@click.argument("image", type=_PATH)
@click.option("--port", type=_PATH, help="Make a symbolic link to the serial port here.")
@click.option("--listen", metavar="127.0.0.1:PORT", help="Serve the serial line over TCP too; port 0: any free one.")
@click.option("--wifi", metavar="SSID:PASSWORD", default=DEFAULT_WIFI, show_default=True, help="The access point.")
@click.option("--heap", metavar="SIZE", default=DEFAULT_HEAP, show_default=True, help="Memory free at start.")
@click.option("--frozen", type=_FOLDER, help="Modules in the firmware. [default: the project's build/frozen]")
@click.option("--ntp/--no-ntp", default=True, help="Whether time servers answer.")
@click.option(
    "--cut-power-after",
    metavar="SECONDS",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Cut the power after this time, and restore it.",
)
def board_command(  # noqa: PLR0913 (one parameter for each setting)
    image: Path,
    port: Path | None,
    listen: str | None,
    wifi: str,
    heap: str,
    frozen: Path | None,
    ntp: bool,
    cut_power_after: float | None,
) -> None:
    """Run a virtual ESP32 board whose flash is the file IMAGE, until Ctrl-C.

    IMAGE is created if it is missing. It holds whatever the board stores, keys included. The file IMAGE.nvs
    beside it holds the board's key-value store.

    mpremote takes the serial port that is printed here for that of a board. The signal SIGUSR1 cuts the power
    without warning and restores it, and so does --cut-power-after, once. SIGUSR2 switches the access point off
    or on.
    """
    try:
        supervisor = Supervisor(BoardOptions(image, port, listen, wifi, heap, frozen, ntp))
    except VirtualBoardError as error:
        raise click.ClickException(str(error)) from error
    try:
        _Signals(supervisor, cut_power_after)
        _print_connections(supervisor, port)
        supervisor.run()
    except VirtualBoardError as error:
        raise click.ClickException(str(error)) from error
    finally:
        supervisor.close()


class _Signals:
    """Passes signals on to the loop of the supervisor.

    A signal handler may run in the middle of any step of the loop, so it must not touch the board itself. It writes the
    number of the signal to a pipe, which the loop reads.
    """

    def __init__(self, supervisor: Supervisor, cut_power_after: float | None) -> None:
        self._supervisor = supervisor
        # True while the access point is on. SIGUSR2 changes it.
        self._access_point = True
        # The ends of the pipe that carries the numbers of signals.
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        supervisor.add_reader(self._read_end, self._handle)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.write(self._write_end, bytes([number])))
        if cut_power_after is not None:
            signal.setitimer(signal.ITIMER_REAL, cut_power_after)

    def _handle(self) -> None:
        """Carry out the signals that have arrived."""
        for number in os.read(self._read_end, 64):
            if number in (signal.SIGINT, signal.SIGTERM):
                self._supervisor.stop()
            elif number == signal.SIGUSR2:
                self._access_point = not self._access_point
                self._supervisor.set_access_point(self._access_point)
            else:
                self._supervisor.cut_power()
                self._supervisor.power_on()


def _print_connections(supervisor: Supervisor, port: Path | None) -> None:
    device = port or supervisor.pty.device
    click.echo(f"serial port: {device}")
    if supervisor.tcp:
        click.echo(f"also at:     {supervisor.tcp.url}")
    click.echo(f"connect:     mpremote connect {device}")
    click.echo("Ctrl-C ends the board.")
