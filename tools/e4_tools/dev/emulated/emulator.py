"""An ESP32 in an emulator: Espressif's QEMU, or another one with the machine `esp32`."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from e4_tools.dev.emulated.relay import Relay
from e4_tools.errors import ToolError
from e4_tools.mqtt.embedded_broker import HOST, free_port

_START_SECONDS = 30.0
_PROBE_SECONDS = 20.0
_INTERRUPT_SECONDS = 5.0  # between two times that Ctrl-C is sent
_CTRL_C = b"\x03"
_PROMPT = b"\r\n>>> "
_ROM = "esp32-v3-rom.bin"
_MACHINE = "esp32"


def check_qemu(qemu: Path) -> None:
    """Raise ToolError unless a program is a QEMU that emulates an ESP32."""
    try:
        said = subprocess.run(
            [qemu, "-machine", "help"], capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"QEMU={qemu} cannot be run: {error}; nothing was done") from None
    if not any(line.split()[:1] == [_MACHINE] for line in said.splitlines()):
        raise ToolError(
            f"{qemu} does not emulate an ESP32; nothing was done. It takes a qemu-system-xtensa with the machine "
            "esp32: that of Espressif, which ESP-IDF installs by `idf_tools.py install qemu-xtensa`"
        )


class Emulator:
    """An ESP32 whose flash is a file. `start` and `cut_power` are its switch.

    `port` is the address of its console, for `Board` and `e4 --port`, while it runs. `broker` is what its second serial
    port is relayed to.
    """

    def __init__(self, qemu: Path, flash: Path, broker: tuple[str, int]) -> None:
        self._qemu = qemu
        self._flash = flash
        self._broker = broker
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: Relay | None = None
        self.port = ""

    def start(self) -> None:
        """Switch the board on. Raises ToolError if the emulator does not start."""
        console, network = free_port(), free_port()
        # `-icount` counts instructions instead of time, so that the board is as quick on every machine.
        command = [
            str(self._qemu), "-nographic", "-machine", _MACHINE, "-m", "4M", "-monitor", "none", "-icount", "3",
            "-drive", f"file={self._flash},if=mtd,format=raw",
            "-global", "driver=timer.esp32.timg,property=wdt_disable,value=true",
            "-serial", f"tcp:{HOST}:{console},server,nowait", "-serial", f"tcp:{HOST}:{network},server,nowait",
        ]  # fmt: skip
        roms = next((folder for folder in self._folders() if (folder / _ROM).exists()), None)
        if roms is not None:
            command[1:1] = ["-L", str(roms)]
        log = self._flash.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._relay = Relay(self._connect(network, log), self._broker)
        self.port = f"socket://{HOST}:{console}"

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
        if self._relay is not None:
            self._relay.close()
            self._relay = None

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
