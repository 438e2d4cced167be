"""A virtual board with an application for these tests, the proxy before its broker, and its partner at the broker."""

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

# A board must work again within so many seconds after any fault. It mostly takes far less, and a board that waits for
# ever exceeds it.
BOUND = 60.0
# If a message has no answer after so many seconds, another one is tried.
_PATIENCE = 5.0
# The number of topic filters to which the board subscribes: its receiving topic and one more.
_FILTERS = 2

# These settings, in seconds, are shorter than the defaults. The board notices faults sooner, and tests take less time.
_SHORT = {"keepalive": 12, "patience": 3}

# The application of the board. It prints which messages it got and which it could send. It answers the message "ask 7"
# with "answer 7". Lines that begin with "= " are only for `firmware.node`, those with "~ " only for `firmware.aio`.
_MAIN = """
import gc
from firmware import connection
= from firmware.node import Node
~ import asyncio
~ from firmware.aio import Node

# Without these two lines, the pause before the next connection would double with every fault, up to a minute.
connection._RETRY_MS = 500
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
    """A board, its proxy and its partner. A context manager.

    Entering it starts everything, and returns when the board is connected and holds its topic keys. Messages have
    numbers, by which the rig knows what was lost.
    """

    def __init__(
        self, name: str, image: Path, folder: Path, broker_port: int, tls_port: int | None = None, **broker: Any
    ) -> None:
        """Prepare a rig; `broker` has further entries for the section `broker` of the board's configuration.

        The board connects to `tls_port` if it is given. The partner always connects to `broker_port`.
        """
        self.name = name
        self.client_id = e4.id_of(name)
        self.topic_in, self.topic_out = f"faults/{name}/in", f"faults/{name}/out"
        # The messages to the board that the broker has taken.
        self.asked: set[int] = set()
        # How often the board has printed that it got each message.
        self.got: Counter[int] = Counter()
        # The answers for which the board's `publish` has returned True.
        self.sent: set[int] = set()
        # The answers that the board has put into its queue, because it could not send them at once.
        self.waits: set[int] = set()
        # How many of the latter the board says that it has given up, because its queue was full.
        self.gave_way = 0
        # How often each answer has reached the partner.
        self.arrived: Counter[int] = Counter()
        # The time of each report of the heap, and the bytes that were free after a collection.
        self.heap: list[tuple[float, int]] = []
        # How often the board has started, and how often it has subscribed to a topic.
        self.starts = self.subscribed = 0
        self._number = 0
        # How many messages had been given up since the start of the board when `forgive` was called last.
        self._forgiven = 0
        self._image, self._folder, self._broker_port = image, folder, broker_port
        self._tls_port = tls_port
        self._broker = broker
        # If true, the application of the board uses asyncio.
        self.asynchronous = False
        # The messages on `status_topic`, if that is set.
        self.status: list[bytes] = []
        self.status_topic: str | None = None
        # The application keeps so many bytes of memory for each message, to show that a leak is noticed.
        self.leak = 0
        # If true, the proxy records everything that the board sends.
        self.record = False
        # If false, entering the rig does not wait until the board is connected.
        self.connects = True
        # Further files that are written to the board, by path.
        self.files: dict[str, bytes] = {}
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
        # What the test types is echoed, so the words may stand behind other text in the line.
        match = re.search(r"(got|sent|waits|heap|so far:) (\d+)$", line)
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
                # The board has restarted and counts from 0 again.
                self._forgiven = 0
            self.subscribed += "> subscribed to" in line
            self._changed.notify_all()

    def take_answer(self, payload: bytes) -> None:
        """Count an answer of the board. Raises E4Error if the payload is not a protected message."""
        words = e4.unprotect(payload, TOPIC_KEY, int(time.time())).split(b" ")
        with self._changed:
            self.arrived[int(words[1])] += 1
            self._changed.notify_all()

    def _take_status(self, payload: bytes) -> None:
        with self._changed:
            self.status.append(payload)
            self._changed.notify_all()

    def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until `true()` holds; return False if it does not within some seconds.

        It is tried after each line that the board prints and each message that the partner gets.
        """
        with self._changed:
            return self._changed.wait_for(true, seconds)

    def until_true(self, true: Callable[[], bool], seconds: float = BOUND) -> bool:
        """Wait until `true()` holds; return False if it does not within some seconds.

        It is tried all the time. `until` would miss what neither a line of the board nor a message announces.
        """
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def message(self, verb: str = "ask", size: int = 0) -> tuple[int, bytes]:
        """Return the number of a new message, and its text."""
        with self._changed:
            self._number += 1
            number = self._number
        return number, f"{verb} {number} ".encode() + b"x" * size

    def ask(self, size: int = 0, verb: str = "ask") -> int:
        """Let the partner send a message to the board; return its number when the broker has it."""
        number, message = self.message(verb, size)
        self.partner.publish(self.topic_in, message)
        with self._changed:
            self.asked.add(number)
        return number

    def send(self) -> int:
        """Let the board send a message that is no answer; return its number at once."""
        number, _ = self.message()
        self.console.type(f"send {number}")
        return number

    def command(self, topic: str) -> None:
        """Give the board the key of a topic."""
        with BrokerConnection(HOST, self._broker_port) as broker:
            broker.send_command(self.client_id, KEY, e4.commands.set_topic_key(TOPIC_KEY, topic))

    def holds(self, topic: str) -> bool:
        """Ask the board whether it holds the key of a topic."""
        self.console.type(f"holds {topic}")
        return self.console.expect(f"^holds {topic} (True|False)$").endswith("True")

    def check(self, seconds: float = BOUND, lossless: bool = True) -> None:
        """Raise Failure unless messages go to the board and back within some seconds.

        If `lossless` is true, also raise it if a message was lost, or if the status of the board is not "online".
        """
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
        """Return descriptions of the messages that QoS 1 should have delivered and that have not arrived so far."""
        return (
            [f"to the board: {n}" for n in sorted(self.asked) if not self.got[n]]
            + [f"from the board: {n}" for n in sorted(self.sent) if not self.arrived[n]]
            + [f"from the board, put off: {n}" for n in sorted(self.waits) if not self.arrived[n]][self.gave_way :]
        )

    def last_words(self) -> str:
        return " / ".join(self.console.lines[-6:])

    def restart(self) -> None:
        """Cut the power and restore it, which leads out of any state. Raises Failure if the board does not start."""
        self.board.cut_power()
        self.forgive()
        starts = self.starts
        self.board.power_on()
        if not self.until(lambda: self.starts > starts, BOUND):
            raise Failure(f"{self.name} does not start; it said last: {self.last_words()}")

    def forgive(self) -> None:
        """Forget all messages so far, so that none of them counts as lost."""
        with self._changed:
            self.asked.clear()
            self.sent.clear()
            self.waits.clear()
            self._forgiven += self.gave_way
            self.gave_way = 0
