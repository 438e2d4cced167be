"""What a board answers over its serial line: in the raw REPL, on its console, and through esptool."""

from __future__ import annotations

import os
import time
from typing import Any
from unittest.mock import patch

import serial

from e4_tools.board import flash
from e4_tools.board.board_code import read_result
from e4_tools.board.console import BoardConsole
from e4_tools.board.deploy import DeployOptions, carry_out, plan_for
from e4_tools.board.inspection import inspect_board, inspect_node
from e4_tools.board.raw_repl import Board, BoardError, GarbledResult
from e4_tools.board.wipe import fill_free_flash, wipe_board
from e4_tools.errors import NoMicroPython, PortError, ToolError
from e4_tools.provisioning.install import find_held_key, holds_key_of, install, reconfigure
from fuzz import mutation
from fuzz.host.fake_board import (
    ANSWERS,
    CERTIFICATE,
    FILES,
    KEY,
    VERSION,
    FakeLine,
    board_at_every_port,
    printed_result,
)
from fuzz.mutation import pick
from fuzz.parser import Parser, check
from helpers.portable.support import Dice

_ALL = tuple(answer for answers in ANSWERS.values() for answer in answers)
_CONFIG: dict[str, Any] = {
    "name": "alice", "wifi": {"ssid": "n"}, "broker": {"host": "h", "port": 1, "ca": CERTIFICATE}, "topics": ["t"],
}  # fmt: skip


class Result(Parser):
    """What a board prints as the result of a function."""

    refusals = (ValueError,)

    def make(self, dice: Dice) -> str:
        return printed_result(dice, _ALL).decode(errors="replace")

    def parse(self, given: str) -> None:
        found = read_result(given)
        check(repr(read_result(repr([found]))) == repr(found), "the same result is read in another way")


class Conversation(Parser):
    """A conversation with a board in its raw REPL. `talk` is what the host wants of it."""

    refusals = (ToolError, PortError, NoMicroPython, BoardError, GarbledResult)

    def make(self, dice: Dice) -> int:
        return int(dice.below(1 << 23))

    def parse(self, given: int) -> None:
        line = FakeLine(Dice(given), is_calm=bool(given % 2))
        with board_at_every_port(lambda: line), Board("/dev/null", brief=True) as board:
            self.talk(board)

    def talk(self, board: Board) -> None:
        raise NotImplementedError


class Inspection(Conversation):
    """What a board says of itself."""

    def talk(self, board: Board) -> None:
        found = inspect_board(board)
        check(isinstance(found.machine, str) and isinstance(found.heap_free, int), "a fact has another type")
        check(found.mac is None or isinstance(found.mac, str), "the MAC is no text")
        check(isinstance(found.chip, str) and found.virtual in (True, False), "a fact has another type")
        node = inspect_node(board)
        check(all(isinstance(line, str) for line in node.problems), "a problem is no text")
        check(all(isinstance(topic, str) for topic in [*node.topics, *node.topics_with_key]), "a topic is no text")
        check(node.name is None or isinstance(node.name, str), "the name is no text")


class Deployment(Conversation):
    """What a board says of its files, before and while they are changed."""

    def talk(self, board: Board) -> None:
        with (
            patch("e4_tools.board.deploy.board_files", lambda _: FILES.items()),
            patch("e4_tools.board.deploy.check_compilable", lambda *_: None),
            patch("e4_tools.board.deploy.checkout_version", lambda: VERSION),
        ):
            plan = plan_for(board, DeployOptions())
        check(all(path in plan.files for path in plan.write), "it would write a file that is not ours")
        for path in (*plan.remove, *plan.leftovers):
            check("\n" not in path, "the name of a file would be taken for two")
        carry_out(board, plan)


class Provisioning(Conversation):
    """What a board says while it gets its identity."""

    def talk(self, board: Board) -> None:
        check(holds_key_of(board, "alice") in (True, False), "it is no answer")
        check(find_held_key(board, {"one": b"1" * 32, "two": KEY}) in (None, "two"), "it takes a wrong proof")
        reconfigure(board, _CONFIG)
        install(board, _CONFIG, KEY)


class Wiping(Conversation):
    """What a board says while its identity is taken off."""

    def talk(self, board: Board) -> None:
        removed = wipe_board(board)
        check(all(isinstance(name, str) for name in removed), "the name of a file is no text")
        fill_free_flash(board, lambda _: None)


class _Pieces:
    """A serial line that delivers these pieces, and then fails as if the board had been unplugged."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.timeout: float | None = None

    @property
    def in_waiting(self) -> int:
        return len(self._pieces[0]) if self._pieces else 0

    def read(self, size: int = 1) -> bytes:
        if not self._pieces:
            raise serial.SerialException("the board is gone")
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


class Console(Parser):
    """What a board prints on its console."""

    _samples = (
        b"* WiFi: network as 192.0.2.7\r\n> subscribed to MQTT topic e4/00\r\n",
        b"\x1b]0;title\x07\x1b[2Jcleared\n",
        "größe\n".encode(),
        b"MicroPython v1.27.0\r\n>>> ",
        b"\xff\xfe\x00\n",
    )

    def make(self, dice: Dice) -> list[bytes]:
        data = mutation.mutate(dice, self._samples)
        if dice.below(100) == 0:
            data += b"x" * 200000
        return (
            mutation.split(dice, data) if len(data) < 1000 else [data[i : i + 4096] for i in range(0, len(data), 4096)]
        )

    def parse(self, given: list[bytes]) -> None:
        whole = b"".join(given)
        heard: list[str] = []
        with BoardConsole("board", "port", heard.append, _Pieces(list(given))) as console:
            deadline = time.monotonic() + 20
            while not console.lost and time.monotonic() < deadline:
                time.sleep(0.0001)
            check(console.lost, "it does not notice that the line is lost")
        check(len(heard) >= whole.count(b"\n"), "it leaves out a line")
        check(sum(map(len, heard)) <= 8 * len(whole) + 300, "its lines are longer than what was printed")


class EsptoolOutput(Parser):
    """What esptool prints about a chip."""

    refusals = (ToolError, PortError)
    _samples = (
        b"esptool v5.1.0\nConnected to ESP32 on /dev/ttyUSB0:\nMAC: 02:00:00:00:00:01\nDetected flash size: 4MB\n",
        b"A fatal error occurred: Failed to connect to ESP32: No serial data received.\n",
        b"Connected to ESP32-S3 on x\r\n",
    )

    def make(self, dice: Dice) -> tuple[bytes, int]:
        return mutation.mutate(dice, self._samples), pick(dice, (0, 0, 2))

    def parse(self, given: tuple[bytes, int]) -> None:
        said, code = given
        with patch(
            "e4_tools.board.flash.subprocess.Popen", lambda *_, **options: _Esptool(said, code, options["stdout"])
        ):
            chip = flash.detect_chip("/dev/null", lambda _: None)
        name = chip.name
        check(name.startswith("ESP32") and name.isascii() and name.isprintable(), "it is no chip")
        check(chip.mac is None or len(bytes.fromhex(chip.mac.replace(":", ""))) == 6, "it is no MAC")


class _Esptool:
    """A process that has printed something and has ended."""

    def __init__(self, said: bytes, code: int, output: int) -> None:
        os.write(output, said)
        self.returncode = code

    def __enter__(self) -> _Esptool:
        return self

    def __exit__(self, *_: object) -> None:
        pass
