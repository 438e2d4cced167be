"""The command lines of `e4`, all subcommands, in this process: with a key store, a broker and boards that are not real.

Whatever is said, an input must end with one of the documented exit codes, never with a traceback, and must write
nothing outside its folder. What board and broker say must not steer the terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import paho.mqtt.client as mqtt
import serial
from click.testing import CliRunner
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

import e4
from e4_tools.cli import main
from e4_tools.virtual_board.errors import VirtualBoardError
from fuzz import mutation
from fuzz.host.fake_board import FakeLine, quick_time
from fuzz.host.files import _certificate
from fuzz.host.parser import argument
from fuzz.host.sandbox import Sandbox
from fuzz.host.store import SECRET, make_fleet
from fuzz.mutation import chance, pick
from fuzz.parser import Parser, check
from helpers.portable.support import Dice

_SECONDS = 1.0  # after which Ctrl-C is pressed: some commands would go on for ever
_CODES = range(7)
# What a person may mean, by the name of a parameter.
_SAMPLES: dict[str, tuple[str, ...]] = {
    "name": ("alice", "bob", "carol", "größe"),
    "clients": ("alice", "bob", "nobody"),
    "topic": ("sensors/lab", "sensors/roof", "none", "a/+"),
    "topics": ("sensors/lab", "sensors/roof", "none", "a/+"),
    "message": ("21.5 C", "", "-"),
    "address": ("192.0.2.10", "broker.example:8883", "refuses", "host:0"),
    "ca": ("ca.der", "store.key", "missing"),
    "store": ("fleet.db", "fleet.db", "new.db", "store.key", "folder/x.db", "sqlite:///fleet.db", "mysql://h/d"),
    "store_key_file": ("store.key", "store.key", "alice.key", "missing"),
    "new_key_file": ("alice.key", "store.key", "missing"),
    "key_file": ("alice.key", "store.key", "missing"),
    "out": ("new.key", "alice.key", "folder/x.key"),
    "port": ("board", "board", "missing", "/dev/null"),
    "ports": ("board", "board", "missing"),
    "devices": ("board", "board", "missing"),
    "image": ("image.bin", "missing", "store.key"),
    "ssid": ("network", ""),
    "broker_user": ("user",),
    "broker_password_file": ("password", "missing", "ca.der"),
    "entries": ("broker.keepalive=30", "queue=5", "queue.bytes=100", 'queue={"messages": 1}', "a=b"),
    "keys": ("keys", "store.key"),
    "label": ("label.svg", "labels"),
    "factory": ("fleet.csv", "store.key", "missing"),
    "ledger": ("ledger.jsonl", "new.jsonl", "fleet.csv", "store.key"),
    "receiving_topic": ("a/topic", "#"),
    "count": ("1", "0", "3"),
    "timeout": ("0.01", "-1", "nan", "inf", "1e9"),
    "seconds": ("0.01", "-1", "nan"),
    "listen": ("127.0.0.1:0", "0.0.0.0:1"),
    "wifi": ("ssid:password", "x"),
    "heap": ("320k", "1"),
    "frozen": ("keys", "missing"),
    "kind": ("symmetric", "ed25519", "curve25519", "rsa"),
}
_ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "E4_KEY": ("6b" * 32, "6B" * 32, ""),
    "E4_PASSWORD": ("correct horse battery staple", "short"),
    "E4_PASSPHRASE": ("passphrase", "short"),
    "E4_NEW_PASSPHRASE": ("another passphrase",),
    "WIFI_PASSWORD": ("password", ""),
    "E4_BROKER_PASSWORD": ("password", ""),
    "E4_BROKER_USER": ("user", ""),
    "E4_KEY_ALICE": ("6b" * 32,),
    "E4_STORE": ("fleet.db", "postgresql://u:secret@h/d"),
    "E4_PORT": ("board", "missing"),
    "XDG_DATA_HOME": ("data",),
}


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            found += _leaves(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


def _inside(text: str) -> str:
    """Return an argument that names no place outside of the folder: a person may write wherever they want."""
    text = text.replace("..", "__").replace("~", "-").replace("=/", "=")
    return text if text.startswith("/dev/null") else text.lstrip("/")


class CommandLine(Parser):
    """A command line with its environment, what is typed at prompts, and what boards and the broker answer."""

    refusals = tuple(type(f"exit {code}", (Exception,), {}) for code in _CODES)

    def __init__(self) -> None:
        self._home = Path("fuzz-home").absolute()
        shutil.rmtree(self._home, ignore_errors=True)
        self._files = self._home / "files"
        self._files.mkdir(parents=True)
        make_fleet(self._files / "fleet.db")
        for name, content in {
            "store.key": SECRET,
            "alice.key": bytes(range(32)),
            "password": b"password\n",
            "ca.der": _certificate(True, True, 30),
            "fleet.csv": b"name,topics\nalice,a b\nbob,c\n",
            "image.bin": b"\xe9\x03\x02\x20" + bytes(0x6FFC) + b"\xaa\x50" + bytes(100),
        }.items():
            (self._files / name).write_bytes(content)
        for path in self._files.iterdir():
            path.chmod(0o600)
        self._scratch = self._home / "scratch"
        self._sandbox = Sandbox(self._scratch)
        # `e4 console` waits for its standard input in a way that only a real one supports; `Console` tests it.
        self._commands = [leaf for leaf in _leaves(main) if leaf[0] != ("console",)]

    def make(self, dice: Dice) -> tuple[list[str], dict[str, str], str, int]:
        path, command = pick(dice, self._commands)
        words: list[str] = []
        for parameter in command.params:
            if not parameter.name or parameter.name == "help":
                continue
            for _ in range(self._how_often(dice, parameter)):
                words += self._parameter(dice, parameter)
        line = [*path, *words]
        if chance(dice, 8):
            at = dice.below(len(line) + 1)
            line[at:at] = [argument(dice, ("--", "--json", "--help", "-x", "--yes", "--store"))]
        if chance(dice, 10):
            del line[dice.below(len(line))]
        environment = {
            name: argument(dice, samples) if chance(dice, 4) else pick(dice, samples)
            for name, samples in _ENVIRONMENT.items()
            if dice.below(3) == 0
        }
        if dice.below(8):
            environment.update(E4_STORE="fleet.db", E4_KEYFILE="store.key", E4_BROKER="192.0.2.10")
        typed = pick(dice, ("", "\n", "y\n", "q\n", "passphrase\npassphrase\n", "6b" * 32 + "\n", "n\n" * 5))
        return [_inside(word) for word in line], environment, typed, dice.below(1 << 23)

    def _how_often(self, dice: Dice, parameter: click.Parameter) -> int:
        if parameter.multiple or parameter.nargs == -1:
            return int(dice.below(3))
        if isinstance(parameter, click.Argument) or parameter.required:
            return 1 if dice.below(12) else int(dice.below(3))
        return 1 if chance(dice, 5) else 0

    def _parameter(self, dice: Dice, parameter: click.Parameter) -> list[str]:
        samples = _SAMPLES.get(parameter.name or "", ("text", "1"))
        value = argument(dice, samples) if chance(dice, 8) else pick(dice, samples)
        if isinstance(parameter, click.Argument):
            return [value]
        assert isinstance(parameter, click.Option)
        return [pick(dice, parameter.opts)] if parameter.is_flag else [pick(dice, parameter.opts), value]

    def parse(self, given: tuple[list[str], dict[str, str], str, int]) -> None:
        line, environment, typed, seed = given
        shutil.rmtree(self._scratch, ignore_errors=True)
        shutil.copytree(self._files, self._scratch)
        (self._scratch / "tmp").mkdir()
        before = Path.cwd()
        os.chdir(self._scratch)
        try:
            with ExitStack() as stack:
                self._surround(stack, Dice(seed))
                clean = {name: None for name in os.environ if name.startswith(("E4_", "WIFI_", "XDG_"))}
                home = {"HOME": str(self._scratch), "TMPDIR": str(self._scratch / "tmp")}
                try:
                    self._sandbox.closed = True
                    result = CliRunner().invoke(main, line, input=typed, env={**clean, **home, **environment})
                finally:
                    self._sandbox.closed = False
        finally:
            os.chdir(before)
        check(not self._sandbox.breaches, f"it tried what it may not do: {self._sandbox.breaches}")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        # A board may say "Traceback", within a line. And where Ctrl-C meets a callback of the garbage collector, Python
        # itself prints a traceback.
        ours = re.sub(r"(?ms)^Exception ignored in: .*?^KeyboardInterrupt", "", result.output)
        check(not re.search(r"(?m)^Traceback", ours), "it prints a traceback")
        check(result.exit_code in _CODES, f"it ends with the exit code {result.exit_code}")
        if "\x1b" not in "".join((*line, *environment.values(), typed)):
            check("\x1b" not in result.output, "a board or the broker could steer the terminal")
        if result.exit_code:
            raise self.refusals[result.exit_code]

    def _surround(self, stack: ExitStack, dice: Dice) -> None:
        """Replace everything that is outside this process."""

        def open_port(*arguments: Any) -> Any:
            if "board" not in str(arguments[0]):
                raise serial.SerialException(f"could not open port {arguments[0]}")
            return FakeLine(dice, is_calm=bool(dice.below(2)))

        def fail(*_: Any) -> Any:
            raise VirtualBoardError("no virtual board in this test")

        replaced: dict[str, Any] = {
            "serial.serial_for_url": lambda *arguments, **_: open_port(*arguments),
            "e4_tools.mqtt.broker.mqtt.Client": lambda *_, **__: _Paho(dice),
            "e4_tools.virtual_board.foreground.Supervisor": fail,
            "e4_tools.board.flash.subprocess.Popen": fail_to_start,
            "e4_tools.board.deploy.board_files": lambda _: (("lib/e4/siv.mpy", b"new"), ("main.py", b"main")),
            "e4_tools.board.deploy.check_compilable": lambda *_: None,
            "argon2pure.argon2": lambda secret, *_, **__: secret[:1] * 32,
            "e4_tools.keystore.vault._COST": 16,
        }
        stack.enter_context(quick_time())
        for name, value in replaced.items():
            stack.enter_context(patch(name, value))
        stack.enter_context(_ctrl_c(_SECONDS))


def fail_to_start(*_: Any, **__: Any) -> Any:
    """Stand for a program that cannot be started."""
    raise click.ClickException("no other program in this test")


class _ctrl_c:  # noqa: N801 (it is used as a function)
    """Presses Ctrl-C after some seconds. A context manager."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGALRM, self._press)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    @staticmethod
    def _press(*_: object) -> None:
        raise KeyboardInterrupt


class _Info:
    """What paho returns for a message that is to be published."""

    def __init__(self, confirmed: bool) -> None:
        self._confirmed = confirmed

    def wait_for_publish(self, _seconds: float) -> None:
        if not self._confirmed:
            raise RuntimeError("Message publish failed: The client is not currently connected.")

    def is_published(self) -> bool:
        return self._confirmed


class _Paho:
    """Stands for paho's client: a broker that mostly accepts everything, and sends anything to whoever subscribes."""

    on_connect: Callable[..., None]
    on_subscribe: Callable[..., None]
    on_message: Callable[..., None]

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._connected = False

    def username_pw_set(self, user: str, password: str | None = None) -> None:
        user.encode(), (password or "").encode()

    def tls_set_context(self, _context: object) -> None:
        pass

    def connect(self, host: str, _port: int) -> None:
        if "refuses" in host or chance(self._dice, 20):
            raise ConnectionRefusedError(111, "Connection refused")
        host.encode("idna")

    def loop_start(self) -> None:
        code = "Success" if self._dice.below(20) else "Not authorized"
        self._connected = code == "Success"
        self.on_connect(self, None, None, ReasonCode(PacketTypes.CONNACK, code), None)

    def loop_stop(self) -> None:
        pass

    disconnect = loop_stop

    def is_connected(self) -> bool:
        return self._connected

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> _Info:
        check(len(payload) > 24 and qos == 2 and retain in (True, False), "it publishes something else")
        check(1 <= len(topic.encode()) <= 512 and not set("#+") & set(topic), "nobody can publish on this topic")
        return _Info(bool(self._dice.below(12)))

    def subscribe(self, _topics: object) -> None:
        for _ in range(self._dice.below(5)):
            sealed = e4.protect(mutation.noise(self._dice, 40) or b"x", b"t" * 32, 1774894944)
            topic = pick(self._dice, (b"sensors/lab", b"sensors/roof", b"none", b"\xff", b"\x1b[2J", b""))
            message = mqtt.MQTTMessage(topic=topic)
            message.payload = mutation.mutate(self._dice, (sealed, b"\x1b[2J"))
            self.on_message(self, None, message)
        self.on_subscribe(self, None, None, None, None)
