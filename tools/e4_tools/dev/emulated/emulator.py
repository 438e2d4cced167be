"""An ESP32 or ESP32-C3 in an emulator: Espressif's QEMU, or another one with such a machine."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from e4_tools.dev.emulated.console_relay import ConsoleRelay
from e4_tools.dev.emulated.relay import Relay
from e4_tools.errors import ToolError
from e4_tools.mqtt.embedded_broker import HOST, free_port

_START_SECONDS = 30.0
_PROBE_SECONDS = 20.0
_INTERRUPT_SECONDS = 5.0  # between two times that Ctrl-C is sent
_CTRL_C = b"\x03"
_PROMPT = b"\r\n>>> "


@dataclass(frozen=True)
class Machine:
    """A chip as QEMU emulates it."""

    name: str  # of the machine
    timers: str  # the driver of its timer groups, whose watchdogs would end the emulation
    rom: str  # the file with the chip's ROM
    program: str  # the QEMU that has such a machine


MACHINES = {
    "ESP32": Machine("esp32", "timer.esp32.timg", "esp32-v3-rom.bin", "qemu-system-xtensa"),
    "ESP32-C3": Machine("esp32c3", "timer.esp32c3.timg", "esp32c3-rom.bin", "qemu-system-riscv32"),
}


def find_machine(chip: str, image: Path) -> Machine:
    """Return the machine for a chip. Raises ToolError if QEMU emulates no such chip."""
    if chip not in MACHINES:
        raise ToolError(f"{image} is for {chip}, and QEMU emulates only {' and '.join(MACHINES)}; nothing was done")
    return MACHINES[chip]


def check_qemu(qemu: Path, machine: Machine) -> None:
    """Raise ToolError unless a program is a QEMU that emulates a machine."""
    try:
        said = subprocess.run(
            [qemu, "-machine", "help"], capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS
        ).stdout
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"QEMU={qemu} cannot be run ({error}); nothing was done") from None
    if not any(line.split()[:1] == [machine.name] for line in said.splitlines()):
        tool = machine.program.removeprefix("qemu-system-")
        raise ToolError(
            f"QEMU={qemu} has no machine {machine.name}; nothing was done. This image takes a {machine.program} with "
            f"that machine: Espressif's, which ESP-IDF installs by `idf_tools.py install qemu-{tool}`"
        )


class Emulator:
    """A board whose flash is a file. `start` and `cut_power` are its switch.

    `port` is the address of its console, for `Board` and `e4 --port`, while it runs. Each start makes another one.
    `broker` is what its second serial port is relayed to.
    """

    def __init__(self, qemu: Path, machine: Machine, flash: Path, broker: tuple[str, int]) -> None:
        self._qemu = qemu
        self._machine = machine
        self._flash = flash
        self._broker = broker
        self._process: subprocess.Popen[bytes] | None = None
        self._relays: list[Relay | ConsoleRelay] = []
        self.port = ""

    def start(self) -> None:
        """Switch the board on. Raises ToolError if the emulator does not start."""
        console, network = free_port(), free_port()
        # `-icount` counts instructions instead of time, so that the board is as quick on every machine.
        command = [
            str(self._qemu), "-nographic", "-monitor", "none", "-machine", self._machine.name, "-m", "4M",
            "-icount", "3",
            "-drive", f"file={self._flash},if=mtd,format=raw",
            "-global", f"driver={self._machine.timers},property=wdt_disable,value=true",
            "-serial", f"tcp:{HOST}:{console},server,nowait", "-serial", f"tcp:{HOST}:{network},server,nowait",
        ]  # fmt: skip
        roms = next((folder for folder in self._folders() if (folder / self._machine.rom).exists()), None)
        if roms is not None:
            command[1:1] = ["-L", str(roms)]
        log = self._flash.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        console_relay = ConsoleRelay(self._connect(console, log))
        self._relays = [console_relay, Relay(self._connect(network, log), self._broker)]
        self.port = f"socket://{HOST}:{console_relay.port}"

    def interrupt(self, seconds: float) -> None:
        """Stop the application on the board, so that its prompt waits for us. Raises ToolError.

        Ctrl-C is sent again and again, because the board hears nothing while it starts, and because an emulator on a
        busy machine loses bytes.
        """
        deadline = time.monotonic() + seconds
        host, _, port = self.port.removeprefix("socket://").partition(":")
        with socket.create_connection((host, int(port))) as console:
            console.settimeout(_INTERRUPT_SECONDS)
            said = b""
            while not said.endswith(_PROMPT):
                if time.monotonic() > deadline:
                    raise ToolError("the board does not come to its prompt; does the image fit the emulator?")
                try:
                    said = (said + console.recv(4096))[-len(_PROMPT) :]
                except TimeoutError:
                    console.sendall(_CTRL_C)

    def cut_power(self) -> None:
        """End the emulator at once. What the board has written to its flash stays in the file."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for relay in self._relays:
            relay.close()
        self._relays = []

    def _folders(self) -> list[Path]:
        """Return where the ROM of the chip may lie: in an installation, and in a tree in which QEMU was built."""
        place = self._qemu.resolve().parent
        return [place.parent / "share" / "qemu", place / "pc-bios", place.parent / "pc-bios"]

    def _connect(self, port: int, log: Path) -> socket.socket:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return socket.create_connection((HOST, port), 1)
            except OSError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    self.cut_power()
                    said = log.read_text(errors="replace").strip().splitlines()
                    raise ToolError(f"the emulator does not start: {said[-1] if said else 'it says nothing'}") from None
                time.sleep(0.1)
