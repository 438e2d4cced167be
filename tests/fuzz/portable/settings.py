"""What a person or a file says to a board: its configuration, topic filters, typed lines, certificates, its update."""

import binascii
import json
import sys

import firmware.console
from firmware import entries, filters
from firmware.config import Config
from firmware.console import LineEditor, shown, text
from fuzz import mutation
from fuzz.mutation import chance, pick
from fuzz.parser import Ignored, Parser, check

try:
    import tls

    _HAS_TLS = True
except ImportError:
    _HAS_TLS = False
    sys.modules["tls"] = sys  # so that `firmware.secure` can be imported; nothing here calls it
from firmware import secure

if not _HAS_TLS:
    del sys.modules["tls"]

_WHOLE = {
    "name": "alice",
    "wifi": {"ssid": "network", "password": "password"},
    "broker": {"host": "192.0.2.1", "port": 1883, "user": "u", "password": "p", "ca": None, "keepalive": 60,
               "patience": 10},
    "topics": ["/e4go/demo/messages", "sensors/+/limit", "a/#"],
    "receiving_topic": None,
    "time_servers": ["0.pool.ntp.org", "time.example:1123"],
    "time_from_commands": False,
    "max_command_age": 600,
    "future_tolerance": 60,
    "status_topic": "status/alice",
    "max_message": 4096,
    "queue": {"messages": 32, "bytes": 8192},
    "watchdog": 60,
}  # fmt: skip
_SHORT = {
    "name": "b",
    "wifi": {"ssid": "n"},
    "broker": {"host": "h"},
    "topics": ["t"],
    "time_server": "ntp.example:123",
}
_SAMPLES = (_WHOLE, _SHORT)
# Values that an entry of another type has.
_VALUES = (None, True, 0, "text", ["a"], {"a": 1}, 1e300, "192.0.2.1:99999", "host:", "a b", ["x"] * 20, "²")
_ATTRIBUTES = (
    "name", "ssid", "wifi_password", "host", "port", "ca", "keepalive", "patience", "user", "password", "topics",
    "receiving_topic", "status_topic", "time_servers", "time_from_commands", "max_command_age", "future_tolerance",
    "max_message", "queue_messages", "queue_bytes", "watchdog",
)  # fmt: skip


class Problems(Exception):
    """The configuration has named its problems."""


class _Blank:
    """A configuration whose entries have not been read."""

    def __init__(self):
        self.problems = []


class Entries(Parser):
    """The value that the JSON in `/e4.json` stands for. Nothing may be raised: what is wrong is in `problems`."""

    refusals = (Problems,)

    def make(self, dice):
        given = pick(dice, _SAMPLES)
        if chance(dice, 12):
            return mutation.value(dice)
        for _ in range(dice.below(3)):
            given = mutation.change_value(dice, given, _VALUES)
        return given

    def parse(self, given):
        before = repr(given)
        config = self._read(given)
        check(repr(given) == before, "the entries were changed")
        for problem in config.problems:
            check(isinstance(problem, str) and problem, "a problem is no text")
        if config.problems:
            raise Problems
        self._check_types(config)
        again = self._read(json.loads(json.dumps(given)))
        check(not again.problems, "what was accepted once is refused")
        for name in _ATTRIBUTES:
            check(
                getattr(again, name) == getattr(config, name), "what was accepted once is read in another way: " + name
            )

    def _read(self, given):
        """Return the configuration as `Config` makes it.

        Every `Config` imports `firmware.entries` anew, which takes ten times as long as reading the entries. So an
        object gets its entries from the module that is here already, if that makes no difference.
        """
        if not isinstance(given, dict):
            return Config(given)
        config = _Blank()
        entries.fill(config, given)
        return config

    def _check_types(self, config):
        check(isinstance(config.name, str) and isinstance(config.ssid, str) and isinstance(config.host, str), "no text")
        for number in (config.port, config.keepalive, config.patience, config.future_tolerance, config.max_message,
                       config.queue_messages, config.queue_bytes, config.watchdog):  # fmt: skip
            check(isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 65535, "no number")
        for topic in config.topics:
            check(filters.is_valid(topic), "no topic filter")
        for server in config.time_servers:
            check(isinstance(server, str) and server, "no time server")


class File(Entries):
    """The bytes of `/e4.json`."""

    def make(self, dice):
        return mutation.json_bytes(dice, _SAMPLES)

    def parse(self, given):
        opened = firmware.config.CONFIG_PATH
        firmware.config.CONFIG_PATH = "fuzz.json"
        with open("fuzz.json", "wb") as file:
            file.write(given)
        try:
            config = firmware.config.load()
        finally:
            firmware.config.CONFIG_PATH = opened
        if config.problems:
            raise Problems
        self._check_types(config)


class Filter(Parser):
    """A topic filter, and topics that may match it."""

    refusals = (Ignored,)
    _samples = ("a/b/c", "+", "#", "a/+/c", "a/#", "/", "$SYS/#", "+/x", "größe/#", "x" * 512)

    def make(self, dice):
        return mutation.mutate_text(dice, self._samples), mutation.mutate_text(dice, self._samples)

    def parse(self, given):
        pattern, topic = given
        valid = filters.is_valid(pattern)
        matches = filters.matches(pattern, topic)
        check(matches in (True, False), "no answer")
        if not valid:
            raise Ignored
        check(matches == self._matches(pattern.split("/"), topic.split("/")), "another answer than section 4.7 gives")

    def _matches(self, pattern, topic):
        """Say the same as `filters.matches`, level by level, as MQTT 3.1.1 section 4.7 describes it."""
        if topic[0][:1] == "$" and pattern[0][:1] in ("+", "#"):
            return False
        while pattern:
            if pattern[0] == "#":
                return True
            if not topic or pattern[0] not in ("+", topic[0]):
                return False
            pattern, topic = pattern[1:], topic[1:]
        return not topic


class _Screen:
    """Stands for `sys` in `firmware.console`: a keyboard that nobody uses, and a screen."""

    def __init__(self):
        self.stdin = self.stdout = self
        self.shown = []

    def write(self, shown):
        self.shown.append(shown)


class Typed(Parser):
    """The bytes that are typed on the serial console."""

    def make(self, dice):
        return mutation.mutate(
            dice, (b"hello\r\n", b"21.5 C\r", "größe €\U0001f600\n".encode(), b"x" * 600, b"a\x08\x7f\n")
        )

    def parse(self, given):
        screen = _Screen()
        original, firmware.console.sys = firmware.console.sys, screen
        try:
            editor = LineEditor()
            lines = [line for line in [editor.take(byte) for byte in given] if line is not None]
        finally:
            firmware.console.sys = original
        ends = given.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n")
        check(len(lines) == ends, "it makes another number of lines")
        for line in lines:
            check(len(line.encode()) <= 515, "a line is too long")
        for shown_text in screen.shown:
            check(shown_text in ("\n", "\b \b") or _is_harmless(shown_text), "the echo could steer a terminal")


def _is_harmless(given):
    """Return whether text has no control characters, neither those of ASCII nor those above."""
    return not [character for character in given if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0]


class Shown(Parser):
    """Bytes from a broker that are shown to a person."""

    def make(self, dice):
        return mutation.mutate(
            dice, (b"sensors/lab", "größe €".encode(), b"\x1b]0;title\x07", b"\xc2\x9b2J", bytes(100))
        )

    def parse(self, given):
        check(_is_harmless(text(given)), "it could steer a terminal")
        check(_is_harmless(shown(given)) and len(shown(given)) <= 120, "it could steer a terminal")


class Certificate(Parser):
    """The file of a certificate on a board. On MicroPython the TLS library parses it as well."""

    refusals = (ValueError, getattr(binascii, "Error", ValueError))
    # An authority with a key on P-256, valid until 2120.
    _pem = b"""-----BEGIN CERTIFICATE-----
MIIBLTCB06ADAgECAgISZzAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlmdXp6ZWQg
Q0EwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWZ1enplZCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAa1BZJyj5wJbJxn
Da5GVSldX/NcVUzLenE/w3yAK3VYlIUC4zOMUHjpwUOMEfwlJOnHaa89Q4VBmQdh
LyJHhEGjEzARMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhALYF
xJ1TSixtfbM3gK5V72mMYQKHEnaLdn0FtHVA5ejJAiEA5Atc76KcPNYkFS9HyLRb
j0ZgxE14+Cnmqpj8AkJeYD0=
-----END CERTIFICATE-----
"""
    _samples = (_pem, _pem, secure.to_der(_pem))

    def make(self, dice):
        return mutation.mutate(dice, self._samples)

    def parse(self, given):
        found = secure.to_der(given)
        if _HAS_TLS:
            tls.SSLContext(tls.PROTOCOL_TLS_CLIENT).load_verify_locations(found)


class _Flash:
    """Stands for `os` and `open` in `boot.py`: the files in the root folder of a board."""

    def __init__(self, update):
        self.files = {"/e4.update": update}
        for name in ("/boot.py", "/main.py", "/lib/e4/siv.mpy", "/firmware/old -boot.py"):
            self.files[name] = b"old"
            self.files[name + ".new"] = b"new"

    def open(self, path):
        if path not in self.files:
            raise OSError(2, "no such file")
        return _Text(self.files[path])

    def rename(self, old, new):
        if old not in self.files:
            raise OSError(2, "no such file")
        self.files[new] = self.files.pop(old)

    def remove(self, path):
        if path not in self.files:
            raise OSError(2, "no such file")
        del self.files[path]


class _Text:
    """A file that is open for reading text. A context manager."""

    def __init__(self, content):
        self._content = content

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self):
        return self._content.decode()


class Update(Parser):
    """The list of changes that `boot.py` finishes after a deployment was cut short.

    No deployment writes a list that is no text. With such a list `boot.py` raises an exception, MicroPython reports it
    and goes on, and the next deployment removes the list.
    """

    refusals = (OSError, Ignored)
    _samples = (b"+boot.py\n+lib/e4/siv.mpy\n-firmware/old -boot.py\n+main.py\n", b"-lib/e4/siv.mpy\n", b"")

    def __init__(self):
        # The tests are in a folder of the checkout, beside `boot.py`. Only its function is wanted here: the rest of it
        # sets the garbage collector of a board.
        with open(__file__[: __file__.rfind("/tests/")] + "/boot.py") as file:
            text = file.read()
        self._code = text[text.index("def _finish") : text.index("\n_finish_deployment()")]

    def make(self, dice):
        return mutation.mutate(dice, self._samples)

    def parse(self, given):
        flash = _Flash(given)
        names = {"os": flash, "open": flash.open}
        exec(self._code, names)  # noqa: S102 (it is our own)
        try:
            names["_finish_deployment"]()
        except UnicodeError:
            raise Ignored from None
        check("/e4.update" not in flash.files, "it would do the same again at the next start")
        if given == self._samples[0]:
            check(flash.files.get("/boot.py") == flash.files.get("/main.py") == b"new", "it leaves out a change")
            check("/firmware/old -boot.py" not in flash.files, "it leaves out a change")
