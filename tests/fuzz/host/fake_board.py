"""A serial line with a board at its other end that answers whatever an input says, and time that passes by itself."""

from __future__ import annotations

import ast
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import serial

import e4
from fuzz import mutation
from fuzz.mutation import chance, pick
from helpers.portable.support import Dice

KEY = b"k" * 32  # the ID key that the board holds
CERTIFICATE = b"0\x82"
VERSION = "0.1.0+00112233"
# What the host deploys to the board.
FILES = {
    "e4.version": VERSION.encode() + b"\n",
    "lib/e4/siv.mpy": b"new",
    "firmware/node.mpy": b"n" * 2000,
    "boot.py": b"boot",
    "main.py": b"main",
}
_RAW = b"raw REPL; CTRL-B to exit\r\n"
_DESCRIPTION: dict[str, Any] = {
    "machine": "Generic ESP32 module with ESP32", "micropython": "1.27.0", "heap_free": 100000, "provisioned": True,
    "ours": True, "version": VERSION, "mac": "02:00:00:00:00:01", "flash_size": 2097152, "flash_free": 1048576,
}  # fmt: skip
_NODE: dict[str, Any] = {
    "backend": "viper", "problems": [], "name": "alice", "topics": ["sensors/lab", "a/+"], "broker": "192.0.2.1:1883",
    "receiving_topic": "e4/00112233", "topics_with_key": ["sensors/lab"],
}  # fmt: skip
_HASHES = {"/main.py": "00" * 32, "/lib/e4/siv.mpy": "11" * 32, "/lib/e4/old -boot.py": "22" * 32, "/boot.py.new": "33"}
# What each function of our programs on a board returns, by the name of the function.
ANSWERS: dict[str, tuple[Any, ...]] = {
    "describe_board": (_DESCRIPTION, {**_DESCRIPTION, "ours": False, "mac": None}),
    "describe_loader": ((0x2806 | 3 << 8, 0x3FFFFFFF), (0, 0x3FFFFFFF)),
    "describe_node": (_NODE, {"backend": "plain", "problems": ["a problem"], "name": None}),
    "compare_files": ((_HASHES, 4096, 400), ({}, 4096, 3)),
    "prove": (None, ("00" * 16, "00" * 32), "00" * 32),
    "holds": (True, False),
    "overwrite_identity": ([b"e4.keys", b"e4.json"], [], [b"\xff\x1b[2J"]),
}
_STRANGE: tuple[Any, ...] = (
    None, 0, -1, 10**30, 1.5, True, "", "text", b"bytes", [], {}, [None], {"machine": 1}, "\x1b]0;title\x07\x1b[2J",
    "\ud800",
)  # fmt: skip
_ERRORS = (
    b"Traceback (most recent call last):\r\n  File \"<stdin>\", line 1, in <module>\r\nOSError: 28\r\n",
    b"Traceback (most recent call last):\r\nImportError: no module named 'firmware'\r\n",
    b"ValueError: not written: \"x\" is not a known entry\r\n",
    b"InvalidKey: the store holds another ID key\r\n",
    b"KeyboardInterrupt\r\n", b"\xff\xfe\x1b[2J\r\n", b"\r\n\r\n",
)  # fmt: skip


def printed_result(dice: Dice, samples: tuple[Any, ...]) -> bytes:
    """Return what a board prints as the result of a function: one of the samples, changed or not, or something else."""
    kind = dice.below(12)
    if kind == 0:
        return mutation.noise(dice, 100)
    if kind == 1:
        n = pick(dice, (50, 99, 200, 3000))
        return pick(
            dice, (b"[" * n + b"]" * n, b"(" * n, b"-" * n + b"1", b"[" + b"9" * 5000 + b"]", b"{" * n, b"[1," * n)
        )
    value = pick(dice, samples)
    for _ in range(dice.below(3) if kind < 9 else 0):
        value = mutation.change_value(dice, _jsonable(value), _STRANGE)
    said = repr([value]).encode(errors="surrogatepass")
    if kind < 5:
        said = mutation.change(dice, said)
    if chance(dice, 4):
        said = pick(dice, (b"I (1234) wifi: state\r\n", b"\xff\r\n", b"\x1b[0;32mI (5)\x1b[0m\r\n")) + said
    return said + b"\r\n"


def _jsonable(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class FakeLine:
    """A serial line to a board in its raw REPL, as pyserial's class has it.

    The dice decide what the board answers, and how its answers are damaged; those of a calm board are right mostly. The
    board goes silent after a number of answers if the dice say so.
    """

    def __init__(self, dice: Dice, is_calm: bool) -> None:
        self._dice = dice
        self._is_calm = is_calm
        self._waiting = b""
        self._typed = b""
        self._raw = False
        self._pasting = False
        self._code = b""
        self._left = dice.below(40) if chance(dice, 4) else 100000
        self.timeout: float | None = None
        self.write_timeout: float | None = None
        self.rts = self.dtr = False

    # What the host calls

    def flush(self) -> None:
        """Do nothing: the line is open, and stays so."""

    open = close = reset_input_buffer = flush

    @property
    def in_waiting(self) -> int:
        if chance(self._dice, 20000):
            raise serial.SerialException("device reports readiness to read but returned no data")
        return len(self._waiting)

    def read(self, size: int = 1) -> bytes:
        if chance(self._dice, 20000):
            raise OSError(5, "Input/output error")
        if not self._waiting:
            time.sleep(self.timeout or 0.05)
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data

    def write(self, data: bytes) -> int:
        for byte in data:
            self._hear(byte)
        return len(data)

    # What the board does

    def _hear(self, byte: int) -> None:
        if self._pasting and byte == 4:
            self._pasting = False
            self._say(b"\x04")
            self._run()
        elif self._pasting:
            self._code += bytes((byte,))
            if len(self._code) % 16 == 0:
                self._waiting += b"\x01"
        elif byte == 1 and self._code.endswith(b"\x05A"):
            self._code = b""
            self._answer_paste()
        elif byte == 1:
            self._code, self._raw = b"", True
            self._say(_RAW + b">")
        elif byte == 3:
            self._code = b""
        elif byte == 2:
            self._raw = False
        elif byte == 4 and self._raw and not self._code:
            self._say(b"OK\r\nMPY: soft reboot\r\n" + pick(self._dice, (b"", b"boot.py says\r\n")) + _RAW + b">")
        elif byte == 4 and self._raw:
            self._say(b"OK")
            self._run()
        elif self._raw:
            self._code += bytes((byte,))

    def _answer_paste(self) -> None:
        kind = self._dice.below(4)
        if kind == 0:
            self._say(b"R\x00")
        elif kind == 1:
            self._say(_RAW + b">")
        else:
            self._pasting = True
            self._say(b"R\x01" + pick(self._dice, (b"\x20\x00\x01", b"\x00\x01\x01")))

    def _run(self) -> None:
        code, self._code = self._code, b""
        asked = re.search(r"print\(\[(\w+)\((.*)\)\]\)$", code[code.rfind(b"\n") + 1 :].decode())
        error = b""
        if asked is not None:
            answers = self._answers(asked[1], asked[2])
            said = printed_result(self._dice, answers)
            if self._is_calm and self._dice.below(6):
                said = repr([answers[0]]).encode()
        else:
            said = mutation.noise(self._dice, 60) if chance(self._dice, 30) else b""
        if chance(self._dice, 150 if self._is_calm else 15):
            error = pick(self._dice, _ERRORS)
            error = error if self._dice.below(2) else mutation.change(self._dice, error)
        self._say(said.replace(b"\x04", b"") + b"\x04" + error.replace(b"\x04", b"") + b"\x04>")

    def _answers(self, function: str, arguments: str) -> tuple[Any, ...]:
        """Return what the function of a good board may return."""
        given = ast.literal_eval(f"[{arguments}]")
        if function == "prove":
            client_id = e4.id_of("alice")
            return (
                (client_id.hex(), e4.proof_of_key(KEY, client_id + bytes.fromhex(given[0])).hex()),
                *ANSWERS["prove"],
            )
        if function == "digest":
            return (hashlib.sha256(CERTIFICATE).hexdigest(), "00" * 32)
        if function == "digests":
            contents = [FILES.get(path.removeprefix("/").removesuffix(".new"), b"") for path in given[0]]
            return (tuple(hashlib.sha256(content).hexdigest() for content in contents),)
        return ANSWERS.get(function, (None,))

    def _say(self, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            return
        if chance(self._dice, 400 if self._is_calm else 50):
            data = mutation.change(self._dice, data)
        self._waiting += data


class _Time:
    """Time that passes when somebody waits, and a little whenever somebody looks."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        self._now += 0.0001
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.5)


@contextmanager
def quick_time() -> Iterator[None]:
    """Let time pass by itself, so that nobody has to wait for what never comes."""
    quick = _Time()
    with patch("time.monotonic", quick.monotonic), patch("time.sleep", quick.sleep):
        yield


@contextmanager
def board_at_every_port(line: Callable[[], Any]) -> Iterator[None]:
    """Let every serial port be a line that `line` returns, and let time pass by itself."""
    with patch("serial.serial_for_url", lambda *_, **__: line()), quick_time():
        yield
