"""The host's end of an emulated board's second serial port: it makes the connections to the broker, and tells the time.

`on_board/uart_network.py` describes what goes over the line. The relay keeps the line open for as long as the emulator
runs, because an emulator stalls when the other end of its serial line hangs up.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

from e4_tools.virtual_board.time_servers import answer_time_query

_MARK = 0xE4
_BELL = b"\xd0"
_HEAD_SIZE = 5  # mark, kind, number, length
_SUM_SIZE = 2
_DONE, _NOTHING_YET, _ENDED = range(3)
_LONGEST_QUESTION = 1024  # bytes of data; the board sends fewer
_READ_SIZE = 4096
_CONNECT_SECONDS = 5.0
_POLL_SECONDS = 0.2
_TIME_PORT = b"123"
_TIME_QUERY_SIZE = 48  # bytes
_END = b"\0"  # the end of the address of a datagram


def frame(kind: int, number: int, data: bytes) -> bytes:
    """Return a question or an answer as the bytes that go over the line."""
    body = bytes((kind, number)) + len(data).to_bytes(2, "little") + data
    return bytes((_MARK,)) + body + (sum(body) & 0xFFFF).to_bytes(_SUM_SIZE, "little")


def take_frame(received: bytearray) -> tuple[int, int, bytes] | None:
    """Take the first whole and valid frame out of what was received: kind, number and data. None: there is none yet.

    Bytes that belong to no valid frame are dropped.
    """
    while True:
        start = received.find(_MARK)
        del received[: len(received) if start < 0 else start]
        if len(received) < _HEAD_SIZE:
            return None
        size = int.from_bytes(received[3:_HEAD_SIZE], "little")
        end = _HEAD_SIZE + size + _SUM_SIZE
        if size <= _LONGEST_QUESTION:
            if len(received) < end:
                return None
            found = bytes(received[:end])
            if frame(found[1], found[2], found[_HEAD_SIZE:-_SUM_SIZE]) == found:
                del received[:end]
                return found[1], found[2], found[_HEAD_SIZE:-_SUM_SIZE]
        del received[0]


class Relay:
    """A thread between the serial line of a board and the broker. Whatever address the board names, it gets the broker.

    Datagrams to the port of a time server are answered at once with the time of this machine; all others are lost.
    `line` is connected to the serial port of the emulator, and `broker` is the address that the board is led to.
    """

    def __init__(self, line: socket.socket, broker: tuple[str, int]) -> None:
        self._line = line
        self._broker = broker
        self._connection: socket.socket | None = None
        # The datagram that waits for the board, after the address that it comes from and a zero byte; or nothing.
        self._datagram = b""
        self._received = bytearray()
        # The last question, as kind and number, and its answer. A question that comes again was answered in vain.
        self._last: tuple[int, int] | None = None
        self._answer = b""
        # Whether the board has been told that there is something to read, and has not read since.
        self._has_rung = False
        self._running = True
        self._thread = threading.Thread(target=self._serve, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and both connections."""
        self._running = False
        self._thread.join()
        self._line.close()
        self._hang_up()

    def _serve(self) -> None:
        while self._running:
            watched = [self._line]
            if self._connection is not None and not self._has_rung:
                watched.append(self._connection)
            ready = select.select(watched, [], [], _POLL_SECONDS)[0]
            try:
                if self._line in ready:
                    data = self._line.recv(_READ_SIZE)
                    if not data:
                        return
                    self._received += data
                    self._answer_all()
                elif ready:
                    self._has_rung = True
                    self._line.sendall(_BELL)
            except OSError:  # The emulator has ended.
                return

    def _answer_all(self) -> None:
        while (question := take_frame(self._received)) is not None:
            kind, number, data = question
            if self._last != (kind, number):
                status, content = self._carry_out(chr(kind), data)
                self._last = kind, number
                self._answer = frame(kind, number, bytes((status,)) + content)
            self._line.sendall(self._answer)

    def _carry_out(self, kind: str, data: bytes) -> tuple[int, bytes]:
        """Do what the board asks; return the status and the data of the answer."""
        if kind == "S":
            self._datagram = _answer_datagram(data)
            return _DONE, b""
        if kind == "D":
            content, self._datagram = self._datagram, b""
            return (_DONE if content else _NOTHING_YET), content
        try:
            return self._use_connection(kind, data)
        except OSError:
            self._hang_up()
            return _ENDED, b""

    def _use_connection(self, kind: str, data: bytes) -> tuple[int, bytes]:
        """Do what the board asks of its connection. Raises OSError if the connection has failed."""
        if kind == "C":
            self._hang_up()
            self._connection = socket.create_connection(self._broker, _CONNECT_SECONDS)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _DONE, b""
        if kind == "X" or self._connection is None:
            self._hang_up()
            return (_DONE if kind == "X" else _ENDED), b""
        if kind == "W":
            self._connection.sendall(data)
            return _DONE, b""
        self._has_rung = False
        if not select.select([self._connection], [], [], 0)[0]:
            return _NOTHING_YET, b""
        content = self._connection.recv(int.from_bytes(data, "little"))
        return (_DONE, content) if content else (_ENDED, b"")

    def _hang_up(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None


def _answer_datagram(data: bytes) -> bytes:
    """Return the answer to a datagram, if there is one. Both begin with the address of the other side."""
    address, _, question = data.partition(_END)
    if address.rpartition(b":")[2] != _TIME_PORT or len(question) < _TIME_QUERY_SIZE:
        return b""
    return address + _END + answer_time_query(question, time.time())
