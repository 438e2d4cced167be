"""What a person says on a command line, at a prompt or in the environment."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

import e4
from e4_tools.board.port_errors import port_error
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.options import BrokerChoice
from e4_tools.cli.shared.output import Report
from e4_tools.cli.shared.settings import Settings, _parse_entries
from e4_tools.errors import KeyStoreError, NoMicroPython, NoSuchPort, PortError, PortInUse, ToolError
from e4_tools.keys import passwords
from e4_tools.keys.symmetric import parse_hex_key
from e4_tools.keystore import engine
from e4_tools.mqtt.broker import parse_address
from e4_tools.mqtt.topics import check_publishable
from e4_tools.provisioning.key_sources import file_name_of
from e4_tools.provisioning.label import write_label
from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.handle import VirtualBoard
from e4_tools.virtual_board.options import BoardOptions
from fuzz import mutation
from fuzz.host.parser import argument
from fuzz.host.sandbox import Sandbox
from fuzz.mutation import chance, pick
from fuzz.parser import Parser, check
from helpers.portable.support import Dice


class BrokerAddress(Parser):
    """HOST or HOST:PORT of a broker."""

    refusals = (ValueError,)

    def make(self, dice: Dice) -> tuple[str, bool]:
        samples = (
            "192.0.2.10",
            "broker.example:8883",
            "host:0",
            "host:65536",
            ":1883",
            "[::1]:1883",
            "h:" + "9" * 5000,
        )
        return argument(dice, samples), bool(dice.below(2))

    def parse(self, given: tuple[str, bool]) -> None:
        host, port = parse_address(*given)
        check(bool(host) and 1 <= port <= 65535, "it is no address")


class SettingEntries(Parser):
    """The options --set, and the configuration that they become part of."""

    refusals = (click.BadParameter, ToolError)
    _samples = (
        "broker.keepalive=30", "queue.bytes=1000", 'queue={"messages": 3}', 'time_servers=["a", "b"]', "watchdog=0",
        "status_topic=a/b", "broker=1", "wifi.ssid=x", "name=bob", "queue=5", "a.b=[1]", "=1", "a.=1",
    )  # fmt: skip

    def make(self, dice: Dice) -> list[str]:
        entries = [argument(dice, self._samples) for _ in range(1 + dice.below(4))]
        if chance(dice, 20):
            entries.append("queue=" + mutation.deep(dice))
        return entries

    def parse(self, given: list[str]) -> None:
        entries = _parse_entries(None, None, tuple(given))  # type: ignore[arg-type]
        settings = Settings("network", ("t",), BrokerChoice("h", 1883, None), None, None, entries)
        with patch.dict("os.environ", {"WIFI_PASSWORD": "password"}):
            config = settings.ask(Report(True))
        check(config["wifi"] == {"ssid": "network", "password": "password"}, "an entry has changed the WiFi network")
        check(config["broker"]["host"] == "h" and config["topics"] == ["t"], "an entry has changed what has an option")


class StoreLocation(Parser):
    """The path or URL of a key store. Nothing is opened."""

    refusals = (KeyStoreError,)
    _samples = (
        "store.db", "~/store.db", "~nobody-of-this-name/store.db", "sqlite:///store.db", "sqlite://", "mysql://h/db",
        "postgresql+psycopg://user:secret@host:5432/database?sslmode=require", "postgresql://h/d?password=secret",
        "postgresql+nothing://h/d", "postgresql+asyncpg://h/d", "x" * 300, "postgresql://h:port/d", "://",
    )  # fmt: skip

    def make(self, dice: Dice) -> str:
        return argument(dice, self._samples)

    def parse(self, given: str) -> None:
        engine.has_password(given)
        url = engine.store_url(given)
        elsewhere = f"{url.host}{url.database}{url.username}"  # where a change may have put the word
        check("secret" not in engine.describe_url(url) or "secret" in elsewhere, "a password is shown")
        path = engine.sqlite_path(url)
        check(path is None or isinstance(path, Path), "it is no path")
        if path is None:
            engine.make_engine(url).dispose()


class HexKey(Parser):
    """An ID key that is typed in hexadecimal."""

    refusals = (ToolError,)

    def make(self, dice: Dice) -> str:
        return argument(dice, ("6b" * 32, "00" * 32, "6b" * 31, "6B " * 32), 80)

    def parse(self, given: str) -> None:
        key = parse_hex_key(given, "alice")
        check(len(key) == 32 and key == bytes.fromhex(given), "it is another key")


class Password(Parser):
    """A password from which a key is derived. The derivation itself is left out, because it takes 20 seconds."""

    refusals = (ToolError,)

    def make(self, dice: Dice) -> str:
        return argument(
            dice, ("correct horse battery staple", "pässwörd-pässwörd", "fifteen bytes..", "sixteen bytes...", "")
        )

    def parse(self, given: str) -> None:
        with patch("argon2pure.argon2", lambda secret, *_, **__: secret[:1] * 32):
            check(len(passwords.derive_key(given)) == 32, "a key has 32 bytes")
        check(len(given.encode()) >= 16, "a password is too short")


class Label(Parser):
    """The name on a label, and in the names of files."""

    refusals = (e4.InvalidName,)

    def make(self, dice: Dice) -> str:
        return argument(dice, ("alice", "größe & <b>", "x" * 255, "ä" * 127, "]]>", "a\nb"), 300)

    def parse(self, given: str) -> None:
        import xml.etree.ElementTree as ET  # noqa: PLC0415 (few parsers need it)

        write_label(Path("fuzz.svg"), given)
        drawn = Path("fuzz.svg").read_text(encoding="utf-8")
        ET.fromstring(drawn)  # noqa: S314
        check("/" not in file_name_of(given, ".svg"), "the name of a file has a slash")


class PublishTopic(Parser):
    """A topic that becomes one of the fleet."""

    refusals = (ToolError, e4.InvalidTopic)

    def make(self, dice: Dice) -> str:
        return argument(dice, ("sensors/lab", "a/+", "#", "größe", "x" * 512, "a\0b"))

    def parse(self, given: str) -> None:
        check_publishable(given)
        check(not set("+#\0") & set(given) and 1 <= len(given.encode()) <= 512, "nobody can publish on it")


class PortName(Parser):
    """The name of a serial port. The devices of this machine and its network are out of reach."""

    refusals = (NoSuchPort, PortInUse, PortError, NoMicroPython)
    _samples = (
        "/dev/ttyUSB0", "socket://127.0.0.1:5555", "socket://", "loop://", "rfc2217://h:1", "hwgrep://x", "spy://x",
        "alt://x", "nothing://x", "/dev/null", "/dev", "", "x" * 300, "cp2110://a:b:c", "socket://[::1", "my.port",
    )  # fmt: skip

    def make(self, dice: Dice) -> str:
        return argument(dice, self._samples)

    def __init__(self) -> None:
        self._sandbox = Sandbox(Path())

    def parse(self, given: str) -> None:
        port_error(given, "a reason")
        self._sandbox.closed = True
        try:
            self._open(given)
        finally:
            self._sandbox.closed = False

    def _open(self, given: str) -> None:
        # Nobody is at a port of these that can be opened, such as `loop://`, and to wait for an answer takes long.
        with patch.object(Board, "_stop", lambda _: None), Board(given, restart=False, brief=True):
            check("loop://" in given or given == "/dev/null", "a port could be opened")


class SupervisorAnswer(Parser):
    """What the process of a virtual board answers to a request."""

    refusals = (VirtualBoardError,)
    _samples: tuple[dict[str, Any], ...] = (
        {"device": "/dev/pts/7", "socket_url": None},
        {"device": "my.port", "socket_url": "socket://h:1"},
        {"error": "it does not start"},
        {},
    )

    def make(self, dice: Dice) -> str:
        return mutation.json_bytes(dice, self._samples).decode(errors="replace").replace("\n", " ")

    def parse(self, given: str) -> None:
        board = VirtualBoard(Path("flash.img"))
        with patch("e4_tools.virtual_board.handle.subprocess.Popen", lambda *_, **__: _Supervisor(given)):
            try:
                board.start()
                check(isinstance(board.device, str), "the port has no name")
                board.cut_power()
            finally:
                board.stop()


class _Supervisor:
    """A process that answers everything with the same line."""

    def __init__(self, answer: str) -> None:
        self.stdin = io.StringIO()
        self.stdout = io.StringIO("".join([answer + "\n"] * 2))

    def wait(self, _seconds: float) -> None:
        pass


class VirtualBoardOptions(Parser):
    """The options of a virtual board, from a command line or as JSON."""

    refusals = (VirtualBoardError,)

    def make(self, dice: Dice) -> tuple[bool, Any]:
        options = {
            "image": "flash.img",
            "port": pick(dice, (None, "my.port")),
            "listen": pick(
                dice, (None, argument(dice, ("127.0.0.1:0", "127.0.0.1:65536", "0.0.0.0:1", "localhost:5555")))
            ),
            "wifi": "ssid:password" if dice.below(2) else argument(dice, ("open:", "x" * 33 + ":password", "s:short")),
            "heap": "320k" if dice.below(2) else argument(dice, ("1m", "64k", "63k", "65536", "9" * 5000 + "k")),
            "frozen": pick(dice, (None, None, ".", "nowhere")),
            "ntp": bool(dice.below(2)),
        }
        if dice.below(2):
            frozen = options["frozen"]
            return False, {**options, "image": Path("flash.img"), "frozen": Path(frozen) if frozen else None}
        return True, mutation.json_bytes(dice, (options,)).decode(errors="replace")

    def parse(self, given: tuple[bool, Any]) -> None:
        is_json, options = given
        made = BoardOptions.from_json(options) if is_json else BoardOptions(**options)
        check(made.heap_bytes >= 65536, "it is too little heap")
        again = BoardOptions.from_json(made.to_json())
        check(
            (again.wifi, again.heap, again.listen) == (made.wifi, made.heap, made.listen), "it is read in another way"
        )
