"""An operator who runs `e4` with a key store, either in this process or in another one that a test can kill."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from e4_tools.cli import main
from e4_tools.mqtt.embedded_broker import HOST

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["helpers.operator"])


@dataclass
class Operator:
    """An operator with a broker, and with a key store that a key file opens."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        key_file = self.folder / "store.key"
        key_file.touch(0o600)
        key_file.write_bytes(os.urandom(32))
        self.store = self.folder / "store" / "fleet.db"
        self.environment = {
            "E4_STORE": str(self.store),
            "E4_KEYFILE": str(key_file),
            "E4_BROKER": f"{HOST}:{self.port}",
        }

    def give(self, variable: str, value: str) -> None:
        """Set a variable of the environment in which all later commands run."""
        self.environment[variable] = value

    def add(self, topic: str, keys: dict[str, bytes]) -> None:
        """Add a topic, and clients with these ID keys by their names."""
        self.e4("topic", "add", topic)
        for name, key in keys.items():
            self.e4("client", "add", name, "--ask", E4_KEY=key.hex())

    def e4(self, *arguments: str, expect: int = 0, **environment: str) -> dict[str, Any]:
        """Run a command with --json, check its exit code, and return the answer."""
        text = self.text(*arguments, "--json", expect=expect, stdin=None, **environment)
        answer = json.loads(text.splitlines()[-1])
        assert isinstance(answer, dict)
        assert answer["ok"] == (expect == 0)
        return answer

    def text(self, *arguments: str, expect: int = 0, stdin: bytes | None = None, **environment: str) -> str:
        """Run a command, check its exit code, and return its output."""
        result = CliRunner().invoke(main, arguments, input=stdin, env={**self.environment, **environment})
        assert result.exit_code == expect, f"{arguments}: {result.exit_code}: {result.output} {result.exception!r}"
        return result.output

    def start(self, *arguments: str) -> BaseProcess:
        """Start a command in a process of its own."""
        output = str(self.folder / "output")
        process = _FORKS.Process(target=_run, args=(arguments, self.environment, output))
        process.start()
        return process


def _run(arguments: tuple[str, ...], environment: dict[str, str], output: str) -> None:
    os.environ.update(environment)
    # The tests may have been started by a program that ignores SIGINT, and this process would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(output, "a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        main(arguments, prog_name="e4")
