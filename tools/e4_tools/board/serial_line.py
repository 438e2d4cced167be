"""A serial line to a board: opening it, and reading from it with limits of time.

What is at the other end may be slow, hang, or be an attacker. So no read and no write waits without end, and nothing is
kept that was not asked for.

Two limits tell a board that works from one that hangs. One is how long the line may be silent: each byte that comes is
a sign of life, and starts this time anew. The other is how long a step may take altogether.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import termios
import time
from collections.abc import Callable

import serial

from e4_tools.board.port_errors import port_error
from e4_tools.errors import ToolError
from e4_tools.printable import printable

_VARIABLE = "E4_BOARD_SECONDS"
# An official MicroPython on an emulated ESP32 needs 80 s to import the library, on a machine that does nothing else.
_PATIENCE_SECONDS = 240.0
_LIVES = 10  # A step that gives signs of life may take so many times as long as a silence.
_BRIEF = 8  # Where several boards are asked, each may be silent for this part of the time.
_POLL_SECONDS = 0.05  # for one read of the line
_DRAIN_SECONDS = 0.5
_BAUD = 115200

# The errors of a line that fails. pyserial does not wrap all errors of the layers below.
LINE_ERRORS = (serial.SerialException, OSError, termios.error, struct.error)


class LineError(Exception):
    """The line has failed, or what was awaited did not come in time. The text says why, and quotes nothing that came.

    What comes on a line may be anything, secrets included.
    """


class LineSilent(LineError):
    """What was awaited did not come in time, and the line itself has not failed."""


def patience() -> float:
    """Return how many seconds a board may be silent in one step. Raises ToolError for a bad `E4_BOARD_SECONDS`."""
    text = os.environ.get(_VARIABLE, "")
    try:
        seconds = float(text or _PATIENCE_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise ToolError(f"{_VARIABLE} is {printable(text)}, and not a number of seconds from 1 to 86400")
    return seconds


def open_port(port: str) -> serial.Serial:
    """Open a serial port: a device, or a URL such as `socket://host:port`. Raises PortError, ToolError."""
    limit = patience()
    try:
        line = serial.serial_for_url(port, do_not_open=True, baudrate=_BAUD, exclusive=True)
        line.timeout = _POLL_SECONDS
        line.write_timeout = limit
        if "://" in port:
            # pyserial empties the buffer of a socket when it opens it, and a flood would keep it at that for ever.
            line.reset_input_buffer = lambda: None
        line.open()
    except (*LINE_ERRORS, ValueError, KeyError, re.error) as error:  # pyserial takes `hwgrep://` and a pattern
        raise port_error(port, str(error)) from None
    return line


class SerialLine:
    """An open serial line. Making it raises PortError, and all its methods raise LineError.

    `brief` is for those who would keep somebody waiting for a board that is perhaps none.
    """

    def __init__(self, port: str, brief: bool = False) -> None:
        self.patience = patience() / _BRIEF if brief else patience()
        self._lives = 1 if brief else _LIVES
        self.serial = open_port(port)

    def close(self) -> None:
        """Close the line. The lines that reset an ESP32 are released before, in the order that does not reset it."""
        with contextlib.suppress(*LINE_ERRORS):
            self.serial.rts = False
            self.serial.dtr = False
        with contextlib.suppress(*LINE_ERRORS):
            self.serial.close()

    def write(self, data: bytes) -> None:
        """Send bytes. This ends when they have left, or the other side has not taken them for too long."""
        try:
            self.serial.write(data)
        except serial.SerialTimeoutException:
            raise LineSilent(f"it took nothing for {self.patience:.0f} s; {self._advice()}") from None
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None

    def drain(self) -> None:
        """Read and forget what has come already. A board that never stops sending is left at it after a while."""
        end = time.monotonic() + _DRAIN_SECONDS
        try:
            while (waiting := self.serial.in_waiting) and time.monotonic() < end:
                self.serial.read(min(waiting, 4096))
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None

    def read_until(
        self,
        ending: bytes,
        silence: float | None = None,
        take: Callable[[bytes], None] | None = None,
        overall: float | None = None,
    ) -> None:
        """Read up to and including `ending`. Nothing is kept; `take` gets each byte that comes.

        `silence` is how many seconds may pass without a byte, by default the patience with boards. `overall` is how
        many seconds this may take although bytes come, by default ten times as many.
        """
        silence = self.patience if silence is None else silence
        overall = silence * self._lives if overall is None else overall
        begin = last = time.monotonic()
        tail = b""
        while not tail.endswith(ending):
            byte = self._read_byte()
            now = time.monotonic()
            if byte:
                tail = (tail + byte)[-len(ending) :]
                last = now
                if take is not None:
                    take(byte)
            elif now - last >= silence:
                raise LineSilent(f"nothing came for {silence:.0f} s; {self._advice()}")
            if now - begin >= overall and not tail.endswith(ending):
                raise LineSilent(f"it was not done after {overall:.0f} s; {self._advice()}")

    def read_exactly(self, count: int) -> bytes:
        """Read so many bytes."""
        found = b""
        end = time.monotonic() + self.patience
        while len(found) < count:
            byte = self._read_byte()
            found += byte
            if byte:
                end = time.monotonic() + self.patience
            elif time.monotonic() >= end:
                raise LineSilent(f"nothing came for {self.patience:.0f} s; {self._advice()}")
        return found

    @property
    def has_input(self) -> bool:
        """Whether bytes have come that were not read yet."""
        try:
            return bool(self.serial.in_waiting)
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None

    def _read_byte(self) -> bytes:
        try:
            return bytes(self.serial.read(1))
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None

    def _advice(self) -> str:
        return f"a slow board or line needs a larger {_VARIABLE}, now {patience():.0f}"
