"""The command `e4` in a process of its own. Tests kill it at random moments, and search what it leaves for secrets."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from e4_tools.virtual_board import VirtualBoard
from helpers.secret_search import command_lines, found_in

# The access point does not exist, so this password is no secret.
WIFI_PASSWORD = "virtual-wifi"  # noqa: S105


class E4:
    """Runs `e4` in a folder that is its home and also has its temporary files.

    `printed` is all that it has printed, and `command_lines` has those of all processes that were seen meanwhile.
    `program` is the command with which it is started.
    """

    program: tuple[str, ...] = (sys.executable, "-m", "e4_tools.cli")

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "WIFI_PASSWORD": WIFI_PASSWORD,
            **environment,
        }
        self.printed = ""
        self.command_lines: set[bytes] = set()

    def start(self, *arguments: str, typed: str | None = None, terminal: int | None = None) -> subprocess.Popen[str]:
        """Start the command. `terminal` is the descriptor of a terminal that it reads from and writes to."""
        return subprocess.Popen(
            [*self.program, *arguments],
            env=self._environment,
            cwd=self.folder,
            stdin=terminal if terminal is not None else subprocess.DEVNULL if typed is None else subprocess.PIPE,
            stdout=terminal if terminal is not None else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> str:
        """Run the command and return its output, errors last. Fails if its exit code is not `code`."""
        process = self.start(*arguments, typed=typed)
        out, error = process.communicate(typed, timeout=120)
        self.printed += out + error
        assert process.returncode == code, out + error
        return out + error

    def kill(self, seconds: float, *arguments: str, board: VirtualBoard | None = None) -> bool:
        """Start the command and kill it after some seconds. All command lines are looked at meanwhile.

        The power of the board is cut just before and restored afterwards, if a board is given. Return whether the
        command was still running then.
        """
        process = self.start(*arguments)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            self.command_lines |= command_lines()
            time.sleep(0.02)
        in_time = process.poll() is None
        if board is not None:
            board.cut_power()
        process.send_signal(signal.SIGKILL)
        out, error = process.communicate()
        self.printed += out + error
        if board is not None:
            board.power_on()
        return in_time

    def watch(self, *arguments: str) -> None:
        """Run the command to its end, and look at all command lines meanwhile. Fails if its exit code is not 0."""
        process = self.start(*arguments)
        while process.poll() is None:
            self.command_lines |= command_lines()
            time.sleep(0.03)
        out, error = process.communicate()
        self.printed += out + error
        assert process.returncode == 0, out + error

    def seconds(self, *arguments: str) -> float:
        """Run the command and return how many seconds that took."""
        begin = time.monotonic()
        self.run(*arguments)
        return time.monotonic() - begin

    def traces_of(self, *secrets: bytes) -> list[str]:
        """Return the places where one of the secrets is, in any of its `forms`.

        The places are the output, the command lines, and all files in the folder.
        """
        places = {"printed": self.printed.encode(), "command line": b"\n".join(self.command_lines)}
        places.update({str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()})
        return [place for place, content in places.items() if found_in(content, *secrets)]


def moments(number: int, longest: float) -> list[float]:
    """Return random times between a quarter of `longest` and `longest`, in seconds.

    In the first quarter Python is still importing modules, so that killing it would show nothing.
    """
    step = longest * 0.75 / number
    return [longest * 0.25 + step * (index + random.random()) for index in range(number)]  # noqa: S311
