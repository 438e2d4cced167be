"""The program of `make emulated`: the official image of MicroPython in an emulator of the ESP32, with our files on it.

python -m e4_tools.dev.emulated QEMU IMAGE [--vectors FILE]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from e4_tools.board.compile import Target, board_files, module_file
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.dev import conformance, conformance_cases
from e4_tools.dev.bench import figures
from e4_tools.dev.bench.budgets import Budgets, Verdict
from e4_tools.dev.bench.places import Place
from e4_tools.dev.emulated.emulator import Emulator, check_qemu
from e4_tools.errors import ToolError, with_notes
from e4_tools.image.flash_file import build_flash
from e4_tools.image.micropython_image import read_image
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.mqtt.mosquitto import find_mosquitto
from e4_tools.paths import ROOT
from e4_tools.printable import printable

_VECTORS = ROOT / "tests" / "vectors" / "e4-reference.json"
_CHIP = "ESP32"
_TARGET = Target("xtensawin", 31, True)
_FLASH_SIZE = 4 * 1024 * 1024  # bytes
_FOLDER = "/e4-emulated"  # the files that only this run needs
_BENCH = Path(figures.__file__).with_name("on_board")
_RUN_CASES = Path(conformance.__file__).with_name("on_board") / "run_cases.py"
_NETWORK = Path(__file__).with_name("on_board") / "uart_network.py"
# Each access to flash takes milliseconds in the emulator, so that a node takes minutes to start.
_PATIENCE = 2400.0  # seconds
_BOOT_SECONDS = 300.0
_ROUNDS = 3
_NAME, _TOPIC = "emulated-board", "emulated/chat"
_BOARD_SEES = "192.0.2.1"  # the address that the board calls; the relay leads it to the broker


class Run:
    """The checks that have passed and failed, and what was left out."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.left_out: list[str] = []

    def note(self, what: str, good: bool, detail: str = "") -> None:
        """Note and print the outcome of a check."""
        self.passed += good
        self.failed += not good
        click.echo(f"  {'ok' if good else 'FAILED'}  {what}{': ' if detail else ''}{printable(detail)}")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Note a check that passes if the block raises no ToolError."""
        click.echo(f"  ...  {what}")
        began = time.monotonic()
        try:
            yield
        except ToolError as error:
            self.note(what, False, with_notes(error))
            raise
        self.note(what, True, f"after {time.monotonic() - began:.0f} s")


class EmulatedPlace(Place):
    """The emulated board as a place where figures are taken. The modules that measure are in its flash already."""

    name = "emulated board"
    budgets = "board"

    def __init__(self, port: str) -> None:
        self._port = port

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, code: str) -> Any:
        with Board(self._port, restart=False) as board:
            said = board.run(f"import sys\nsys.path.insert(0, '{_FOLDER}')\n{code}", "measuring", _PATIENCE)
        return json.loads(said.splitlines()[-1])


def _make_flash(image: Path, path: Path) -> None:
    """Write the flash of a board with the image and our files, as `e4 deploy` would leave it. Raises ToolError."""
    firmware = read_image(image)
    if firmware.chip != _CHIP:
        raise ToolError(f"{image} is for {firmware.chip}, and the emulator is an {_CHIP}; nothing was done")
    files = dict(board_files(_TARGET))
    # The board has no WiFi, so its application begins with a network of ours.
    files["main.py"] = f"import sys\nsys.path.append('{_FOLDER}')\nimport uart_network\n".encode() + files["main.py"]
    for source in (_NETWORK, Path(conformance_cases.__file__), *sorted(_BENCH.glob("bench_*.py"))):
        name, data = module_file(source, _TARGET)
        files[f"{_FOLDER}/{name}"] = data
    path.touch(0o600)
    path.write_bytes(build_flash(firmware, files, _FLASH_SIZE))


def _check_board(run: Run, emulator: Emulator) -> None:
    with run.step("the image boots and answers"):
        emulator.interrupt(_BOOT_SECONDS)
    with Board(emulator.port, restart=False) as board:
        said = board.run(
            "import sys, gc\ngc.collect()\nprint(sys.implementation[2], sys.version, gc.mem_free())", "asking"
        )
    click.echo(f"       {printable(said.strip())} bytes of heap free")


def _check_conformance(run: Run, port: str, vectors: Path) -> None:
    click.echo(f"Vectors of {vectors.name}; the library takes a minute to import")
    cases = conformance.load_vectors(vectors)
    with Board(port, restart=False) as board:
        board.ask(_RUN_CASES, "start", _FOLDER, shape=str, doing="importing the library")

        def run_case(line: str) -> str:
            return str(board.ask(_RUN_CASES, "run_case", line, shape=str, doing="running a case"))

        passed, failed = conformance.run_all(f"{_CHIP}, emulated", cases, run_case)
    run.passed += passed
    run.failed += failed
    run.note("there are vectors for this mode", passed + failed > 0)


def _check_figures(run: Run, port: str) -> None:
    click.echo("Figures against their budgets; a node takes minutes to import")
    place = EmulatedPlace(port)
    budgets = Budgets(place.budgets)
    for measured in (figures.measure_times(place, _ROUNDS), figures.measure_node_heap(place)):
        for figure in measured:
            budget = budgets.of(figure)
            if budget is not None:
                limit = f"{figure.value:.5g}, budget {budget.limit:g}"
                run.note(figure.name, budget.verdict(figure.value) is not Verdict.WORSE, limit)
    run.left_out.append("the figures of 10 to 1,000 topics: each access to flash takes milliseconds in the emulator")


class _Fleet:
    """The operator of the fleet, who uses the command `e4` with a key store of its own."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._broker = f"{HOST}:{broker_port}"
        key_file = folder / "store.key"
        key_file.touch(0o600)
        key_file.write_bytes(os.urandom(32))
        self._environment = {
            **os.environ,
            "E4_STORE": str(folder / "store" / "fleet.db"),
            "E4_KEYFILE": str(key_file),
            "WIFI_PASSWORD": "",
            "E4_BOARD_SECONDS": str(int(_PATIENCE)),
        }

    def e4(self, *arguments: str, broker: bool = False) -> str:
        """Run a command, and return what it prints. Raises ToolError if it fails."""
        command = [sys.executable, "-m", "e4_tools.cli", *arguments]
        environment = {**self._environment, **({"E4_BROKER": self._broker} if broker else {})}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolError(f"e4 {' '.join(arguments)}: {(done.stdout + done.stderr).strip()[-500:]}")
        return done.stdout

    def listen(self) -> subprocess.Popen[str]:
        """Start to listen for one message."""
        command = [sys.executable, "-m", "e4_tools.cli", "listen", _TOPIC, "--count", "1", "--timeout", "300", "--json"]
        process = subprocess.Popen(
            command,
            env={**self._environment, "E4_BROKER": self._broker},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        time.sleep(3)  # `e4 listen --json` does not say when it has subscribed.
        return process


def _check_node(run: Run, emulator: Emulator, fleet: _Fleet) -> None:
    click.echo("A node, from its provisioning to a power cut")
    with run.step("e4 provision gives it a name, a key and a configuration"):
        fleet.e4("topic", "add", _TOPIC)
        fleet.e4(
            "provision", _NAME, "--in-store", "--port", emulator.port, "--broker", _BOARD_SEES, "--wifi", "emulated",
            "--topic", _TOPIC, "--set", "time_servers=[]", "--set", "time_from_commands=true",
        )  # fmt: skip
    with BoardConsole(_NAME, emulator.port) as console:
        with run.step("it starts and connects to the broker"):
            console.expect("connected to", _PATIENCE)
        with run.step("a command gives it the key of a topic"):
            fleet.e4("grant", _NAME, _TOPIC, broker=True)
            console.expect("< unprotected message:", 300)
        _check_messages(run, console, fleet, "there", "and back")
        with run.step("the power is cut"):
            emulator.cut_power()
    emulator.start()
    with BoardConsole(_NAME, emulator.port) as console:
        with run.step("it starts again, with its keys"):
            console.expect("connected to", _PATIENCE)
        # Its clock begins anew, and the last command, which the broker keeps, sets it.
        _check_messages(run, console, fleet, "there again", "and back again")
    with run.step("e4 status finds nothing wrong with it"):
        said = fleet.e4("status", "--port", emulator.port)
        if "problem" in said or not re.search(r"topics +1, with a key for 1", said):
            raise ToolError(said)


def _check_messages(run: Run, console: BoardConsole, fleet: _Fleet, there: str, back: str) -> None:
    with run.step("it reads a protected message"):
        _until(lambda: fleet.e4("send", _TOPIC, there, broker=True), console, f"< unprotected message: {there}")
    with run.step("it protects a message that others can read"):
        listener = fleet.listen()
        console.type(back)
        said, _ = listener.communicate()
        if back not in said:
            raise ToolError(f"nothing that can be read has arrived: {said.strip()[-300:]}")


def _until(send: Callable[[], object], console: BoardConsole, expected: str) -> None:
    """Send until the board has printed a line. A board that has just started may have no time yet."""
    for seconds in (60, 60, 120):
        send()
        try:
            console.expect(expected, seconds)
            return
        except ToolError as error:
            last = error
    raise last


@contextmanager
def _mosquitto(program: str, folder: Path, port: int) -> Iterator[None]:
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} {HOST}\nallow_anonymous true\n")
    with subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
        try:
            yield
        finally:
            broker.kill()


@click.command()
@click.argument("qemu", type=click.Path(path_type=Path))
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--vectors", type=click.Path(path_type=Path), default=_VECTORS, help="A file of vectors for the library.")
@click.option("--only", type=click.Choice(["vectors", "figures", "node"]), multiple=True, help="Only these parts.")
def main(qemu: Path, image: Path, vectors: Path, only: tuple[str, ...]) -> None:
    """Boot an official IMAGE in QEMU with our files on it: vectors, figures, and a whole node with its broker."""
    os.environ.setdefault("E4_BOARD_SECONDS", str(int(_PATIENCE)))
    run = Run()
    wanted = only or ("vectors", "figures", "node")
    try:
        with ExitStack() as stack:
            check_qemu(qemu)
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="e4-emulated-")))
            flash = folder / "board.flash"
            _make_flash(image, flash)
            broker_port = free_port()
            emulator = Emulator(qemu, flash, (HOST, broker_port))
            stack.callback(emulator.cut_power)
            emulator.start()
            _check_board(run, emulator)
            if "vectors" in wanted:
                _check_conformance(run, emulator.port, vectors)
            if "figures" in wanted:
                _check_figures(run, emulator.port)
            mosquitto = find_mosquitto()
            if "node" in wanted and mosquitto is None:
                run.left_out.append("a node with its broker: mosquitto is not installed")
            elif "node" in wanted and mosquitto is not None:
                stack.enter_context(_mosquitto(mosquitto, folder, broker_port))
                _check_node(run, emulator, _Fleet(folder, broker_port))
    except ToolError as error:
        if not run.failed:
            raise click.ClickException(with_notes(error)) from None
    for part in set(("vectors", "figures", "node")) - set(wanted):
        run.left_out.append(part)
    for text in run.left_out:
        click.echo(f"left out: {text}")
    click.echo(f"{run.passed} passed, {run.failed} failed")
    sys.exit(1 if run.failed else 0)


if __name__ == "__main__":
    main()
