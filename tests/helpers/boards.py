"""Virtual boards for tests: their flash images, their configuration, and the applications that tests write to them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e4_tools.board.console import BoardConsole
from e4_tools.board.deploy import deploy_to
from e4_tools.board.raw_repl import Board
from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.virtual_board import VirtualBoard, find_micropython

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "e4-reference.json"
# The ID key of the boards under test.
KEY = b"0123456789abcdef0123456789ABCDEF"
TOPIC_KEY = b"t" * 32
TOPIC = "/e4go/demo/messages"


def make_image(folder: Path) -> Path:
    """Make the flash image of a board with nothing but our deployed files.

    Raises VirtualBoardError if there is no VM.
    """
    find_micropython()
    image = folder / "deployed.flash"
    with VirtualBoard(image) as board:
        deploy_to(board.device)
    return image


def stays_with_its_tools(board: VirtualBoard, seconds: float) -> bool:
    """Tell whether a board that was interrupted keeps its variables for some seconds.

    If a watchdog were still running, it would reset the board in the middle of a tool's work.
    """
    with Board(board.device) as serial:
        serial.run("here = 1", "a test")
        time.sleep(seconds)
        return serial.run("print(here)", "a test").strip() == "1"


def config_for(name: str, port: int, **changes: Any) -> dict[str, Any]:
    """Return a configuration for a virtual board and a broker on this machine."""
    return {
        "name": name,
        "wifi": {"ssid": "virtual", "password": "virtual-wifi"},
        "broker": {"host": HOST, "port": port},
        "topics": ["/e4go/demo/messages"],
        **changes,
    }


def write_main(board: VirtualBoard, source: str) -> None:
    """Write a `main.py` to a board."""
    with Board(board.device) as serial:
        serial.write_file("main.py", source.encode())


BoardMaker = Callable[..., VirtualBoard]
StartNode = Callable[..., tuple[VirtualBoard, BoardConsole]]
