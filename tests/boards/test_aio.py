"""Nodes in applications that use `asyncio`, on a virtual board."""

from __future__ import annotations

import time

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from helpers.boards import KEY, TOPIC, TOPIC_KEY, BoardMaker, StartNode, stays_with_its_tools, write_main
from helpers.mosquitto import Mosquitto

_ECHO = """
import asyncio
from firmware.aio import Node

async def count():
    n = 0
    while True:
        await asyncio.sleep_ms(100)
        n += 1
        if n % 10 == 0:
            print("tick", n // 10)

async def main():
    node = Node()
    @node.on_line
    def typed(line):
        print("typed", line)
        node.post(node.topics[0], line)
    async with node:
        asyncio.create_task(count())
        async for topic, message in node:
            if message == b"stop":
                break
            if not message.startswith(b"echo"):
                print("sent" if await node.publish(topic, b"echo of " + message) else "waits", message.decode())
    print("left")

asyncio.run(main())
"""

# The same application with a watchdog that bites sooner than `/e4.json` allows, so that the tests need not wait.
_WATCHED = _ECHO.replace("node = Node()", "node = Node()\n    node.config.watchdog = 2", 1)


def _grant(port: int) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.send_command(e4.id_of("alice"), KEY, e4.commands.set_topic_key(TOPIC_KEY, TOPIC))
    time.sleep(0.5)


def _say(port: int, *messages: bytes) -> None:
    with BrokerConnection(HOST, port) as broker:
        for message in messages:
            broker.publish(TOPIC, e4.protect(message, TOPIC_KEY, int(time.time())), retain=False)


def test_messages_are_iterated_over_and_answered(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _ECHO)
    _grant(mosquitto.port)
    _say(mosquitto.port, *(b"m%d" % i for i in range(30)))
    for i in range(30):
        console.expect(f"^sent m{i}$", 10)
    console.type("by hand")
    console.expect("^typed by hand$", 5)
    console.expect("^tick", 5)
    _say(mosquitto.port, b"stop")
    console.expect("^left$", 10)


def test_other_tasks_run_while_there_is_no_broker(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _ECHO)
    _grant(mosquitto.port)
    mosquitto.stop()
    console.expect("connection lost")
    for _ in range(3):
        console.expect("^tick", 5)
    console.type("kept")
    console.expect("^typed kept$", 5)
    mosquitto.start()
    console.expect(f"> subscribed to MQTT topic {TOPIC}", 60)
    _say(mosquitto.port, b"after it")
    console.expect("^sent after it$", 10)
    board.wifi(False)
    console.expect("WiFi is gone")
    for _ in range(3):
        console.expect("^tick", 5)


_HANDLERS = """
import asyncio
from firmware.aio import Node

async def main():
    node = Node()
    never = asyncio.Event()
    @node.on(node.topics[0])
    async def heard(topic, message):
        if message.startswith(b"wait"):
            await never.wait()
        elif message == b"raise":
            raise ValueError("as asked")
        elif not message.startswith(b"echo"):
            await asyncio.sleep_ms(50)
            print("sent", await node.publish(topic, b"echo of " + message), message.decode())
    async with node:
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def test_asynchronous_handlers_may_wait(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _HANDLERS)
    _grant(mosquitto.port)
    _say(mosquitto.port, b"m0", b"raise", b"m1")
    console.expect("ValueError: as asked", 10)
    assert {console.expect("^sent True m[01]$", 10) for _ in range(2)} == {"sent True m0", "sent True m1"}
    # Eight calls of handlers may run at the same time. These seven go on waiting and leave room for one.
    _say(mosquitto.port, *(b"wait %d" % i for i in range(7)))
    _say(mosquitto.port, b"m2")
    console.expect("^sent True m2$", 10)
    _say(mosquitto.port, b"wait for ever", b"one too many")
    console.expect("RuntimeError: 8 calls of handlers have not ended; this one was not made", 10)


_TWICE = """
import asyncio
from firmware.aio import Node

async def main():
    node = Node()
    for _ in range(3):
        try:
            async with node:
                print("entered")
                async for topic, message in node:
                    print("got", message.decode())
                    if message.startswith(b"raise"):
                        raise ValueError
                    if message.startswith(b"stop"):
                        node.stop()
            print("ended")
        except ValueError:
            print("raised")
    try:
        async with node:
            print("entered")
            while node._link.stream is None:
                await asyncio.sleep_ms(1)
            asyncio.create_task(node.publish(node.topics[0], "x")).cancel()
            raise ValueError
    except ValueError:
        print("left while connecting")

asyncio.run(main())
"""


def test_a_node_that_is_left_by_any_way_can_be_entered_again(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _TWICE)
    _grant(mosquitto.port)
    for i, (word, end, then) in enumerate(
        (
            ("raise", "^raised$", f"> subscribed to MQTT topic {TOPIC}"),
            ("stop", "^ended$", f"> subscribed to MQTT topic {TOPIC}"),
            ("stop", "^ended$", "^entered$"),
        )
    ):
        _say(mosquitto.port, b"%d" % i, b"%s %d" % (word.encode(), i))
        console.expect(f"^got {i}$", 10)
        console.expect(f"^got {word} {i}$", 10)
        console.expect(end, 10)
        console.expect(then, 30)
    console.expect("^left while connecting$", 30)
    assert sum(line.startswith("got ") for line in console.lines) == 6


def test_the_watchdog_lets_tools_work_on_the_board(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _WATCHED)
    console.__exit__(None, None, None)
    assert stays_with_its_tools(board, 5)


def test_a_board_that_is_not_ready_says_so(make_board: BoardMaker) -> None:
    board = make_board("alice")
    write_main(board, _ECHO)
    with Board(board.device) as serial:
        serial.reset()
    with BoardConsole("alice", board.device) as console:
        console.expect("LinkDown: this board is not ready: there is no /e4.json")
