"""Fixtures with brokers and boards. The conftest of each folder that needs them imports them from here.

They are not in the conftest of all tests, because the unit tests would then load a broker and the host tools, and start
later.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from e4_tools.board.console import BoardConsole
from e4_tools.mqtt.embedded_broker import EmbeddedBroker
from e4_tools.mqtt.mosquitto import find_mosquitto
from e4_tools.provisioning.install import provision_at
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError
from helpers.boards import VECTORS, BoardMaker, config_for, make_image, write_main
from helpers.mosquitto import Mosquitto


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def amqtt() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def keys() -> dict[str, bytes]:
    """The ID keys of alice, bob and eve, which the reference client derived from their passwords."""
    passwords = json.loads(VECTORS.read_text())["vectors"]["passwords"]
    return {entry["password"].split("-")[2]: bytes.fromhex(entry["symmetric_key"]) for entry in passwords[:3]}


@pytest.fixture(scope="session")
def deployed_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash image of a board with nothing but our deployed files."""
    try:
        return make_image(tmp_path_factory.mktemp("deployed"))
    except VirtualBoardError as error:
        pytest.skip(f"no virtual board: {error}")


@pytest.fixture
def make_board(deployed_image: Path, tmp_path: Path) -> Iterator[BoardMaker]:
    """A function that returns a running board with our files, not provisioned. `name` is that of its flash image."""
    with ExitStack() as stack:

        def make(name: str = "board", **options: Any) -> VirtualBoard:
            image = tmp_path / f"{name}.flash"
            shutil.copyfile(deployed_image, image)
            return stack.enter_context(VirtualBoard(image, **options))

        yield make


@pytest.fixture
def start_node(make_board: BoardMaker) -> Iterator[Callable[..., tuple[VirtualBoard, BoardConsole]]]:
    """A function that provisions a board and starts it, and returns the board and its console.

    It takes the board's name, its ID key and the port of the broker. Further arguments are a `main.py`, whether to wait
    until the board has subscribed, and changes of its configuration.
    """
    with ExitStack() as stack:

        def start(
            name: str, key: bytes, port: int, main: str | None = None, ready: bool = True, **changes: Any
        ) -> tuple[VirtualBoard, BoardConsole]:
            board = make_board(name)
            if main is not None:
                write_main(board, main)
            provision_at(board.device, config_for(name, port, **changes), key)
            console = stack.enter_context(BoardConsole(name, board.device))
            if ready:
                console.expect("> subscribed to MQTT topic /e4go/demo/messages", 30)
            return board, console

        yield start
