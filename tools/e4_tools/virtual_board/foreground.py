"""Runs a virtual board in the foreground, for the command `e4 board`, and obeys the signals that reach it."""

import os
import signal

import click

from e4_tools.virtual_board.options import BoardOptions
from e4_tools.virtual_board.supervisor import Supervisor


def run_board(options: BoardOptions, cut_power_after: float | None) -> None:
    """Run a board until Ctrl-C. `cut_power_after` is the number of seconds until its power is cut once.

    Raises VirtualBoardError if the board cannot start or go on.
    """
    supervisor = Supervisor(options)
    try:
        _Signals(supervisor, cut_power_after)
        _print_connections(supervisor, options)
        supervisor.run()
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


def _print_connections(supervisor: Supervisor, options: BoardOptions) -> None:
    device = options.port or supervisor.pty.device
    click.echo(f"serial port: {device}")
    if supervisor.tcp:
        click.echo(f"also at:     {supervisor.tcp.url}")
    click.echo(f"connect:     mpremote connect {device}")
    click.echo("Ctrl-C ends the board.")
