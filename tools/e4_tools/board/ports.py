"""Finding the serial ports that may have a board, and choosing the one that the user means."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

from e4_tools.board.inspection import BoardInfo, inspect_board
from e4_tools.board.raw_repl import Board
from e4_tools.errors import PortError, ToolError

_LINK_FOLDERS = (Path(), Path("build"))  # Users let `e4 board --port` put the links to virtual boards here.
_LINKS = "*.port"


class SeveralBoards(ToolError):
    """Several boards are there, and the user did not say which one."""

    exit_code = 2


@dataclass(frozen=True)
class Port:
    """A serial port."""

    device: str  # a path, or `socket://host:port`
    what: str  # what the USB device says of itself, or "virtual board"


@dataclass(frozen=True)
class InspectedPort:
    """A port, and the board at it."""

    port: Port
    board: BoardInfo | None  # None if no board was found
    problem: ToolError | None = None  # the reason why no board was found


def find_ports() -> list[Port]:
    """Return USB serial ports, and links named `*.port` to virtual boards in this folder and in `build`."""
    usb = [Port(info.device, info.description) for info in list_ports.comports() if info.vid is not None]
    links = sorted(path for folder in _LINK_FOLDERS for path in folder.glob(_LINKS) if _is_terminal(path))
    return sorted(usb, key=lambda port: port.device) + [Port(str(path), "virtual board") for path in links]


def _is_terminal(path: Path) -> bool:
    try:
        return path.is_symlink() and stat.S_ISCHR(path.stat().st_mode) and os.access(path, os.R_OK | os.W_OK)
    except OSError:  # The virtual board has ended, and its link leads nowhere.
        return False


def choose_port(given: str | None) -> str:
    """Return the port that the user gave, or else the only one there is. Raises SeveralBoards, PortError."""
    if given:
        return given
    ports = find_ports()
    if not ports:
        raise PortError("no board is plugged in, or its USB driver is missing; nothing was done. --port names one.")
    if len(ports) > 1:
        listed = ", ".join(f"{port.device} ({port.what})" for port in ports)
        raise SeveralBoards(f"several boards are there, and nothing was done. Say which with --port: {listed}")
    return ports[0].device


def inspect_ports(ports: list[Port]) -> list[InspectedPort]:
    """Ask the board at each port what it is. The program on each board is interrupted and started again."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(_inspect_port, ports))


def _inspect_port(port: Port) -> InspectedPort:
    try:
        with Board(port.device, brief=True) as board:
            return InspectedPort(port, inspect_board(board))
    except ToolError as error:
        return InspectedPort(port, None, error)
