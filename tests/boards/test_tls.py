"""TLS between a virtual board and mosquitto: the board connects to its own broker and refuses all others."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.provisioning.install import install
from helpers.authority import Authority, mosquitto_lines
from helpers.boards import KEY, TOPIC, TOPIC_KEY, BoardMaker, config_for
from helpers.mosquitto import Mosquitto
from helpers.time_server import TimeServer, silent

_REFUSED = "connection lost or not made: .*certificate"
Start = Callable[..., BoardConsole]


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def start(make_board: BoardMaker, mosquitto: Mosquitto, tmp_path: Path, authority: Authority) -> object:
    """A function that starts a broker with a certificate and a board, and returns the board's console.

    `issuer`, `certified` and `expired` describe the certificate of the broker. `ca` is the CA certificate that the
    board trusts, or None for none.
    """
    consoles: list[BoardConsole] = []

    def start_board(
        issuer: Authority = authority,
        ca: bytes | None = authority.pem,
        certified: str = "localhost",
        expired: bool = False,
    ) -> BoardConsole:
        mosquitto.configure(mosquitto_lines(issuer.issue(tmp_path, certified, expired)))
        board = make_board("alice")
        broker = {"host": "localhost", "port": mosquitto.port, "ca": "/ca.crt"}
        with Board(board.device) as serial:
            if ca is not None:
                serial.write_file("ca.crt", ca)
            install(serial, config_for("alice", mosquitto.port, broker=broker), KEY)
            serial.reset()
        consoles.append(BoardConsole("alice", board.device).__enter__())
        return consoles[-1]

    yield start_board
    for console in consoles:
        console.__exit__(None, None, None)


class _Speaker:
    """A client that sends messages through the TLS broker. It trusts the same CA as the board."""

    def __init__(self, port: int, authority: Authority) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        context = ssl.create_default_context(cadata=authority.pem.decode())
        self._client.tls_set_context(context)
        self._client.connect("localhost", port)
        self._client.loop_start()

    def say(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, 1).wait_for_publish(10)


@pytest.mark.parametrize("form", ["pem", "der"])
def test_a_broker_with_the_right_certificate(
    start: Start, mosquitto: Mosquitto, authority: Authority, form: str
) -> None:
    console = start(ca=getattr(authority, form))
    console.expect(f"> subscribed to MQTT topic {TOPIC}", 30)
    speaker = _Speaker(mosquitto.port, authority)
    command = e4.protect(e4.commands.set_topic_key(TOPIC_KEY, TOPIC), KEY, int(time.time()))
    speaker.say(e4.receiving_topic(e4.id_of("alice")), command)
    console.expect("^< unprotected message:$")
    # So many messages arrive in several TLS records at a time.
    for i in range(20):
        speaker.say(TOPIC, e4.protect(b"line %d" % i + bytes(1500), TOPIC_KEY, int(time.time())))
    for i in range(20):
        console.expect(rf"unprotected message: b'line {i}\\x00")
    console.type("a line from the board")
    console.expect("published successfully")
    console.expect("unprotected message: a line from the board")


def test_a_broker_of_another_authority_is_refused(start: Start) -> None:
    console = start(issuer=Authority("another CA"))
    console.expect(_REFUSED, 30)
    console.expect("trying again")
    assert not any("connected to" in line for line in console.lines)


def test_a_broker_with_a_certificate_for_another_host_is_refused(start: Start) -> None:
    console = start(certified="broker.example")
    console.expect(_REFUSED, 30)
    assert not any("connected to" in line for line in console.lines)


def test_a_broker_with_an_expired_certificate_is_refused(start: Start) -> None:
    console = start(expired=True)
    console.expect(_REFUSED, 30)
    assert not any("connected to" in line for line in console.lines)


def test_without_its_ca_a_board_does_not_connect_at_all(start: Start) -> None:
    console = start(ca=None)
    console.expect("cannot read the CA certificate /ca.crt", 30)
    console.expect("trying again")
    assert not any("connected to" in line for line in console.lines)


@pytest.mark.parametrize("ca", [b"this is no certificate", Authority().pem + Authority().pem, Authority().pem[:-30]])
def test_something_that_is_not_one_certificate_is_no_ca(start: Start, ca: bytes) -> None:
    console = start(ca=ca)
    console.expect("/ca.crt holds no CA certificate", 30)
    assert not any("connected to" in line for line in console.lines)


def test_a_broker_without_tls_is_refused(start_node: object, mosquitto: Mosquitto, make_board: BoardMaker) -> None:
    board = make_board("alice")
    broker = {"host": HOST, "port": mosquitto.port, "ca": "/ca.crt"}
    with Board(board.device) as serial:
        serial.write_file("ca.crt", Authority().pem)
        install(serial, config_for("alice", mosquitto.port, broker=broker), KEY)
        serial.reset()
    with BoardConsole("alice", board.device) as console:
        console.expect("connection lost or not made", 60)
        assert not any("connected to" in line for line in console.lines)


def test_without_time_servers_it_connects_by_the_time_of_the_last_command(
    make_board: BoardMaker, mosquitto: Mosquitto, tmp_path: Path, authority: Authority
) -> None:
    mosquitto.configure(mosquitto_lines(authority.issue(tmp_path, "localhost", False)))
    board = make_board("alice")
    broker = {"host": "localhost", "port": mosquitto.port, "ca": "/ca.crt"}
    with TimeServer() as server:
        server.reply = silent
        time_from_commands = {"time_servers": [server.address], "time_from_commands": True}
        with Board(board.device) as serial:
            serial.write_file("ca.crt", authority.pem)
            install(serial, config_for("alice", mosquitto.port, broker=broker, **time_from_commands), KEY)
            serial.reset()
        with BoardConsole("alice", board.device) as console:
            console.expect("the time is not known: .*no answer within 2 s.; TLS needs it", 30)
            server.reply = None
            console.expect("subscribed to MQTT topic e4/", 60)
            server.reply = silent
            speaker = _Speaker(mosquitto.port, authority)
            command = e4.protect(e4.commands.set_topic_key(TOPIC_KEY, TOPIC), KEY, int(time.time()))
            speaker.say(e4.receiving_topic(e4.id_of("alice")), command)
            console.expect("^< unprotected message:$")
            speaker.say(TOPIC, e4.protect(b"granted", TOPIC_KEY, int(time.time())))
            console.expect("unprotected message: granted")
            board.cut_power()
            board.power_on()
            console.expect("the time is taken from a command", 30)
            console.expect("subscribed to MQTT topic e4/", 30)
