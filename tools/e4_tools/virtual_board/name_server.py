"""The name server of a virtual board's network. It answers with the addresses that the host knows (RFC 1035)."""

import contextlib
import socket
from collections.abc import Callable

_HEADER = 12  # bytes
_A_IN = b"\x00\x01\x00\x01"  # a question for an IPv4 address (type A) of the Internet (class IN)
_ANSWER = b"\xc0\x0c" + _A_IN + b"\x00\x00\x00\x3c\x00\x04"  # the name in the question, A, IN, valid for 60 s, 4 bytes
_NO_SUCH_NAME = 3


class NameServer:
    """A name server on one UDP port of the loopback interface.

    Names that end in `.test` (RFC 6761) belong to this machine. The names of time servers need not exist: each name
    gets an address of its own from the range for documentation (RFC 5737), at which a local time server answers.
    """

    def __init__(self) -> None:
        # False while the name server keeps silent.
        self.answering = True
        # The names of time servers that were asked for. The place of a name in the list determines its address.
        self._time_servers: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def serve(self) -> None:
        """Answer one question that has arrived. This waits until the host has looked up the name."""
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
    """Return the reply to a question for the IPv4 address of a name, or no bytes for anything else.

    `address_of` returns the address of a name. If it raises OSError, the reply says that there is no such name.
    """
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
    """Return the header of a reply with this response code and number of answers (RFC 1035 section 4.1.1)."""
    return question[:2] + bytes([0x81, 0x80 | code]) + b"\x00\x01" + answers.to_bytes(2, "big") + bytes(4)
