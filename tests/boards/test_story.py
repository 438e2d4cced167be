"""Plays the whole story of the tutorial, once with each kind of broker."""

from contextlib import ExitStack

import pytest
from rich.console import Console as Terminal

from e4_tools.dev.demo import DemoError, Stage, Story, Wiretap
from e4_tools.mqtt.embedded_broker import HOST, EmbeddedBroker
from e4_tools.virtual_board import VirtualBoardError, find_micropython
from helpers.mosquitto import Mosquitto


def _tell(stage: Stage, keys: dict[str, bytes]) -> int:
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(str(error))
    with ExitStack() as stack:
        return Story(stage, keys, Terminal(soft_wrap=True), stack).play()


def test_with_mosquitto(mosquitto: Mosquitto, keys: dict[str, bytes]) -> None:
    assert _tell(Stage(HOST, mosquitto.port), keys) == 10


def test_with_amqtt(amqtt: EmbeddedBroker, keys: dict[str, bytes]) -> None:
    assert _tell(Stage(HOST, amqtt.port, embedded=True), keys) == 10


def test_without_a_broker_it_says_so() -> None:
    with pytest.raises(DemoError, match="cannot be reached"):
        Wiretap(Stage(HOST, 1))
