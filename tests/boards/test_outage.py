"""What a node does while something is missing: messages wait, the console works, and the watchdog is active."""

from __future__ import annotations

import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST
from helpers.boards import KEY, TOPIC, TOPIC_KEY, StartNode, stays_with_its_tools
from helpers.mosquitto import Mosquitto

_SENDER = """
from firmware.node import Node
node = Node()
@node.on_line
def typed(line):
    if line == "hang":
        while True:
            pass
    print("published" if node.publish(node.topics[0], line) else "waits", line)
@node.on_command
def steered():
    print("steered")
node.run()
"""

# The same application with a watchdog that bites sooner than `/e4.json` allows, so that the tests need not wait.
_WATCHED = _SENDER.replace("node = Node()", "node = Node()\nnode.config.watchdog = 2", 1)

# The same application on a board that never has enough memory to clean up its flash.
_UNTIDY = _SENDER.replace(
    "@node.on_line",
    """
def tidy(steps):
    raise MemoryError("none left")
if node.client:
    node._store.tidy = tidy
@node.on_line""",
    1,
)


class _Listener:
    """Reads a topic with its key. `messages` has the messages without copies, and `copies` counts the copies."""

    def __init__(self, port: int, topic: str = TOPIC) -> None:
        self.messages: list[bytes] = []
        self.copies = 0
        self._seen: set[bytes] = set()
        self._changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self._client.on_message = self._arrived
        self._topic = topic
        self._client.on_connect = self._connected
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect(HOST, port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _connected(self, *_: object) -> None:
        self._client.subscribe(self._topic, 1)

    def _arrived(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        with self._changed:
            if payload in self._seen:
                self.copies += 1
                return
            self._seen.add(payload)
            self.messages.append(e4.unprotect(payload, TOPIC_KEY, int(time.time())))
            self._changed.notify_all()

    def until(self, *messages: bytes) -> bool:
        """Wait until exactly these messages have arrived, in this order. Return False if they do not."""
        with self._changed:
            return self._changed.wait_for(lambda: self.messages == list(messages), 30)


def _grant(port: int) -> None:
    with BrokerConnection(HOST, port) as broker:
        broker.send_command(e4.id_of("alice"), KEY, e4.commands.set_topic_key(TOPIC_KEY, TOPIC))


def test_messages_wait_for_the_broker_and_arrive_in_order(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _SENDER)
    _grant(mosquitto.port)
    console.expect("steered")
    mosquitto.stop()
    console.expect("connection lost")
    for line in ("one", "two", "three"):
        console.type(line)
        console.expect(f"^waits {line}$", 5)
    mosquitto.start()
    listener = _Listener(mosquitto.port)
    assert listener.until(b"one", b"two", b"three")
    console.type("four")
    assert listener.until(b"one", b"two", b"three", b"four")
    console.expect("^published four$", 10)


def test_a_full_queue_gives_up_the_oldest_and_says_so(start_node: StartNode, mosquitto: Mosquitto) -> None:
    queue = {"messages": 3, "bytes": 1000}
    _, console = start_node("alice", KEY, mosquitto.port, _SENDER, queue=queue)
    _grant(mosquitto.port)
    console.expect("steered")
    mosquitto.stop()
    console.expect("connection lost")
    for i in range(5):
        console.type(f"m{i}")
        console.expect(f"^waits m{i}$", 5)
    assert any("the queue is full; messages that gave way so far: 2" in line for line in console.lines)
    mosquitto.start()
    assert _Listener(mosquitto.port).until(b"m2", b"m3", b"m4")


def test_the_console_answers_while_there_is_no_wifi(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _SENDER)
    _grant(mosquitto.port)
    console.expect("steered")
    board.wifi(False)
    console.expect("WiFi is gone")
    for i in range(8):
        console.type(f"line {i}")
        # Joining the WiFi may take far longer than that, and the console must work meanwhile.
        console.expect(f"^waits line {i}$", 10)
    board.wifi(True)
    console.expect("> subscribed to MQTT topic /e4go", 60)


def test_a_board_without_memory_to_clean_up_goes_on_working(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _UNTIDY)
    _grant(mosquitto.port)
    console.expect("steered")
    for line in ("one", "two"):
        console.type(line)
        console.expect(f"^published {line}$", 5)
    assert "* cleaning up failed: MemoryError none left" in console.lines
    assert not any("connecting again" in line for line in console.lines)


def test_a_handler_that_hangs_is_ended_by_the_watchdog(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _WATCHED)
    console.type("hang")
    console.expect("> subscribed to MQTT topic /e4go", 30)


def test_a_node_that_works_or_waits_for_its_broker_is_not_reset(start_node: StartNode, mosquitto: Mosquitto) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _WATCHED)
    _grant(mosquitto.port)
    console.expect("steered")
    time.sleep(5)
    mosquitto.stop()
    console.expect("connection lost")
    console.type("kept in memory")
    console.expect("^waits kept in memory$")
    time.sleep(5)
    mosquitto.start()
    assert _Listener(mosquitto.port).until(b"kept in memory")


def test_the_watchdog_lets_tools_work_on_the_board(start_node: StartNode, mosquitto: Mosquitto) -> None:
    board, console = start_node("alice", KEY, mosquitto.port, _WATCHED)
    console.__exit__(None, None, None)
    assert stays_with_its_tools(board, 5)


def test_a_status_is_kept_for_whoever_asks(start_node: StartNode, mosquitto: Mosquitto) -> None:
    states: list[bytes] = []
    changed = threading.Condition()

    def arrived(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with changed:
            states.append(bytes(message.payload))
            changed.notify_all()

    board, _ = start_node("alice", KEY, mosquitto.port, status_topic="boards/alice", broker=_brisk(mosquitto))
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = arrived
    client.connect(HOST, mosquitto.port)
    client.subscribe("boards/alice", 1)
    client.loop_start()
    with changed:
        assert changed.wait_for(lambda: states == [b"online"], 10)
        board.cut_power()
        assert changed.wait_for(lambda: states == [b"online", b"offline"], 30)
        board.power_on()
        assert changed.wait_for(lambda: states[-1] == b"online", 30)


def _brisk(mosquitto: Mosquitto) -> dict[str, object]:
    return {"host": HOST, "port": mosquitto.port, "keepalive": 3, "patience": 2}
