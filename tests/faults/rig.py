"""A board that runs an application for these tests, the proxy it connects through, and its partner at the broker."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard
from faults.partner import Failure, Partner
from faults.proxy import FaultProxy
from helpers.boards import KEY, TOPIC_KEY, config_for

BOUND = 60.0  # seconds within which a board is back, whatever happened; far above what it takes, far below for ever
_PATIENCE = 5.0  # seconds until another message is tried
_FILTERS = 2  # to which the board subscribes: its receiving topic and one more

_SHORT = {"keepalive": 12, "patience": 3}  # seconds; a fault is noticed sooner than with the defaults

# Says on the console what it got and what it could send: "ask 7" is got, and answered by "answer 7". Of lines of
# alternatives, "= " begins that for `firmware.node` and "~ " that for `firmware.aio`.
_MAIN = """
import gc
from firmware import connection
= from firmware.node import Node
~ import asyncio
~ from firmware.aio import Node

connection._RETRY_MS = 500  # it would double with every fault, up to a minute
connection._RETRY_LIMIT_MS = 1000
node = Node()
kept = []

= def send(number, rest):
=     sent = node.publish("OUT", b"answer " + number + b" " + rest)
~ async def send(number, rest):
~     sent = await node.publish("OUT", b"answer " + number + b" " + rest)
    print("sent" if sent else "waits", int(number))

= @node.on("IN")
= def received(topic, message):
~ async def received(topic, message):
    words = message.split(b" ", 2)
    print("got", int(words[1]))
    if words[0] == b"ask":
=         send(words[1], words[2][:100])
~         await send(words[1], words[2][:100])
    if LEAK:
        kept.append(bytes(LEAK))

@node.every(1)
def look():
    gc.collect()
    print("heap", gc.mem_free())

@node.on_line
def typed(line):
    words = line.split(" ")
    if words[0] == "send":
=         send(words[1].encode(), b"typed")
~         asyncio.create_task(send(words[1].encode(), b"typed"))
    elif words[0] == "holds":
        print("holds", words[1], node.client.holds_key(words[1]))

print("started")
= node.run()
~ async def main():
~     async with node:
~         async for topic, message in node:
~             await received(topic, message)
~ asyncio.run(main())
"""


def write_file(board: VirtualBoard, path: str, content: bytes) -> None:
    """Put a file on a board."""
    with Board(board.device) as serial:
        serial.write_file(path, content)


class Rig:
    """A context manager: starts everything; when entered, the board is connected and holds its topic keys.

    `asked` are the numbers of the messages that the broker took for the board, `got` counts what the board printed,
    `sent` are the answers whose `publish` returned True, `waits` those that it put off; `gave_way` is how many of the
    latter the board says it has given up for later ones. `arrived` counts those that the partner has.
    """

    def __init__(
        self, name: str, image: Path, folder: Path, broker_port: int, tls_port: int | None = None, **broker: Any
    ) -> None:
        """Describe it; `broker` has further settings of the broker for the board's configuration.

        The board connects to `tls_port` if there is one, the partner always to `broker_port`.
        """
        self.name = name
        self.client_id = e4.id_of(name)
        self.topic_in, self.topic_out = f"faults/{name}/in", f"faults/{name}/out"
        self.asked: set[int] = set()
        self.got: Counter[int] = Counter()
        self.sent: set[int] = set()
        self.waits: set[int] = set()
        self.gave_way = 0
        self.arrived: Counter[int] = Counter()
        self.heap: list[tuple[float, int]] = []  # when, and bytes free after a collection
        self.starts = self.subscribed = 0
        self._number = 0
        self._forgiven = 0  # of those that gave way since the board's start
        self._image, self._folder, self._broker_port = image, folder, broker_port
        self._tls_port = tls_port
        self._broker = broker
        self.asynchronous = False  # the application is one for asyncio
        self.status: list[bytes] = []  # what was said of the board on `status_topic`, if that is set
        self.status_topic: str | None = None
        self.leak = 0  # bytes that the application loses with each message, to see that it is noticed
        self.record = False  # what the board sends
        self.connects = True  # when entered
        self.files: dict[str, bytes] = {}  # to be on the board
        self._changed = threading.Condition()
        self._stack = ExitStack()

    def __enter__(self) -> Rig:
        try:
            self._start()
            if self.connects:
                self.give_keys()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        image = self._folder / f"{self.name}.flash"
        shutil.copyfile(self._image, image)
        self.partner = Partner(self.name, self._broker_port, self.topic_out, self.take_answer)
        self._stack.callback(self.partner.close)
        if self.status_topic:
            self._stack.callback(
                Partner(f"{self.name}-status", self._broker_port, self.status_topic, self._take_status).close
            )
        self.proxy = self._stack.enter_context(FaultProxy(self._tls_port or self._broker_port))
        if self.record:
            self.proxy.heard = bytearray()
        self.board = self._stack.enter_context(VirtualBoard(image))
        for path, content in self.files.items():
            write_file(self.board, path, content)
        main = re.sub("^= .*\n" if self.asynchronous else "^~ .*\n", "", _MAIN, flags=re.MULTILINE)
        main = re.sub("^[=~] ", "", main, flags=re.MULTILINE)
        main = main.replace("OUT", self.topic_out).replace("IN", self.topic_in).replace("LEAK", str(self.leak))
        write_file(self.board, "main.py", main.encode())
        broker = {"host": HOST, "port": self.proxy.port, **_SHORT, **self._broker}
        config = config_for(
            self.name, self.proxy.port, topics=[self.topic_in], broker=broker, status_topic=self.status_topic
        )
        provision_at(self.board.device, config, KEY)
        self.console = self._stack.enter_context(BoardConsole(self.name, self.board.device, self._heard))

    def give_keys(self) -> None:
        """Wait for the first connection, give the board its topic keys, and see that it works."""
        if not self.until(lambda: self.subscribed >= _FILTERS, BOUND):
            raise Failure(f"{self.name} does not connect; it said last: {self.last_words()}")
        for topic in (self.topic_in, self.topic_out):
            self.command(topic)
        self.check()
        self.forgive()

    def _heard(self, line: str) -> None:
        match = re.search(r"(got|sent|waits|heap|so far:) (\d+)$", line)  # after an echo of what is typed
        with self._changed:
            if match:
                number = int(match[2])
                if match[1] == "got":
                    self.got[number] += 1
                elif match[1] == "sent":
                    self.sent.add(number)
                elif match[1] == "waits":
                    self.waits.add(number)
                elif match[1] == "so far:":
                    self.gave_way = number - self._forgiven
                else:
                    self.heap.append((time.monotonic(), number))
            if line.endswith("started"):
                self.starts += 1
                self._forgiven = 0  # the board counts anew
            self.subscribed += "> subscribed to" in line
            self._changed.notify_all()

    def take_answer(self, payload: bytes) -> None:
        """Count an answer of the board's. Raises E4Error for what is none."""
        words = e4.unprotect(payload, TOPIC_KEY, int(time.time())).split(b" ")
        with self._changed:
            self.arrived[int(words[1])] += 1
            self._changed.notify_all()

    def _take_status(self, payload: bytes) -> None:
        with self._changed:
            self.status.append(payload)
            self._changed.notify_all()

    def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true of this rig, looking whenever board or partner have something to say."""
        with self._changed:
            return self._changed.wait_for(true, seconds)

    def until_true(self, true: Callable[[], bool], seconds: float = BOUND) -> bool:
        """Wait until something is true that neither board nor partner tells of."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def message(self, verb: str = "ask", size: int = 0) -> tuple[int, bytes]:
        """A new message and its number."""
        with self._changed:
            self._number += 1
            number = self._number
        return number, f"{verb} {number} ".encode() + b"x" * size

    def ask(self, size: int = 0, verb: str = "ask") -> int:
        """Have the partner send a message to the board; return its number when the broker has it."""
        number, message = self.message(verb, size)
        self.partner.publish(self.topic_in, message)
        with self._changed:
            self.asked.add(number)
        return number

    def send(self) -> int:
        """Have the board send a message of its own accord; return its number at once."""
        number, _ = self.message()
        self.console.type(f"send {number}")
        return number

    def command(self, topic: str) -> None:
        """Give the board the key of a topic."""
        with BrokerConnection(HOST, self._broker_port) as broker:
            broker.command(self.client_id, KEY, e4.commands.set_topic_key(TOPIC_KEY, topic))

    def holds(self, topic: str) -> bool:
        """Ask the board whether it holds the key of a topic."""
        self.console.type(f"holds {topic}")
        return self.console.expect(f"^holds {topic} (True|False)$").endswith("True")

    def check(self, seconds: float = BOUND, lossless: bool = True) -> None:
        """Fail unless messages go to the board and back within a time, and nothing was lost."""
        deadline = time.monotonic() + seconds
        while True:
            number = self.ask()
            if self.until(lambda number=number: self.arrived[number] > 0, _PATIENCE):  # type: ignore[misc]
                break
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} is not back after {seconds:.0f} s; it said last: {self.last_words()}")
        if lossless and not self.until(lambda: not self.lost(), max(_PATIENCE, deadline - time.monotonic())):
            raise Failure(f"{self.name} lost {self.lost()}; it said last: {self.last_words()}")
        if lossless and self.status_topic and not self.until(lambda: self.status[-1:] == [b"online"], _PATIENCE):
            raise Failure(f"{self.name} is back, and its status is {self.status[-3:]}")

    def lost(self) -> list[str]:
        """What QoS 1 promised and did not keep, so far."""
        return (
            [f"to the board: {n}" for n in sorted(self.asked) if not self.got[n]]
            + [f"from the board: {n}" for n in sorted(self.sent) if not self.arrived[n]]
            + [f"from the board, put off: {n}" for n in sorted(self.waits) if not self.arrived[n]][self.gave_way :]
        )

    def last_words(self) -> str:
        return " / ".join(self.console.lines[-6:])

    def restart(self) -> None:
        """Cut the power and restore it: a way out of any state."""
        self.board.cut_power()
        self.forgive()
        starts = self.starts
        self.board.power_on()
        if not self.until(lambda: self.starts > starts, BOUND):
            raise Failure(f"{self.name} does not start; it said last: {self.last_words()}")

    def forgive(self) -> None:
        """Begin the account of what was lost anew."""
        with self._changed:
            self.asked.clear()
            self.sent.clear()
            self.waits.clear()
            self._forgiven += self.gave_way
            self.gave_way = 0
