"""The name server of a virtual board's network: it answers with what the host knows (RFC 1035)."""

import contextlib
import socket

_HEADER = 12
_A_IN = b"\x00\x01\x00\x01"
_ANSWER = b"\xc0\x0c" + _A_IN + b"\x00\x00\x00\x3c\x00\x04"  # the name of the question, A, IN, 60 s, 4 bytes
_NO_SUCH_NAME = 3


class NameServer:
    """One UDP port on loopback. Names that end in `.test` (RFC 6761) are this machine's."""

    def __init__(self) -> None:
        self.answering = True
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def serve(self) -> None:
        """Answer one question that has arrived. The host's own look-up may take a while."""
        with contextlib.suppress(BlockingIOError):
            question, source = self.socket.recvfrom(512)
            reply = answer(question) if self.answering else b""
            if reply:
                self.socket.sendto(reply, source)

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


def answer(question: bytes) -> bytes:
    """Return the answer to a question for an address; nothing if it is none."""
    labels, at = [], _HEADER
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]])
        at += 1 + question[at]
    end = at + 1 + len(_A_IN)
    if not labels or question[at + 1 : end] != _A_IN:
        return b""
    try:
        name = b".".join(labels).decode("ascii")
        address = "127.0.0.1" if name.endswith(".test") else socket.gethostbyname(name)
    except (OSError, UnicodeError):
        return _head(question, _NO_SUCH_NAME, 0) + question[_HEADER:end]
    return _head(question, 0, 1) + question[_HEADER:end] + _ANSWER + socket.inet_aton(address)


def _head(question: bytes, code: int, answers: int) -> bytes:
    return question[:2] + bytes([0x81, 0x80 | code]) + b"\x00\x01" + answers.to_bytes(2, "big") + bytes(4)
