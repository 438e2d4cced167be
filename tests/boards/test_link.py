"""The link on a virtual board with a real broker, in situations that `umqtt.simple` alone does not survive."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time

import pytest

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board.umqtt import VERSIONS
from helpers.boards import KEY, TOPIC, TOPIC_KEY, BoardMaker, StartNode, config_for
from helpers.mosquitto import Mosquitto

_ECHO = """
from firmware.node import Node

node = Node()

@node.on()
def echo(topic, message):
    if not message.startswith(b"echo"):
        node.publish(topic, b"echo of " + message)
        print("echoed", message.decode())

node.run()
"""


def _grant(port: int, topic: str = TOPIC) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.send_command(e4.id_of("alice"), KEY, e4.commands.set_topic_key(TOPIC_KEY, topic))
    # The board needs a moment to apply the command. Not every application prints that it has.
    time.sleep(0.5)


def _say(port: int, *messages: bytes, topic: str = TOPIC) -> None:
    with BrokerConnection(HOST, port) as broker:
        for message in messages:
            broker.publish(topic, e4.protect(message, TOPIC_KEY, int(time.time())), retain=False)


def test_a_handler_that_publishes_keeps_up_with_a_burst(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _ECHO)
    _grant(mosquitto.port)
    _say(mosquitto.port, *(b"m%d" % i for i in range(20)))
    for i in range(20):
        console.expect(f"^echoed m{i}$", 10)


def test_a_backlog_with_a_handler_that_publishes(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _ECHO)
    _grant(mosquitto.port)
    board.cut_power()
    _say(mosquitto.port, b"while you were away", b"and another")
    board.power_on()
    console.expect("^echoed while you were away$", 10)
    console.expect("^echoed and another$", 10)


_PLAIN = """
import sys
import socket as real

# A socket that an application may provide to carry a connection over something other than WiFi. It has no options, and
# no `ioctl`, so that it cannot be polled.
class Plain:
    def __init__(self, *kind):
        self._real = real.socket(*kind)
        self.close = self._real.close
        self._begun = False

    def setblocking(self, flag):
        self._real.setblocking(flag)

    def connect(self, address):
        self._real.setblocking(True)
        self._real.connect(address)
        self._real.setblocking(False)

    def readinto(self, buffer):
        return self._said(self._real.readinto(buffer))

    def write(self, data):
        self._begun = not self._begun
        return self._said(self._real.write(data[:7]) if self._begun else None)

    def _said(self, n):
        if n is None and NOTHING:
            raise OSError(NOTHING)
        return n

class Module:
    AF_INET, SOCK_DGRAM = real.AF_INET, real.SOCK_DGRAM
    getaddrinfo = staticmethod(real.getaddrinfo)

    def socket(self, *kind):
        return real.socket(*kind) if kind else Plain()

sys.modules["socket"] = Module()
"""


@pytest.mark.parametrize("nothing", [None, errno.EAGAIN, errno.ETIMEDOUT])
def test_a_socket_that_can_do_little_is_enough(
    start_node: StartNode, mosquitto: Mosquitto, nothing: int | None
) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _PLAIN.replace("NOTHING", str(nothing)) + _ECHO)
    _grant(mosquitto.port)
    _say(mosquitto.port, b"m0", b"m1" + bytes(3000))
    console.expect("^echoed m0$", 10)
    console.expect("^echoed m1", 10)
    mosquitto.stop()
    console.expect("connection lost")
    mosquitto.start()
    console.expect(f"subscribed to MQTT topic {TOPIC}", 40)
    _say(mosquitto.port, b"m2")
    console.expect("^echoed m2$", 10)


def test_a_huge_message_is_skipped_and_does_not_return(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port)
    _grant(mosquitto.port)
    with BrokerConnection(HOST, mosquitto.port) as broker:
        broker.publish(TOPIC, bytes(1_000_000), retain=False)
    console.expect("skipped on /e4go/demo/messages: 1000000 bytes")
    _say(mosquitto.port, b"after it")
    console.expect("unprotected message: after it")
    board.cut_power()
    board.power_on()
    console.expect(f"subscribed to MQTT topic {TOPIC}")
    _say(mosquitto.port, b"again")
    console.expect("unprotected message: again")
    assert sum("1000000" in line for line in console.lines) == 1


def test_the_largest_message_goes_through(start_node: StartNode, mosquitto: Mosquitto) -> None:
    main = """
from firmware.node import Node
node = Node()
@node.on()
def received(topic, message):
    print("got", len(message))
node.run()
"""
    _, console = start_node("alice", KEY, mosquitto.port, main, max_message=8192)
    _grant(mosquitto.port)
    _say(mosquitto.port, bytes(8192 - 24), bytes(8192 - 23), b"x")
    console.expect("^got 8168$")
    console.expect("skipped")
    console.expect("^got 1$")


def test_packet_identifiers_begin_again(start_node: StartNode, mosquitto: Mosquitto) -> None:
    main = """
from firmware.node import Node
node = Node()
@node.on_line
def typed(line):
    node._link._packet_id = 0xFFFD
    for i in range(5):
        print("sent", i, node.publish(node.topics[0], str(i)), node._link._packet_id)
node.run()
"""
    _, console = start_node("alice", KEY, mosquitto.port, main)
    _grant(mosquitto.port)
    console.type("go")
    console.expect("^sent 2 True 1$", 10)
    console.expect("^sent 4 True 3$", 10)


def test_topics_of_any_length(start_node: StartNode, mosquitto: Mosquitto) -> None:
    topic = "ä/" + "q" * 500
    _, console = start_node("alice", KEY, mosquitto.port, topics=["x" * 123, "y" * 512, topic, TOPIC])
    _grant(mosquitto.port, topic)
    _say(mosquitto.port, b"at length", topic=topic)
    console.expect("unprotected message: at length")


def _refuse_first_topic(server: socket.socket) -> None:
    """Act as a broker that grants the first and the third subscription, refuses the second one, and then is silent."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(30)
        connection.recv(1024)
        connection.sendall(b"\x20\x02\x00\x00")
        for granted in (0x01, 0x80, 0x01):
            packet = connection.recv(1024)
            assert packet[0] == 0x82
            connection.sendall(b"\x90\x03" + packet[2:4] + bytes([granted]))
        with contextlib.suppress(OSError):
            connection.recv(1024)


def test_a_refused_subscription_is_named_and_the_rest_works(start_node: StartNode) -> None:
    with socket.create_server((HOST, 0)) as server:
        broker = threading.Thread(target=_refuse_first_topic, args=(server,), daemon=True)
        broker.start()
        port = server.getsockname()[1]
        board, console = start_node("alice", KEY, port, topics=["forbidden/topic", TOPIC], ready=False)
        console.expect("broker refuses our subscription to forbidden/topic", 30)
        console.expect(f"subscribed to MQTT topic {TOPIC}")
        board.cut_power()
        broker.join(5)


def test_a_user_with_a_name_that_is_not_ascii(start_node: StartNode, mosquitto: Mosquitto) -> None:
    broker = {"host": HOST, "port": mosquitto.port, "user": "müller", "password": "pässwörd"}
    start_node("alice", KEY, mosquitto.port, broker=broker)


@pytest.mark.parametrize("version", sorted(path.name for path in VERSIONS.iterdir()))
def test_other_versions_of_umqtt(make_board: BoardMaker, mosquitto: Mosquitto, version: str) -> None:
    board = make_board("alice", frozen=VERSIONS / version)
    provision_at(board.device, config_for("alice", mosquitto.port, status_topic="status"), KEY)
    with BoardConsole("alice", board.device) as console:
        console.expect(f"> subscribed to MQTT topic {TOPIC}", 30)
        _grant(mosquitto.port)
        console.type("there and back")
        console.expect("published successfully")
        console.expect("unprotected message: there and back")
