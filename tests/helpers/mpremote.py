"""What a user has who has `mpremote` and not our tool: an index of packages at a web server, and commands."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.virtual_board import VirtualBoard


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder as an ordinary web server does, and give its address."""
    server = http.server.ThreadingHTTPServer((HOST, 0), functools.partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def mpremote(board: VirtualBoard, *arguments: str, code: int = 0) -> str:
    """Run the real `mpremote` on a board and return its output, errors last. Fails if its exit code is not `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.device, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def environment_with_board(folder: Path, board: VirtualBoard) -> dict[str, str]:
    """Return an environment in which the command `mpremote` takes this board for the only one that is plugged in.

    `mpremote` looks for USB devices, and a virtual board is none. `folder` gets a command of that name that adds where
    the board is and calls the real one.
    """
    command = folder / "mpremote"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mpremote connect "{board.device}" "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "TERM": "xterm"}
