"""The modules `network` and `socket` of an emulated board, whose WiFi does not work.

There is one connection at a time, over the second serial port, to a relay on the host, and datagrams to time servers.
Importing this module puts both in the place of the built-in modules, so it comes before anything that uses them.

The board asks and the relay answers, one after the other. A question and its answer have the same form:

    0xE4, kind, number, length (2 bytes, little-endian), data, sum of all these bytes but the first (2 bytes)

| kind | the question | its data |
|---|---|---|
| C | connect | `host:port` |
| R | read | the largest number of bytes (2 bytes) |
| W | write | what is written |
| X | close | |
| S | send a datagram | `host:port`, a zero byte, the datagram |
| D | receive a datagram | |

The data of an answer are a status (0 done, 1 nothing yet, 2 the connection has ended), and what was read; an answer to
D has the form of S. A question without a valid answer is asked again under the same number, and the relay does not
carry it out twice. The relay sends a byte 0xD0 between two answers when there is something to read.
"""

import sys
import time

from machine import UART

_MARK = 0xE4
_BELL = 0xD0
_DONE = 0
_NOTHING_YET = 1
_ENDED = 2
_TRIES = 20
_ANSWER_MS = 1500  # the time that the relay has for an answer
_LOOK_MS = 500  # the time after which the board asks without a bell, in case that one was lost
_MOST = 96  # bytes of an answer; the hardware keeps 128 until the interpreter takes them
_LONGEST_WRITE = 256  # bytes
_ETIMEDOUT = 116
_ECONNRESET = 104


def _sum(data):
    total = 0
    for byte in data:
        total += byte
    return total & 0xFFFF


class _Line:
    """The serial line to the relay."""

    def __init__(self):
        # The emulator connects the port to the relay whatever its pins are. All chips have these two.
        self._uart = UART(1, 115200, rx=4, tx=5, rxbuf=1024, timeout=0)
        self._number = 0
        # True if there may be something to read: the relay has rung, or the last answer held data.
        self._rang = True
        # When the board last asked for data.
        self._last_look = 0

    def ask(self, kind, data=b""):
        """Return the status and the data of the relay's answer. Raises OSError."""
        self._number = self._number + 1 & 0xFF
        body = bytes((ord(kind), self._number, len(data) & 0xFF, len(data) >> 8)) + bytes(data)
        total = _sum(body)
        for _ in range(_TRIES):
            self._uart.write(bytes((_MARK,)) + body + bytes((total & 0xFF, total >> 8)))
            answer = self._take_answer(body[0])
            if answer:
                return answer[0], answer[1:]
            while self._uart.read(64):
                pass
        raise OSError(_ETIMEDOUT)

    def read(self, n):
        """Return up to `n` bytes of the broker, b"" if the connection has ended, or None if there is nothing yet."""
        while self._uart.any() and not self._rang:
            self._rang = self._uart.read(1)[0] == _BELL
        now = time.ticks_ms()
        if not self._rang and time.ticks_diff(now, self._last_look) < _LOOK_MS:
            return None
        self._last_look = now
        self._rang = False
        status, data = self.ask("R", bytes((min(n, _MOST), 0)))
        if status == _ENDED:
            return b""
        if status == _NOTHING_YET:
            return None
        self._rang = True
        return data

    def _take_answer(self, kind):
        """Return the data of the answer to the last question, or None if no valid one comes in time."""
        until = time.ticks_add(time.ticks_ms(), _ANSWER_MS)
        while True:
            first = self._read_exactly(1, until)
            if first is None:
                return None
            if first[0] == _BELL:
                self._rang = True
            if first[0] != _MARK:
                continue
            head = self._read_exactly(4, until)
            if head is None or head[0] != kind or head[1] != self._number:
                return None
            data = self._read_exactly(head[2] | head[3] << 8, until)
            tail = self._read_exactly(2, until) if data is not None else None
            if tail is None or tail[0] | tail[1] << 8 != _sum(head) + _sum(data) & 0xFFFF:
                return None
            return data

    def _read_exactly(self, n, until):
        """Return `n` bytes from the relay, or None if they do not come in time."""
        data = b""
        while len(data) < n:
            data += self._uart.read(n - len(data)) or b""
            if time.ticks_diff(until, time.ticks_ms()) < 0:
                return None
        return data


_line = _Line()


class _StreamSocket:
    """A connection to the broker. It never waits for data, and it cannot be polled."""

    def __init__(self):
        self._is_open = False

    def connect(self, address):
        status, _ = _line.ask("C", "{}:{}".format(address[0], address[1]).encode())
        if status:
            raise OSError(_ECONNRESET)
        self._is_open = True

    def write(self, data):
        n = min(len(data), _LONGEST_WRITE)
        status, _ = _line.ask("W", data[:n])
        if status:
            raise OSError(_ECONNRESET)
        return n

    def read(self, n):
        """Return up to `n` bytes, b"" if the connection has ended, or None if there is nothing yet."""
        return _line.read(n)

    def readinto(self, buffer):
        data = _line.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def close(self):
        if self._is_open:
            self._is_open = False
            _line.ask("X")

    def settimeout(self, _):
        pass

    setblocking = settimeout


class _DatagramSocket:
    """A socket for datagrams, as the time servers are asked with. Only one answer at a time is kept for the board."""

    def __init__(self):
        self._patience_ms = 0

    def settimeout(self, seconds):
        self._patience_ms = int((seconds or 0) * 1000)

    def sendto(self, data, address):
        _line.ask("S", "{}:{}".format(address[0], address[1]).encode() + b"\0" + data)
        return len(data)

    def recvfrom(self, n):
        until = time.ticks_add(time.ticks_ms(), self._patience_ms)
        while True:
            status, data = _line.ask("D")
            if status == _DONE:
                end = data.index(b"\0")
                host, port = data[:end].decode().split(":")
                return data[end + 1 : end + 1 + n], (host, int(port))
            if time.ticks_diff(until, time.ticks_ms()) < 0:
                raise OSError(_ETIMEDOUT)

    def close(self):
        pass


def _make_socket(_family=2, kind=1, *_):
    return _DatagramSocket() if kind == _SocketModule.SOCK_DGRAM else _StreamSocket()


class _SocketModule:
    __name__ = "socket"
    AF_INET = 2
    SOCK_STREAM = 1
    SOCK_DGRAM = 2
    socket = staticmethod(_make_socket)

    @staticmethod
    def getaddrinfo(host, port, *_):
        return [(2, 1, 0, "", (host, port))]


class _Wlan:
    def __init__(self, *_):
        pass

    def active(self, *_):
        return True

    def isconnected(self):
        return True

    def connect(self, *_):
        pass

    disconnect = connect

    def status(self, *_):
        return 1010  # STAT_GOT_IP

    def ifconfig(self):
        return ("192.0.2.2", "255.255.255.0", "192.0.2.1", "192.0.2.1")


class _NetworkModule:
    __name__ = "network"
    STA_IF = 0
    WLAN = _Wlan


sys.modules["network"] = _NetworkModule
sys.modules["socket"] = sys.modules["usocket"] = _SocketModule
