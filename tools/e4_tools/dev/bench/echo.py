"""Measures messages per second of a node on a virtual board and a real broker, against bare `umqtt.simple`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import e4
from e4_tools.board.deploy import deploy_to
from e4_tools.board.raw_repl import Board
from e4_tools.dev.bench.figures import Figure
from e4_tools.errors import ToolError
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.embedded_broker import HOST, free_port
from e4_tools.mqtt.mosquitto import find_mosquitto, run_mosquitto
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard
from e4_tools.virtual_board.options import DEFAULT_PASSWORD, DEFAULT_SSID

_KEY = bytes(range(32))
_TOPIC = "bench/echo"
_WIFI = (DEFAULT_SSID, DEFAULT_PASSWORD)
_SECONDS = 240.0
_CASES = Path(__file__).with_name("on_board") / "bench_echo.py"


def messages(rounds: int) -> Iterator[Figure]:
    """Yield a node's rate of messages over that of bare umqtt, for QoS 0 and 1. Raises ToolError without mosquitto.

    The first measurement uses sockets as they are. There umqtt waits with small writes until the other side has
    acknowledged earlier ones (Nagle's algorithm), which takes 40 ms on Linux. The second measurement switches that wait
    off, so that on loopback only computing is compared.
    """
    program = find_mosquitto()
    if program is None:
        raise ToolError("mosquitto is not installed")
    with TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        with run_mosquitto(program, folder, port), VirtualBoard(folder / "board.flash") as board:
            _make_node(board.device, port)
            with Board(board.device, restart=False) as serial:
                serial.write_file("bench_echo.py", _CASES.read_bytes())
                yield from _compare(serial, port, rounds)


def _make_node(device: str, port: int) -> None:
    """Deploy to the board, provision it, and publish the retained command that gives it the topic's key."""
    deploy_to(device)
    wifi = {"ssid": _WIFI[0], "password": _WIFI[1]}
    config = {"name": "bench", "wifi": wifi, "broker": {"host": HOST, "port": port}, "topics": []}
    provision_at(device, config, _KEY)
    with BrokerConnection(HOST, port) as broker:
        broker.send_command(e4.id_of("bench"), _KEY, e4.commands.set_topic_key(_KEY, _TOPIC))


def _compare(serial: Board, port: int, rounds: int) -> Iterator[Figure]:
    """Yield the figures of both measurements for each QoS."""
    for qos in (0, 1):
        for name, at_once, count in (("messages", False, 40), ("messages_at_once", True, 400)):
            arguments = (_WIFI, HOST, port, _TOPIC, qos, at_once, count, rounds)
            said = serial.run(f"import bench_echo; bench_echo.run{arguments!r}", "sending messages round", _SECONDS)
            yield Figure.of(f"{name}_over_umqtt/qos{qos}", json.loads(said.splitlines()[-1]))
