"""Plays the story of the E4 tutorial on three boards. Every step is checked against what the boards print.

python -m e4_tools.dev.demo [--broker HOST:PORT] [--port DEVICE]
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console as Terminal
from rich.markup import escape

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.deploy import deploy_to
from e4_tools.board.serial_line import patience
from e4_tools.errors import ToolError, cleaning_up, with_notes
from e4_tools.keys.passwords import derive_keys
from e4_tools.keys.symmetric import new_key
from e4_tools.mqtt.bounded_client import BoundedClient
from e4_tools.mqtt.broker import BrokerConnection, parse_address
from e4_tools.mqtt.embedded_broker import HOST, EmbeddedBroker
from e4_tools.mqtt.incoming import IncomingMessages
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError
from e4_tools.virtual_board.options import DEFAULT_PASSWORD, DEFAULT_SSID

TOPIC = "/e4go/demo/messages"
PASSWORDS = {name: f"super-secret-{name}-password" for name in ("alice", "bob", "eve")}
_COLOURS = {"alice": "cyan", "bob": "green", "eve": "magenta", "broker": "yellow"}
_VIRTUAL_WIFI = {"ssid": DEFAULT_SSID, "password": DEFAULT_PASSWORD}
_VIRTUAL_SECONDS = 60.0  # until a virtual board prints what is expected
_RAW = r"< received raw message on "


class DemoError(ToolError):
    """A step of the story has failed, or the broker for it cannot be used."""


@dataclass
class Stage:
    """The place of the story: the address of the broker, and the board of alice if that is a real one.

    `embedded` says that the broker runs in this process. `alice_port` is the serial port of the real board and
    `alice_wifi` its network. Both are None if the board of alice is virtual.
    """

    host: str
    port: int
    embedded: bool = False
    alice_port: str | None = None
    alice_wifi: dict[str, str] | None = None


class Wiretap:
    """Subscribes at the broker, as anyone on the network can, and keeps the payloads that have passed."""

    def __init__(self, stage: Stage) -> None:
        self._passed = IncomingMessages()
        self._subscribed = threading.Event()
        self._client = BoundedClient()
        self._client.on_connect = lambda client, *_: client.subscribe([(TOPIC, 1), ("e4/+", 1)])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._passed.add("", bytes(message.payload))
        try:
            self._client.connect(stage.host, stage.port)
        except OSError as error:
            raise DemoError(f"broker {stage.host}:{stage.port} cannot be reached: {error}") from None
        self._client.loop_start()
        if not self._subscribed.wait(10):
            raise DemoError(f"broker {stage.host}:{stage.port} does not confirm our subscription")

    def payloads(self) -> list[bytes]:
        """Return the payloads that have passed since this was asked last."""
        return [payload for _, payload in iter(lambda: self._passed.get(0), None)]

    def close(self) -> None:
        """End the connection to the broker."""
        self._client.disconnect()
        self._client.loop_stop()


class Story:
    """Plays the story and prints it. `keys` are the ID keys of alice, bob and eve. `stack` closes all at the end."""

    def __init__(self, stage: Stage, keys: dict[str, bytes], terminal: Terminal, stack: ExitStack) -> None:
        self._stage = stage
        self._keys = keys
        self._terminal = terminal
        self._stack = stack
        # The number of steps so far.
        self._steps = 0
        # The virtual boards, the serial ports of all boards, and their consoles, each by the name of the board.
        self._boards: dict[str, VirtualBoard] = {}
        self._ports: dict[str, str] = {}
        self._consoles: dict[str, BoardConsole] = {}
        # The lines that alice has typed.
        self._said: list[str] = []

    def play(self) -> int:
        """Play the whole story and return the number of steps. Raises ToolError at the first step that fails."""
        wiretap = Wiretap(self._stage)
        self._stack.callback(wiretap.close)
        self._plug_in()
        self._flash()
        self._name()
        topic_key = self._init_keys()
        self._alice_to_bob()
        self._eve_cannot_read()
        self._authorise_eve(topic_key)
        self._power_cut()
        self._rotate()
        self._check_nothing_leaked(wiretap, topic_key)
        return self._steps

    # The steps

    def _plug_in(self) -> None:
        with self._step("Three boards are plugged in"):
            folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="e4-demo-")))
            for name in PASSWORDS:
                if name == "alice" and self._stage.alice_port:
                    self._ports[name] = self._stage.alice_port
                else:
                    self._boards[name] = self._stack.enter_context(VirtualBoard(folder / f"{name}.flash"))
                    self._ports[name] = self._boards[name].device
                self._note(f"{name} is at {self._ports[name]}")

    def _flash(self) -> None:
        with self._step("Each gets library, application and main.py, by mpremote"), ThreadPoolExecutor() as pool:
            for name, files in zip(self._ports, pool.map(deploy_to, self._ports.values()), strict=True):
                self._note(f"{name} has {files} files")

    def _name(self) -> None:
        with self._step("Each is given its name and its key, over its serial port"):
            for name, port in self._ports.items():
                provision_at(port, self._config(name), self._keys[name])
                self._note(f"{name} proves that it holds its key, and listens on {e4.receiving_topic(e4.id_of(name))}")
                # The console is opened at once, because what a board prints while nobody listens is lost.
                self._consoles[name] = self._stack.enter_context(BoardConsole(name, port, self._printer(name)))
            for name in self._consoles:
                self._expect(name, f"> subscribed to MQTT topic {TOPIC}")

    def _init_keys(self) -> bytes:
        with self._step(f"C2 makes a key for {TOPIC} and sends it to alice and bob, encrypted for each"):
            topic_key = new_key()
            self._set_topic_key(topic_key, "alice", "bob")
        return topic_key

    def _alice_to_bob(self) -> None:
        with self._step("alice types a line; bob reads it"):
            self._say("Hello, I am alice and this is a secret message for bob!", "bob")

    def _eve_cannot_read(self) -> None:
        with self._step("eve heard it too, and cannot read it"):
            self._expect("eve", _RAW + TOPIC)
            self._expect("eve", "failed to unprotect message: topic key not found")

    def _authorise_eve(self, topic_key: bytes) -> None:
        with self._step("C2 authorises eve; now she reads as well"):
            self._set_topic_key(topic_key, "eve")
            self._say("Welcome, eve.", "bob", "eve")

    def _power_cut(self) -> None:
        with self._step("bob's power is cut; he comes back and still reads"):
            self._boards["bob"].cut_power()
            self._note("bob is dark")
            if self._stage.embedded:
                self._note("(this broker, unlike others, then sends him retained messages that are not for him, too:")
                self._note("he says that he failed to unprotect them)")
            self._boards["bob"].power_on()
            self._expect("bob", f"> subscribed to MQTT topic {TOPIC}")
            self._say("Are you back, bob?", "bob", "eve")

    def _rotate(self) -> None:
        with self._step("C2 rotates the key for alice and bob; eve, left out, no longer reads"):
            self._set_topic_key(new_key(), "alice", "bob")
            self._say("This one is not for eve.", "bob")
            self._expect("eve", "failed to unprotect message: not authentic")

    def _check_nothing_leaked(self, wiretap: Wiretap, topic_key: bytes) -> None:
        with self._step("Whoever listened at the broker has ciphertext only"):
            payloads = wiretap.payloads()
            heard = b"\n".join(payloads)
            for secret in (*(line.encode() for line in self._said), topic_key, *self._keys.values()):
                if secret in heard:
                    raise DemoError("something passed the broker in the clear")
            if len(payloads) < len(self._said):
                raise DemoError(f"only {len(payloads)} messages passed the broker")
            self._note(f"{len(payloads)} messages passed, {len(heard)} bytes, none of them readable")

    # Parts of the steps

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        """Print the title of a step, and a tick when the step has ended without an error."""
        self._steps += 1
        self._terminal.print(f"\n[bold]{self._steps}. {escape(title)}[/bold]")
        yield
        self._terminal.print("   [bold green]✓[/bold green]")

    def _note(self, text: str) -> None:
        """Print a line of the story."""
        self._terminal.print(f"   {escape(text)}", highlight=False)

    def _printer(self, name: str) -> Any:
        """Return a function that prints a line of this board."""
        colour = _COLOURS[name]

        def show(line: str) -> None:
            if line.strip():
                self._terminal.print(f"   [{colour}]{name:>5} │[/{colour}] {escape(line)}", highlight=False)

        return show

    def _config(self, name: str) -> dict[str, Any]:
        """Return the configuration of a board."""
        real = name == "alice" and self._stage.alice_wifi
        return {
            "name": name,
            "wifi": real or _VIRTUAL_WIFI,
            "broker": {"host": self._stage.host, "port": self._stage.port},
            "topics": [TOPIC],
        }

    def _set_topic_key(self, key: bytes, *names: str) -> None:
        """Send the key of the topic to these boards, and check that each has received it."""
        with BrokerConnection(self._stage.host, self._stage.port) as broker:
            for name in names:
                broker.send_command(e4.id_of(name), self._keys[name], e4.commands.set_topic_key(key, TOPIC))
                self._expect(name, _RAW + e4.receiving_topic(e4.id_of(name)))
                self._expect(name, "^< unprotected message:$")

    def _expect(self, name: str, pattern: str) -> None:
        """Wait until a board prints a line with this pattern. A real board may be as slow as all commands allow."""
        self._consoles[name].expect(pattern, _VIRTUAL_SECONDS if name in self._boards else patience())

    def _say(self, line: str, *readers: str) -> None:
        """Have alice type a line, and check that these boards print it unprotected."""
        self._said.append(line)
        self._consoles["alice"].type(line)
        self._expect("alice", "> message published successfully")
        for name in readers:
            self._expect(name, _RAW + TOPIC)
            self._expect(name, f"^< unprotected message: {re.escape(line)}$")


def _set_stage(broker: str | None, port: str | None, stack: ExitStack) -> Stage:
    """Return the stage for these options. Raises ToolError if something is missing or wrong in them."""
    if port and not broker:
        raise ToolError("a real board needs a broker that it can reach: give BROKER=host:port")
    wifi = None
    if port:
        ssid, password = os.environ.get("WIFI_SSID"), os.environ.get("WIFI_PASSWORD")
        if not ssid:
            raise ToolError("a real board needs your WiFi: set WIFI_SSID and WIFI_PASSWORD in the environment")
        wifi = {"ssid": ssid, **({"password": password} if password else {})}
    if not broker:
        return Stage(HOST, stack.enter_context(EmbeddedBroker()).port, embedded=True)
    try:
        host, number = parse_address(broker)
    except ValueError as error:
        raise ToolError(f"BROKER: {error}") from None
    return Stage(host, number, alice_port=port, alice_wifi=wifi)


def _play(stage: Stage, keys: dict[str, bytes], terminal: Terminal) -> int:
    """Play the story, unplug the boards, and leave the broker as it was. Return the number of steps."""
    left = "Our retained commands may still be at the broker"
    with cleaning_up(lambda: _forget_retained(stage), left), ExitStack() as boards:
        return Story(stage, keys, terminal, boards).play()


def _forget_retained(stage: Stage) -> None:
    """Remove our retained commands from the broker."""
    with BrokerConnection(stage.host, stage.port) as broker:
        for name in PASSWORDS:
            broker.publish(e4.receiving_topic(e4.id_of(name)), b"", retain=True)


@click.command()
@click.option("--broker", metavar="HOST:PORT", help="A broker of yours, instead of one in this process.")
@click.option("--port", metavar="DEVICE", help="A real board to be alice; needs --broker, WIFI_SSID, WIFI_PASSWORD.")
def main(broker: str | None, port: str | None) -> None:
    """Play the story of the E4 tutorial on three boards. The exit code is 1 if a step fails."""
    terminal = Terminal(soft_wrap=True, emoji=False)
    try:
        with ExitStack() as stack:
            stage = _set_stage(broker, port, stack)
            with BrokerConnection(stage.host, stage.port):  # If it cannot be reached, fail now and not after a minute.
                pass
            terminal.print("Keys are derived from the tutorial's passwords, as the Go client does it (about 40 s) ...")
            keys = dict(zip(PASSWORDS, derive_keys(PASSWORDS.values()), strict=True))
            steps = _play(stage, keys, terminal)
    except (ToolError, VirtualBoardError) as error:
        terminal.print(f"\n[bold red]The story breaks off:[/bold red] {escape(with_notes(error))}")
        sys.exit(1)
    terminal.print(f"\n[bold]The end. {steps} steps, all of them seen on the boards.[/bold]")


if __name__ == "__main__":
    main()
