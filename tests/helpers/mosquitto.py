"""A mosquitto for tests: each test starts its own, on a free port of this machine."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.mqtt.mosquitto import find_mosquitto


class Mosquitto:
    """A mosquitto on loopback for one test. It can be stopped and started again, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # As another user than root, mosquitto could not read the files of tests that run as root.
        self._config.write_text(f"listener {self.port} {HOST}\nallow_anonymous true\nuser root\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = find_mosquitto()
        if program is None:
            raise RuntimeError("mosquitto is not installed")
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((HOST, self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def configure(self, line: str) -> None:
        """Add a line to the configuration, and start the broker again."""
        self.stop()
        self._config.write_text(self._config.read_text() + line + "\n")
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
