"""The program of `make emulated`: an official image of MicroPython in an emulator of the ESP32, with our files on it.

python -m e4_tools.dev.emulated QEMU IMAGE [--vectors FILE] [--only PART]
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from e4_tools.board.raw_repl import Board
from e4_tools.dev import conformance
from e4_tools.dev.emulated.board_flash import write_flash
from e4_tools.dev.emulated.emulator import Emulator, check_qemu, find_machine
from e4_tools.dev.emulated.measurements import check_figures, check_vectors
from e4_tools.dev.emulated.node_life import NodeLife
from e4_tools.dev.emulated.operator import Eavesdropper, FleetOperator
from e4_tools.dev.emulated.report import Report
from e4_tools.errors import ToolError, with_notes
from e4_tools.image.micropython_image import read_image
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.mqtt.mosquitto import find_mosquitto, run_mosquitto
from e4_tools.paths import ROOT
from e4_tools.printable import printable

_VECTORS = ROOT / "tests" / "vectors" / "e4-reference.json"
_PARTS = ("vectors", "figures", "node")
# How long the board may be silent. Each access to flash takes milliseconds in the emulator, and more on a busy machine.
_PATIENCE = "2400"  # seconds
_BOOT_SECONDS = 600.0


def _check_boot(report: Report, emulator: Emulator) -> None:
    with report.step("the image boots, mounts our file system and answers"):
        emulator.interrupt(_BOOT_SECONDS)
        with Board(emulator.port, restart=False) as board:
            said = board.run(
                "import sys, gc, os\nos.stat('/lib/e4')\ngc.collect()\n"
                "print(sys.implementation[2] + ',', sys.version + ',', gc.mem_free(), 'bytes of heap free')",
                "asking the board what it is",
            )
    click.echo(f"      {printable(said.strip())}, after 8 KB for buffers that only the emulator needs")


def _check(report: Report, qemu: Path, image: Path, vectors: Path, wanted: Sequence[str]) -> None:
    """Check the wanted parts. Raises ToolError for what keeps the others from being checked."""
    firmware = read_image(image)
    machine = find_machine(firmware.chip, image)
    check_qemu(qemu, machine)
    conformance.load_vectors(vectors)  # If there is something wrong with them, the user should know now.
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="e4-emulated-")))
        flash = folder / "board.flash"
        write_flash(firmware, flash)
        broker_port = free_port()
        emulator = Emulator(qemu, machine, flash, (HOST, broker_port))
        stack.callback(emulator.cut_power)
        emulator.start()
        _check_boot(report, emulator)
        if "vectors" in wanted:
            check_vectors(report, emulator.port, vectors, firmware.chip)
        if "figures" in wanted:
            check_figures(report, emulator.port, firmware.chip)
        if "node" in wanted:
            mosquitto = find_mosquitto()
            if mosquitto is None:
                report.leave_out("a node with its broker: mosquitto is not installed")
                return
            stack.enter_context(run_mosquitto(mosquitto, folder, broker_port))
            eavesdropper = stack.enter_context(Eavesdropper(broker_port))
            NodeLife(report, emulator, FleetOperator(folder, broker_port), eavesdropper).live()


@click.command()
@click.argument("qemu", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--vectors", type=click.Path(path_type=Path), default=_VECTORS, help="A file of vectors for the library.")
@click.option("--only", type=click.Choice(_PARTS), multiple=True, help="Only this part; repeatable.")
def main(qemu: Path, image: Path, vectors: Path, only: tuple[str, ...]) -> None:
    """Boot an official IMAGE in QEMU with our files on it: vectors, figures, and a whole node with its broker."""
    os.environ.setdefault("E4_BOARD_SECONDS", _PATIENCE)
    report = Report()
    wanted = only or _PARTS
    for part in _PARTS:
        if part not in wanted:
            report.leave_out(f"the {part}: not asked for")
    try:
        _check(report, qemu, image, vectors, wanted)
    except ToolError as error:
        if not report.failed:  # No step has said it.
            if not report.passed:
                raise click.ClickException(with_notes(error)) from None
            report.note("the run goes on", False, with_notes(error))
        report.leave_out("what comes after the failure")
    sys.exit(0 if report.close() else 1)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    # Exit through SystemExit, so that no emulator and no broker is left behind.
    signal.signal(signal.SIGTERM, _end)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _end)
    main()
