"""Boards and time servers with real questions and answers on the network, and all kinds of wrong answers."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.provisioning.install import provision_at
from helpers.boards import KEY, TOPIC, TOPIC_KEY, BoardMaker, StartNode, config_for, write_main
from helpers.mosquitto import Mosquitto
from helpers.time_server import Source, TimeServer, silent

# An application as the default one, which also evaluates each typed line, so that tests can read its variables.
_MAIN = """
import machine
from firmware.console import text
from firmware.node import Node

node = Node()

@node.on()
def received(topic, message):
    print("< unprotected message:", text(message))

@node.on_line
def typed(line):
    print("=", eval(line))

node.run()
"""

_LOOK_UP = """
import socket
try:
    print(socket.getaddrinfo("pool.ntp.org", 123))
except OSError as error:
    print(error.args[0])
"""


@pytest.fixture
def servers() -> Iterator[list[TimeServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(TimeServer()) for _ in range(4)]


def _times(*servers: TimeServer, **changes: Any) -> dict[str, Any]:
    return {"time_servers": [server.address for server in servers], **changes}


def _command(port: int, command: bytes, timestamp: float) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.publish(f"e4/{e4.id_of('alice').hex()}", e4.protect(command, KEY, int(timestamp)), retain=False)


def _say(port: int, message: bytes, timestamp: float) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.publish(TOPIC, e4.protect(message, TOPIC_KEY, int(timestamp)), retain=False)


def _grant(port: int, timestamp: float) -> None:
    _command(port, e4.commands.set_topic_key(TOPIC_KEY, TOPIC), timestamp)


def _asked(console: BoardConsole, expression: str) -> str:
    console.type(expression)
    return console.expect("^= ").removeprefix("= ")


def test_a_board_is_set_to_the_time_that_two_servers_agree_on(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    a, liar, b, _ = servers
    liar.offset = -86400
    _, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(liar, a, b))
    before = int(time.time()) - 1
    assert before <= int(_asked(console, "node.clock()")) <= time.time()
    assert _asked(console, "machine.RTC().datetime()[:3]") == str(tuple(time.gmtime()[:3]))
    assert _asked(console, "node.clock.why").startswith("the time is from time servers")


def test_a_spoofed_server_among_two_leaves_a_board_without_the_time(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    servers[1].offset = -3600
    _, console = start_node("alice", KEY, mosquitto.port, _MAIN, ready=False, **_times(*servers[:2]))
    console.expect("the time is not known: no two time servers agree")
    servers[1].offset = 0
    console.expect("subscribed", 60)


def test_one_forged_denial_leaves_a_board_without_the_time_for_an_hour_at_most(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    servers[0].reply = servers[0].deny
    _, console = start_node("alice", KEY, mosquitto.port, _MAIN, ready=False, **_times(servers[0]))
    console.expect("it wants no questions .DENY.")
    servers[0].reply = None
    console.expect("it wants no questions .DENY.; not asked for an hour", 60)


def test_hostile_answers_are_refused_and_said_so(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    stopped = threading.Event()
    flooding, elsewhere, denying, cutting = servers

    def flood(question: bytes, source: Source) -> None:
        """Send answers that guess the random number of the question, for longer than the board waits for an answer."""
        while not stopped.wait(0.001):
            flooding.send(flooding.honest(question[:40] + os.urandom(8)), source)

    flooding.reply = flood
    elsewhere.reply = lambda question, source: cutting.send(elsewhere.honest(question), source)
    denying.reply = denying.deny
    cutting.reply = lambda question, source: cutting.send(cutting.honest(question)[:47], source)
    try:
        _, console = start_node("alice", KEY, mosquitto.port, _MAIN, ready=False, **_times(*servers))
        line = console.expect("no two time servers agree")
    finally:
        stopped.set()
    flooded, from_elsewhere, denied, cut = line.split("; " + HOST)
    assert re.search(r"no answer within 2 s; packets that do not answer us and were ignored: \d\d", flooded)
    assert "ignored: 1" in from_elsewhere
    assert "it wants no questions (DENY)" in denied
    assert "ignored: 1" in cut


def test_both_servers_spoofed_make_no_old_message_fresh(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(*servers))
    _say(mosquitto.port, b"recorded", time.time() - 3600)
    console.expect("refused on /e4go/demo/messages")
    _grant(mosquitto.port, time.time())
    _say(mosquitto.port, b"now", time.time())
    console.expect("unprotected message: now")
    assert "confirmed" in _asked(console, "node.clock.why")
    board.cut_power()
    for server in servers:
        server.offset = -3600
    board.power_on()
    console.expect("before that of authentic traffic: they are wrong or lie")
    console.expect("connection lost or not made: the time is not known")
    for server in servers:
        server.offset = 0
    console.expect("subscribed to MQTT topic /e4go", 60)
    _say(mosquitto.port, b"recorded", time.time() - 3600)
    _say(mosquitto.port, b"now again", time.time())
    console.expect("unprotected message: now again")
    assert not any("unprotected message: recorded" in line for line in console.lines)


@pytest.mark.parametrize("reset", ["machine.reset()", "machine.soft_reset()"])
def test_a_reset_keeps_the_time_though_no_server_answers(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer], reset: str
) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(*servers[:2]))
    for server in servers:
        server.reply = silent
    console.type(reset)
    console.expect("time: no two time servers agree")
    console.expect("subscribed to MQTT topic /e4go")
    before = int(time.time()) - 1
    assert before <= int(_asked(console, "node.clock()")) <= time.time()


def test_a_power_cut_does_not(start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(*servers[:2]))
    for server in servers:
        server.reply = silent
    board.cut_power()
    board.power_on()
    console.expect("connection lost or not made: the time is not known: no two time servers agree")
    assert _asked(console, "machine.RTC().datetime()[0]") == "2000"


def test_where_no_server_answers_a_command_sets_the_clock_if_it_may(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    for server in servers:
        server.reply = silent
    _, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(servers[0], time_from_commands=True))
    _say(mosquitto.port, b"too early", time.time())
    console.expect("refused on")
    _grant(mosquitto.port, time.time())
    console.expect("clock: no time server answers; the time is taken from a command")
    _say(mosquitto.port, b"in time", time.time())
    console.expect("unprotected message: in time")
    _say(mosquitto.port, b"old", time.time() - 3600)
    console.expect("refused on")


def test_after_a_power_cut_the_retained_command_is_enough(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    servers[0].reply = silent
    board, console = start_node("alice", KEY, mosquitto.port, _MAIN, **_times(servers[0], time_from_commands=True))
    command = e4.protect(e4.commands.set_topic_key(TOPIC_KEY, TOPIC), KEY, int(time.time()) - 180)
    with BrokerConnection(HOST, mosquitto.port) as broker:
        broker.publish(f"e4/{e4.id_of('alice').hex()}", command, retain=True)
    console.expect("the time is taken from a command")
    board.cut_power()
    board.power_on()
    console.expect("the time is taken from a command and may be later. If messages are refused, send a new one")
    console.expect(f"subscribed to MQTT topic {TOPIC}")
    # What a peer says now is three minutes ahead of the clock of the board, and what the board says is as old to it.
    _say(mosquitto.port, b"from a peer", time.time())
    console.expect("unprotected message: from a peer")
    assert _asked(console, "node.publish('/e4go/demo/messages', 'from the board')") == "True"
    console.expect("unprotected message: from the board")
    # A command of now puts the clock right.
    _grant(mosquitto.port, time.time())
    _say(mosquitto.port, b"again", time.time())
    console.expect("unprotected message: again")
    assert time.time() - 10 <= int(_asked(console, "node.clock()")) <= time.time()


def test_after_a_power_cut_an_old_command_is_not_enough_and_the_console_says_so(
    start_node: StartNode, mosquitto: Mosquitto, servers: list[TimeServer]
) -> None:
    servers[0].reply = silent
    changes = _times(servers[0], time_from_commands=True, max_command_age=None)
    board, console = start_node("alice", KEY, mosquitto.port, _MAIN, **changes)
    _grant(mosquitto.port, time.time() - 30 * 86400)
    console.expect("the time is taken from a command")
    board.cut_power()
    board.power_on()
    console.expect("If messages are refused, send a new one: e4 sync NAME --again")
    console.expect(f"subscribed to MQTT topic {TOPIC}")
    _say(mosquitto.port, b"too early", time.time())
    console.expect("refused on /e4go/demo/messages: .*in future")
    assert "send a new one" in _asked(console, "node.clock.why")
    _grant(mosquitto.port, time.time())
    _say(mosquitto.port, b"in time", time.time())
    console.expect("unprotected message: in time")


@pytest.mark.parametrize(("names", "why"), [(False, "no name server knows time.cloudflare.com"), (True, "no answer")])
def test_a_board_goes_on_while_names_or_servers_do_not_answer(
    make_board: BoardMaker, mosquitto: Mosquitto, names: bool, why: str
) -> None:
    board = make_board(ntp=False)
    write_main(board, _MAIN)
    board.name_server(names)
    provision_at(board.device, config_for("alice", mosquitto.port), KEY)
    with BoardConsole("alice", board.device) as console:
        console.expect("WiFi: virtual as")
        assert _asked(console, "node.clock.trust") == "0"
        # The board is still asking the time servers, and so it has not reported a failure yet.
        assert not any("agree" in line for line in console.lines)
        console.expect(f"no two time servers agree .*; time.cloudflare.com: .*{why}", 60)


def test_virtual_boards_whose_time_servers_are_silent(make_board: BoardMaker) -> None:
    """With `e4 board --no-ntp` no time server answers. Without it, all of them answer a virtual board correctly."""
    board = make_board(ntp=False)
    # Without WiFi no name can be looked up, as on a real board.
    with Board(board.device) as serial:
        assert serial.run(_LOOK_UP, "a test").strip() == "-202"
    provision_at(board.device, config_for("alice", 1), KEY)
    with BoardConsole("alice", board.device) as console:
        console.expect(r"the time is not known: no two time servers agree \(0.pool.ntp.org: no answer within 2 s;")
