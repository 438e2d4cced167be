"""The time servers of a virtual board's network. Whichever server a board asks, one of these answers by SNTP."""

import contextlib
import socket
import struct
import time

_COUNT = 3
_REQUEST_MIN = 48  # bytes
_VERSION_AND_SERVER = 4 << 3 | 4  # version 4 of NTP, and the mode of a server
_UNIX_IN_NTP = 2208988800  # 1970-01-01 in NTP seconds


class LocalTimeServers:
    """Some time servers on UDP ports of the loopback interface. They answer with the host's time, if `answering`."""

    def __init__(self, answering: bool) -> None:
        self._answering = answering
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(_COUNT)]
        for server in self._sockets:
            server.bind(("127.0.0.1", 0))
            server.setblocking(False)

    @property
    def ports(self) -> list[int]:
        """The UDP ports on which the servers listen."""
        return [server.getsockname()[1] for server in self._sockets]

    def sockets(self) -> list[socket.socket]:
        """Return the sockets on which questions arrive."""
        return list(self._sockets)

    def serve(self, server: socket.socket) -> None:
        """Answer one question that has arrived at a server, unless the servers keep silent."""
        with contextlib.suppress(BlockingIOError):
            question, source = server.recvfrom(512)
            if self._answering and len(question) >= _REQUEST_MIN:
                server.sendto(answer_time_query(question, time.time()), source)

    def close(self) -> None:
        """Stop listening."""
        for server in self._sockets:
            server.close()


def answer_time_query(question: bytes, now: float) -> bytes:
    """Return the answer of a time server of stratum 2 to a question at Unix time `now` (RFC 5905 section 7.3)."""
    seconds, fraction = divmod(int((now + _UNIX_IN_NTP) * (1 << 32)), 1 << 32)
    stamp = struct.pack(">II", seconds & 0xFFFFFFFF, fraction)
    milliseconds = (1 << 16) // 1000  # one millisecond in the unit of root delay and root dispersion, 1/65536 s
    head = struct.pack(
        ">BBbbII4s", _VERSION_AND_SERVER, 2, 6, -20, 10 * milliseconds, 10 * milliseconds, b"\x7f\0\0\x01"
    )
    return head + stamp + question[40:48] + stamp + stamp
