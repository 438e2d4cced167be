"""The operator of the emulated board, who uses the command `e4`, and whoever else is at the broker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import e4
from e4_tools.errors import ToolError
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.mqtt.incoming import IncomingMessages

NAME = "emulated-board"
TOPIC = "emulated/chat"
_COMMAND_SECONDS = 3600.0
_E4 = (sys.executable, "-m", "e4_tools.cli")


class FleetOperator:
    """Runs `e4` in processes of its own, with a key store of its own and a broker on the loopback interface."""

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
        }

    def run(self, *arguments: str, broker: bool = True) -> str:
        """Run a command, and return what it prints. Raises ToolError if it fails."""
        done = subprocess.run(
            [*_E4, *arguments],
            env=self._with_broker() if broker else self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            raise ToolError(f"e4 {' '.join(arguments)}: {(done.stdout + done.stderr).strip()[-500:]}")
        return done.stdout

    @contextmanager
    def listening(self) -> Iterator[subprocess.Popen[str]]:
        """Listen for one message on the topic, in a process that ends when it has come."""
        command = [*_E4, "listen", TOPIC, "--count", "1", "--json"]
        with subprocess.Popen(
            command, env=self._with_broker(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _with_broker(self) -> dict[str, str]:
        return {**self._environment, "E4_BROKER": self._broker}


class Eavesdropper:
    """Hears what passes the broker on the board's topics, and can play it again. A context manager."""

    def __init__(self, broker_port: int) -> None:
        self._connection = BrokerConnection(HOST, broker_port)
        self._heard = IncomingMessages()
        self.receiving_topic = e4.receiving_topic(e4.id_of(NAME))

    def __enter__(self) -> Eavesdropper:
        self._connection.__enter__()
        self._connection.listen([self.receiving_topic, TOPIC], self._heard.add)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.__exit__(None, None, None)

    def forget(self) -> None:
        """Forget what was heard so far."""
        while self._heard.get(0) is not None:
            pass

    def next_on(self, topic: str) -> bytes:
        """Return the next payload that passes on a topic. Raises ToolError if none does within 10 seconds."""
        while (heard := self._heard.get(10)) is not None:
            if heard[0] == topic:
                return heard[1]
        raise ToolError(f"nothing has passed the broker on {topic}")

    def play(self, topic: str, payload: bytes) -> None:
        """Publish a payload once more. Raises BrokerError."""
        self._connection.publish(topic, payload, retain=False)
