"""The command `e4` as a process of its own, which tests kill at random moments and watch for secrets."""

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

WIFI_PASSWORD = "virtual-wifi"  # noqa: S105 (of an access point that is not there)


class E4:
    """Runs `e4` in a folder of its own, where its home and its temporary files are too; keeps what it prints."""

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

    def start(self, *arguments: str, typed: str | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "e4_tools.cli", *arguments],
            env=self._environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL if typed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> str:
        """Return what it prints, errors last. Fails if it ends with another exit code."""
        process = self.start(*arguments, typed=typed)
        out, error = process.communicate(typed, timeout=120)
        self.printed += out + error
        assert process.returncode == code, out + error
        return out + error

    def kill(self, seconds: float, *arguments: str, board: VirtualBoard | None = None) -> bool:
        """Start it and kill it after a time; with a board, after its power was cut. Looks at all command lines.

        Returns whether it was killed: it may have ended before.
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
        """Run it and look at all command lines meanwhile."""
        process = self.start(*arguments)
        while process.poll() is None:
            self.command_lines |= command_lines()
            time.sleep(0.03)
        out, error = process.communicate()
        self.printed += out + error
        assert process.returncode == 0, out + error

    def seconds(self, *arguments: str) -> float:
        """Run it, and return how long that took."""
        begin = time.monotonic()
        self.run(*arguments)
        return time.monotonic() - begin

    def traces_of(self, *secrets: bytes) -> list[str]:
        """Return where one of these is, in any of its `forms`: printed, in a command line, in a file."""
        places = {"printed": self.printed.encode(), "command line": b"\n".join(self.command_lines)}
        places.update({str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()})
        return [place for place, content in places.items() if found_in(content, *secrets)]


def moments(number: int, longest: float) -> list[float]:
    """Random times up to `longest`; before a quarter of it, Python is still importing."""
    step = longest * 0.75 / number
    return [longest * 0.25 + step * (index + random.random()) for index in range(number)]  # noqa: S311
