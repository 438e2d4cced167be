"""A board that speaks MicroPython's raw REPL on a pseudo-terminal, and answers what a test wants it to answer."""

from __future__ import annotations

import os
import re
import select
import threading
import time
import tty
from collections.abc import Collection
from types import TracebackType

_WINDOW = 128  # bytes that the board takes at once in raw-paste mode
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_CALLED = re.compile(rb"(?:print\(\[)?(\w+)\(")


class HostileBoard:
    """A context manager. `device` is its serial port.

    `answers` has, for each function that a host may call, what the board prints; `raises` has what it says on its error
    channel instead; `later` has the same for all calls but the first. Other functions print nothing, and those in
    `silent` do not even end. `seconds` is how long the board is silent before each answer, and
    `console` is what it prints outside of the raw REPL, again and again. With `refusal`, that is what it says when the
    host wants to send code, and after it the last byte of that again and again.
    """

    def __init__(
        self,
        answers: dict[str, bytes] | None = None,
        raises: dict[str, bytes] | None = None,
        later: dict[str, bytes] | None = None,
        silent: Collection[str] = (),
        seconds: float = 0.0,
        console: bytes = b"",
        refusal: bytes = b"",
    ) -> None:
        self._answers, self._raises, self._later = answers or {}, raises or {}, later or {}
        self._silent = silent
        self._seconds, self._console = seconds, console
        self._refusal = refusal
        self.called: list[str] = []
        self._end, its = os.openpty()
        tty.setraw(its)
        self.device = os.ttyname(its)
        self._its = its
        self._running = True
        self._raw = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HostileBoard:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        self._thread.join(10)
        os.close(self._end)
        os.close(self._its)

    def _byte(self) -> bytes:
        """Return the next byte that the host sends, or none for a moment without any."""
        ready, _, _ = select.select([self._end], [], [], 0.1)
        return os.read(self._end, 1) if ready else b""

    def _say(self, data: bytes) -> None:
        while data and self._running:
            _, ready, _ = select.select([], [self._end], [], 0.1)
            if ready:
                data = data[os.write(self._end, data[:1024]) :]

    def _serve(self) -> None:
        while self._running:
            byte = self._byte()
            if byte == b"\x01":
                self._raw = True
                self._say(_RAW_PROMPT)
            elif byte == b"\x02":
                self._raw = False
            elif byte == b"\x04" and self._raw:
                self._say(b"OK\r\nMPY: soft reboot\r\n" + _RAW_PROMPT)
            elif byte == b"\x05" and self._refusal:
                self._refuse()
            elif byte == b"\x05":
                self._run(self._paste())
            elif not byte and not self._raw and self._console:
                self._say(self._console)

    def _refuse(self) -> None:
        self._say(self._refusal)
        while self._running:
            self._say(self._refusal[-1:] * 1024)

    def _paste(self) -> bytes:
        self._byte()
        self._byte()
        self._say(b"R\x01" + _WINDOW.to_bytes(2, "little"))
        code, taken = b"", 0
        while self._running:
            byte = self._byte()
            if byte == b"\x04":
                break
            code += byte
            if len(code) - taken >= _WINDOW:
                taken += _WINDOW
                self._say(b"\x01")
        self._say(b"\x04")
        return code

    def _run(self, code: bytes) -> None:
        last = code.strip().rpartition(b"\n")[2]
        found = _CALLED.match(last)
        name = found[1].decode() if found else last.decode()
        error = self._raises.get(name, b"")
        if name in self.called:
            error = self._later.get(name, error)
        self.called.append(name)
        if name in self._silent:
            return
        end = time.monotonic() + self._seconds
        while self._running and time.monotonic() < end:
            time.sleep(0.05)
        self._say(self._answers.get(name, b"") + b"\x04" + error + b"\x04>")
