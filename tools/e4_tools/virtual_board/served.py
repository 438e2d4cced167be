"""The process behind `VirtualBoard`. It runs a supervisor, and serves requests on standard input.

The first line holds the options of the board as JSON, and each further line is one request. Each line is answered by
one line of JSON on standard output. The end of the input ends the board.
"""

import json
import os
import sys
from collections.abc import Callable

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.options import BoardOptions
from e4_tools.virtual_board.supervisor import Supervisor

_LINE_MAX = 4096  # bytes of requests that are read at once


def main() -> None:
    """Run one board until standard input ends. The exit code is 1 if the board cannot start or go on."""
    try:
        options = BoardOptions.from_json(sys.stdin.readline())
        supervisor = Supervisor(options)
    except VirtualBoardError as error:
        _answer(error=str(error))
        sys.exit(1)
    try:
        url = supervisor.tcp.url if supervisor.tcp else None
        _answer(device=str(options.port or supervisor.pty.device), socket_url=url)
        supervisor.add_reader(sys.stdin.fileno(), lambda: _serve(supervisor))
        supervisor.run()
    except VirtualBoardError as error:
        sys.exit(f"virtual board: {error}")
    finally:
        supervisor.close()


def _serve(supervisor: Supervisor) -> None:
    """Carry out the requests that wait on standard input, or stop the board if the input has ended."""
    actions: dict[str, Callable[[], None]] = {
        "cut-power": supervisor.cut_power,
        "power-on": supervisor.power_on,
        "wifi-on": lambda: supervisor.set_access_point(True),
        "wifi-off": lambda: supervisor.set_access_point(False),
        "names-on": lambda: supervisor.set_name_server(True),
        "names-off": lambda: supervisor.set_name_server(False),
    }
    requests = os.read(sys.stdin.fileno(), _LINE_MAX).decode().split()
    if not requests:
        supervisor.stop()
    for request in requests:
        if request in actions:
            actions[request]()
            _answer()
        else:
            _answer(error=f"unknown request {request!r}")


def _answer(**fields: object) -> None:
    """Answer a request with these fields."""
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
