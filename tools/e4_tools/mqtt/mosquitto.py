"""The MQTT broker mosquitto, which benchmarks and tests start if it is installed on this machine."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e4_tools.errors import BrokerError
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST

_START_SECONDS = 30.0


def find_mosquitto() -> str | None:
    """Return the path of the program mosquitto, or None if it is not installed.

    Many systems install it into a folder for administrators, which is not on the search path of ordinary users.
    """
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def run_mosquitto(program: str, folder: Path, port: int) -> Iterator[None]:
    """Run mosquitto on the loopback interface while the block lasts. Raises BrokerError if it does not start."""
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} {HOST}\nallow_anonymous true\nset_tcp_nodelay true\n", encoding="utf-8")
    with subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as broker:
        try:
            _wait_for_broker(port)
            yield
        finally:
            broker.kill()


def _wait_for_broker(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with BrokerConnection(HOST, port):
                return
        except BrokerError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
