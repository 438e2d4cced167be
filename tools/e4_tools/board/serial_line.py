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
import sys
import time

import serial

from e4_tools.board.port_errors import port_error
from e4_tools.errors import ToolError
from e4_tools.printable import printable

_VARIABLE = "E4_BOARD_SECONDS"
# An official MicroPython on an emulated ESP32 needs 80 s to import the library, on a machine that does nothing else.
_PATIENCE_SECONDS = 240.0
_LIVES = 10  # A step during which bytes come may take so many times as long as the line may be silent.
_BRIEF = 8  # Where several boards are asked, the time for each is divided by this number.
_POLL_SECONDS = 0.05  # for one read of the line
_DRAIN_SECONDS = 0.5
_BAUD = 115200

if sys.platform == "win32":
    _TERMINAL_ERRORS: tuple[type[Exception], ...] = ()
else:
    import termios

    _TERMINAL_ERRORS = (termios.error,)
# The errors of a line that fails. pyserial does not wrap all errors of the layers below.
LINE_ERRORS = (serial.SerialException, OSError, struct.error, *_TERMINAL_ERRORS)


class LineError(Exception):
    """The line has failed, or what was awaited did not come in time. The text says why, and quotes nothing that came.

    What comes on a line may be anything, secrets included.
    """


class LineSilent(LineError):
    """What was awaited did not come in time, and the line itself has not failed."""


class LineFlooded(LineError):
    """More came than is read for one answer."""


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
        protocol, is_url, _ = port.partition("://")
        if is_url and not protocol.isidentifier():  # pyserial imports a module of that name, and dots are folders.
            raise ValueError("there is no such protocol")
        line = serial.serial_for_url(port, do_not_open=True, baudrate=_BAUD, exclusive=True)
        line.timeout = _POLL_SECONDS
        line.write_timeout = limit
        if is_url:
            # pyserial empties the buffer of a socket when it opens it, and a flood would keep it at that for ever.
            line.reset_input_buffer = lambda: None
        line.open()
    except (*LINE_ERRORS, ValueError, KeyError, re.error) as error:  # pyserial takes `hwgrep://` and a pattern
        raise port_error(port, str(error)) from None
    return line


class SerialLine:
    """An open serial line. It has those methods of pyserial's class that mpremote calls, with limits of time.

    Making it raises PortError, and all its methods raise LineError. `pyserial` is pyserial's object. With `brief`, an
    eighth of the patience is enough, for callers that ask many ports of which some may have no board.
    """

    def __init__(self, port: str, brief: bool = False) -> None:
        self.patience = patience() / _BRIEF if brief else patience()
        self._lives = 1 if brief else _LIVES
        self.pyserial = open_port(port)
        self._written = 0.0
        self.begin_step()

    def begin_step(self, silence: float | None = None, overall: float | None = None) -> None:
        """Set the limits of what is read from now on.

        `silence` is how many seconds may pass without a byte, by default the patience with boards. `overall` is how
        many seconds it may take although bytes come, by default ten times as many.
        """
        self._silence = self.patience if silence is None else silence
        self._overall = self._silence * self._lives if overall is None else overall
        self._begin = time.monotonic()

    def close(self) -> None:
        """Close the line. The lines that reset an ESP32 are released before, in the order that does not reset it."""
        with contextlib.suppress(*LINE_ERRORS):
            self.pyserial.rts = False
            self.pyserial.dtr = False
        with contextlib.suppress(*LINE_ERRORS):
            self.pyserial.close()

    def write(self, data: bytes) -> None:
        """Send bytes. This ends when they have left, or the other side has not taken them for too long."""
        try:
            self.pyserial.write(data)
        except serial.SerialTimeoutException:
            raise LineSilent(f"it took nothing for {self.patience:.0f} s; {self._advice()}") from None
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None
        self._written = time.monotonic()

    def read(self, size: int = 1) -> bytes:
        """Read so many bytes, and not fewer."""
        found = b""
        last = time.monotonic()
        while len(found) < size:
            now = time.monotonic()
            if now - self._begin >= self._overall:
                raise LineSilent(f"it was not done after {self._overall:.0f} s; {self._advice()}")
            if now - last >= self._silence:
                raise LineSilent(f"nothing came for {self._silence:.0f} s; {self._advice()}")
            try:
                data = bytes(self.pyserial.read(size - len(found)))
            except LINE_ERRORS as error:
                raise LineError(f"the line failed: {error}") from None
            if data:
                found += data
                last = time.monotonic()
        return found

    def inWaiting(self) -> int:  # noqa: N802 (mpremote calls it by this name)
        """Return how many bytes have come that were not read yet, or 0 if the last write was too long ago.

        mpremote reads on before it writes again while there are such bytes, and a board that never stops sending would
        keep it at that. What stays unread is read later, among what is waited for then.
        """
        if time.monotonic() - self._written >= _DRAIN_SECONDS:
            return 0
        try:
            return int(self.pyserial.in_waiting)
        except LINE_ERRORS as error:
            raise LineError(f"the line failed: {error}") from None

    def _advice(self) -> str:
        return f"a slow board or line needs a larger {_VARIABLE}, now {patience():.0f}"
