"""The name server of a virtual board's network: it answers with what the host knows (RFC 1035)."""

import contextlib
import socket
from collections.abc import Callable

_HEADER = 12
_A_IN = b"\x00\x01\x00\x01"
_ANSWER = b"\xc0\x0c" + _A_IN + b"\x00\x00\x00\x3c\x00\x04"  # the name of the question, A, IN, 60 s, 4 bytes
_NO_SUCH_NAME = 3


class NameServer:
    """A name server on one UDP port of loopback. Names that end in `.test` (RFC 6761) are this machine's.

    Names of time servers need not exist. Each gets an address of its own (RFC 5737), at which a local server answers.
    """

    def __init__(self) -> None:
        self.answering = True
        self._time_servers: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def serve(self) -> None:
        """Answer one question that has arrived. The host's own look-up may take a while."""
        with contextlib.suppress(BlockingIOError):
            question, source = self.socket.recvfrom(512)
            reply = answer_name_query(question, self._address) if self.answering else b""
            if reply:
                self.socket.sendto(reply, source)

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()

    def _address(self, name: str) -> str:
        """Return the address of a name. Raises OSError if there is none."""
        if name.endswith(".test"):
            return "127.0.0.1"
        if "ntp" not in name and not name.startswith("time."):
            return socket.gethostbyname(name)
        if name not in self._time_servers:
            self._time_servers.append(name)
        return f"192.0.2.{1 + self._time_servers.index(name) % 250}"


def answer_name_query(question: bytes, address_of: Callable[[str], str]) -> bytes:
    """Return the answer to a question for an address, or nothing for anything else. `address_of` may raise OSError."""
    labels, at = [], _HEADER
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]])
        at += 1 + question[at]
    end = at + 1 + len(_A_IN)
    if not labels or question[at + 1 : end] != _A_IN:
        return b""
    try:
        address = address_of(b".".join(labels).decode("ascii").lower())
    except (OSError, UnicodeError):
        return _head(question, _NO_SUCH_NAME, 0) + question[_HEADER:end]
    return _head(question, 0, 1) + question[_HEADER:end] + _ANSWER + socket.inet_aton(address)


def _head(question: bytes, code: int, answers: int) -> bytes:
    return question[:2] + bytes([0x81, 0x80 | code]) + b"\x00\x01" + answers.to_bytes(2, "big") + bytes(4)
