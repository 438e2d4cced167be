"""Keeps parsers in the folder in which they run: no network, no other programs, and no writing elsewhere."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
_DEVICES = ("/dev/null", "/dev/tty")


class Sandbox:
    """The folder in which a process may write. It lasts as long as the process, because audit hooks do.

    `breaches` has a line for everything that was tried elsewhere while the sandbox was `closed`. It was prevented.
    """

    def __init__(self, folder: Path) -> None:
        self.closed = False
        self.breaches: list[str] = []
        self._folder = str(folder.resolve())
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.closed:
            return
        if event == "socket.connect":
            raise ConnectionRefusedError(111, "Connection refused")
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            raise socket.gaierror(-2, "Name or service not known")
        if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            self._refuse(event, arguments)
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            self._check(event, arguments[0])
        elif event == "sqlite3.connect" or event in _NAMES:
            for path in arguments[:2] if event in ("os.rename", "os.link") else arguments[:1]:
                self._check(event, path)

    def _check(self, event: str, path: object) -> None:
        if isinstance(path, bytes | str | os.PathLike):
            name = os.fsdecode(path).removeprefix("file:").partition("?")[0]
            whole = os.path.realpath(name)
            if whole not in _DEVICES and whole != self._folder and not whole.startswith(self._folder + "/"):
                self._refuse(event, (whole,))

    def _refuse(self, event: str, arguments: tuple[Any, ...]) -> None:
        self.breaches.append(f"{event} {arguments[0]!r}")
        raise PermissionError(13, "Permission denied")
