"""A node on a virtual board: what it does while everything works, and what it reports when something is wrong."""

from __future__ import annotations

import time

import e4
from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard
from helpers.boards import KEY, TOPIC, TOPIC_KEY, BoardMaker, StartNode, config_for, write_main
from helpers.mosquitto import Mosquitto

_APPLICATION = """
from firmware.node import Node

node = Node()

@node.on("sensors/+/limit")
def limit(topic, message):
    print("limit of", topic, "is", message)
    if message == b"fail":
        raise ValueError("on purpose")

@node.every(1)
def reading():
    node.publish("sensors/lab", "a reading", qos=0)

node.run()
"""


def _command(port: int, name: str, command: bytes, key: bytes = KEY) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.send_command(e4.id_of(name), key, command)


def _say(port: int, message: bytes, topic: str = TOPIC, key: bytes = TOPIC_KEY) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.publish(topic, e4.protect(message, key, int(time.time())), retain=False)


def _grant(port: int, name: str, console: BoardConsole, topic: str = TOPIC) -> None:
    _command(port, name, e4.commands.set_topic_key(TOPIC_KEY, topic))
    console.expect("received raw message on e4/")


def _reset_and_watch(board: VirtualBoard) -> BoardConsole:
    with Board(board.device) as serial:
        serial.reset()
    return BoardConsole("board", board.device)


def test_an_unprovisioned_board_says_so_and_answers_on_its_serial_port(make_board: BoardMaker) -> None:
    board = make_board()
    with _reset_and_watch(board) as console:
        console.expect("not ready")
        console.expect("not provisioned")
    with Board(board.device) as serial:
        assert serial.run("print(6 * 7)", "a test").strip() == "42"


def test_a_misconfigured_board_names_what_is_wrong(make_board: BoardMaker) -> None:
    board = make_board()
    with Board(board.device) as serial:
        serial.write_file("e4.json", b'{"name": "alice", "wifi": {"ssid": "x"}, "broker": {}, "topics": []}')
    with _reset_and_watch(board) as console:
        console.expect('"broker.host" is missing')


def test_a_board_without_its_keys_says_so(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), KEY)
    with Board(board.device) as serial:
        serial.run("import os; os.remove('/e4.keys')", "a test")
    with _reset_and_watch(board) as console:
        console.expect("the board has no key")


def test_damaged_keys_are_reported_and_left_as_found(make_board: BoardMaker) -> None:
    board = make_board()
    provision_at(board.device, config_for("alice", 1), KEY)
    with Board(board.device) as serial:
        serial.run("f = open('/e4.keys', 'ab'); f.write(b'x'); f.close()", "a test")
    with _reset_and_watch(board) as console:
        console.expect("StoreCorrupt")
    with Board(board.device) as serial:
        assert serial.run("print(open('/e4.keys', 'rb').read()[-1:])", "a test").strip() == "b'x'"


def test_a_wrong_wifi_password_is_named_and_tried_again(start_node: StartNode) -> None:
    wifi = {"ssid": "virtual", "password": "not-the-password"}
    _, console = start_node("alice", KEY, 1, ready=False, wifi=wifi)
    console.expect('WiFi "virtual": wrong password', 40)
    console.expect("trying again in")
    assert "not-the-password" not in "\n".join(console.lines)


def test_a_broker_that_comes_and_goes_is_found_again(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port)
    mosquitto.stop()
    console.expect("connection lost")
    mosquitto.start()
    console.expect(f"subscribed to MQTT topic {TOPIC}", 40)
    _grant(mosquitto.port, "alice", console)
    _say(mosquitto.port, b"good to hear you")
    console.expect("unprotected message: good to hear you")


def test_a_broker_that_is_not_there_is_tried_again(start_node: StartNode) -> None:
    port = free_port()
    _, console = start_node("alice", KEY, port, ready=False)
    console.expect(f"connection lost or not made: {HOST}:{port} refuses the connection$")
    console.expect("trying again in 0.[5-9] s|trying again in 1.0 s")
    console.expect("trying again in [12].[0-9] s")
    console.type("a line for nobody")
    console.expect(f"not done: topic key not found: {TOPIC}$")


def test_wifi_that_goes_is_joined_again(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port)
    board.wifi(False)
    console.expect("WiFi is gone")
    board.wifi(True)
    console.expect(f"subscribed to MQTT topic {TOPIC}", 60)


def test_commands_sent_while_the_board_was_away_all_arrive(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port)
    board.cut_power()
    for topic in ("one", "two", TOPIC):
        _command(mosquitto.port, "alice", e4.commands.set_topic_key(TOPIC_KEY, topic))
    board.power_on()
    for _ in range(3):
        console.expect("^< unprotected message:$", 30)
    _say(mosquitto.port, b"x")
    console.expect("unprotected message: x")


def test_an_application_with_handlers(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _APPLICATION, ready=False)
    console.expect("subscribed to MQTT topic sensors/\\+/limit", 30)
    # The application publishes a reading from time to time, and the board has no key for it yet.
    console.expect("not done: topic key not found: sensors/lab$")
    _command(mosquitto.port, "alice", e4.commands.set_topic_key(TOPIC_KEY, "sensors/7/limit"))
    time.sleep(0.5)
    _say(mosquitto.port, b"fail", "sensors/7/limit")
    console.expect("limit of sensors/7/limit is b'fail'")
    console.expect("ValueError: on purpose")
    _say(mosquitto.port, b"30", "sensors/7/limit")
    console.expect("limit of sensors/7/limit is b'30'")


def test_payloads_from_strangers_do_not_stop_the_node(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port)
    _grant(mosquitto.port, "alice", console)
    receiving = e4.receiving_topic(e4.id_of("alice"))
    with BrokerConnection(HOST, mosquitto.port) as broker:
        for topic in (TOPIC, receiving):
            for payload in (b"", b"plain text", bytes(24), bytes(200), b"\xff" * 3000):
                broker.publish(topic, payload, retain=False)
    _say(mosquitto.port, b"still here")
    console.expect("unprotected message: still here")


def test_a_custom_receiving_topic(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, receiving_topic="plant/7/commands")
    command = e4.protect(e4.commands.set_topic_key(TOPIC_KEY, TOPIC), KEY, int(time.time()))
    with BrokerConnection(HOST, mosquitto.port) as broker:
        broker.publish("plant/7/commands", command, retain=False)
    console.expect("^< unprotected message:$")
    _say(mosquitto.port, b"x")
    console.expect("unprotected message: x")


def test_main_py_of_the_application_is_kept_by_provisioning(make_board: BoardMaker) -> None:
    board = make_board()
    write_main(board, "print('mine')")
    provision_at(board.device, config_for("alice", 1), KEY)
    with _reset_and_watch(board) as console:
        console.expect("^mine$")
