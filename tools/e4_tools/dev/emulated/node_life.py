"""The life of a node on the emulated board: provisioned, commanded, talking, without power, and back again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import click

from e4_tools.board.console import BoardConsole
from e4_tools.dev.emulated.emulator import Emulator
from e4_tools.dev.emulated.operator import NAME, TOPIC, Eavesdropper, FleetOperator
from e4_tools.dev.emulated.report import Report
from e4_tools.errors import ToolError

_START_SECONDS = 2400.0  # for a node to be imported, on a busy machine
_ANSWER_SECONDS = 300.0  # for the board to act on something that it has received
_SEND_AGAIN_SECONDS = 60.0
_TRIES = 5
# The addresses that the board calls. The relay leads it to the broker, and answers for time servers.
_BROKER = "192.0.2.1"
_TIME_SERVERS = '["192.0.2.3", "192.0.2.4"]'
_COMMAND_APPLIED = r"^< unprotected message:$"
_REFUSED = "^failed to unprotect message: "


class NodeLife:
    """Leads the board through its life, step by step. Every method raises ToolError at the first step that fails."""

    def __init__(self, report: Report, emulator: Emulator, operator: FleetOperator, eavesdropper: Eavesdropper) -> None:
        self._report = report
        self._emulator = emulator
        self._operator = operator
        self._eavesdropper = eavesdropper

    def live(self) -> None:
        """Go through the whole life."""
        click.echo("A node, its operator and a broker")
        self._provision()
        with BoardConsole(NAME, self._emulator.port) as console:
            self._start(console, "it starts and finds the time and the broker")
            old_command = self._command(console, "e4 grant sends it the key of a topic", "grant", NAME, TOPIC)
            self._talk(console, "there", "and back")
            self._command(console, "e4 topic rotate sends it another key", "topic", "rotate", TOPIC)
            self._hear(console, "it reads a message under the new key", "under the new key")
            with self._report.step("its power is cut"):
                self._emulator.cut_power()
        self._emulator.start()
        with BoardConsole(NAME, self._emulator.port) as console:
            self._start(console, "it starts again without help")
            self._talk(console, "there again", "and back again")
            self._replay(console, old_command)
        self._check_status()

    def _provision(self) -> None:
        with self._report.step("e4 provision gives it a name, a key and a configuration, and it proves the key"):
            self._operator.run("topic", "add", TOPIC, broker=False)
            self._operator.run(
                "provision", NAME, "--in-store", "--port", self._emulator.port, "--broker", _BROKER, "--wifi", "none",
                "--topic", TOPIC, "--set", f"time_servers={_TIME_SERVERS}",
                broker=False,
            )  # fmt: skip

    def _start(self, console: BoardConsole, what: str) -> None:
        with self._report.step(what):
            console.expect(r"^\* connected to ", _START_SECONDS)
            console.expect(f"^> subscribed to MQTT topic {TOPIC}", _ANSWER_SECONDS)

    def _command(self, console: BoardConsole, what: str, *arguments: str) -> bytes:
        """Send a command that the board obeys, and return it as it passed the broker."""
        self._eavesdropper.forget()
        with self._report.step(what):
            self._operator.run(*arguments)
            console.expect(_COMMAND_APPLIED, _ANSWER_SECONDS)
        return self._eavesdropper.next_on(self._eavesdropper.receiving_topic)

    def _talk(self, console: BoardConsole, there: str, back: str) -> None:
        self._hear(console, "it reads a message that is protected", there)
        with self._report.step("it protects a message, and others read it"), self._operator.listening() as listener:
            self._say_until_heard(console, listener, back)

    def _hear(self, console: BoardConsole, what: str, message: str) -> None:
        with self._report.step(what):
            self._send(console, message, f"^< unprotected message: {message}$")

    def _send(self, console: BoardConsole, message: str, expected: str) -> None:
        """Send a message until the board has printed a line.

        Its clock stands while the emulator does other work, so that it may take the first message for one of the
        future. It then asks the time servers soon.
        """
        self._try_often(lambda: self._operator.run("send", TOPIC, message), console, expected)

    def _say_until_heard(self, console: BoardConsole, listener: subprocess.Popen[str], message: str) -> None:
        """Type a message on the console until it is heard: `e4 listen --json` does not say when it has subscribed."""
        for _ in range(_TRIES):
            console.type(message)
            try:
                said, _ = listener.communicate(timeout=_SEND_AGAIN_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            heard = [json.loads(line).get("message") for line in said.splitlines()]
            if message not in heard:
                raise ToolError(f"what others heard is something else: {said.strip()[-300:]}")
            return
        raise ToolError("nobody has heard it")

    def _replay(self, console: BoardConsole, old_command: bytes) -> None:
        """Have somebody at the broker play what was recorded, and check that it changes nothing."""
        eavesdropper = self._eavesdropper
        self._report_refusal(
            console,
            "it refuses the command from before the power cut, played again",
            lambda: eavesdropper.play(eavesdropper.receiving_topic, old_command),
        )
        eavesdropper.forget()
        self._hear(console, "it still has the new key", "still the new key")
        message = eavesdropper.next_on(TOPIC)
        self._report_refusal(console, "it refuses a copy of that message", lambda: eavesdropper.play(TOPIC, message))

    def _report_refusal(self, console: BoardConsole, what: str, play: Callable[[], object]) -> None:
        with self._report.step(what):
            play()
            reason = console.expect(_REFUSED, _ANSWER_SECONDS)
        click.echo(f"      {reason}")

    def _try_often(self, action: Callable[[], object], console: BoardConsole, expected: str) -> None:
        for left in reversed(range(_TRIES)):
            action()
            try:
                console.expect(expected, _SEND_AGAIN_SECONDS)
                return
            except ToolError:
                if not left:
                    raise

    def _check_status(self) -> None:
        with self._report.step("e4 status says who it is, and finds nothing wrong"):
            said = json.loads(self._operator.run("status", "--port", self._emulator.port, "--json", broker=False))
            node = said.get("node") or {}
            if node.get("name") != NAME or node.get("problems") or node.get("topics_with_key") != [TOPIC]:
                raise ToolError(f"it says {said}")
