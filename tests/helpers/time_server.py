"""A time server on loopback. A test decides whether it is honest, wrong, silent or hostile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from e4_tools.mqtt.embedded_broker import HOST
from e4_tools.virtual_board.time_servers import answer_time_query

Source = tuple[str, int]


class TimeServer:
    """Answers questions on a port of its own. A context manager.

    `offset` says by how many seconds its clock is wrong. If `reply` is set, `reply(question, source)` is called instead
    of sending the honest answer. It may call `send`.
    """

    def __init__(self, offset: float = 0) -> None:
        self.offset = offset
        self.reply: Callable[[bytes, Source], None] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """The entry for this server in the `time_servers` of a board's configuration."""
        return f"{HOST}:{self._socket.getsockname()[1]}"

    def honest(self, question: bytes) -> bytes:
        """Return a correct answer, with the time that this server's clock shows."""
        return answer_time_query(question, time.time() + self.offset)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def send(self, packet: bytes, to: Source) -> None:
        """Send a packet."""
        self._socket.sendto(packet, to)

    def deny(self, question: bytes, source: Source) -> None:
        """Reply with a kiss of death (RFC 5905 section 7.4), which asks for no more questions."""
        self.send(b"\xe4\x00" + bytes(10) + b"DENY" + bytes(8) + question[40:48] + bytes(16), source)

    def _serve(self) -> None:
        while True:
            question, source = self._socket.recvfrom(512)
            if not question:
                return
            if self.reply is None:
                self.send(self.honest(question), source)
            else:
                self.reply(question, source)


def silent(_question: bytes, _source: Source) -> None:
    """Send no answer. As the `reply` of a server it makes the server silent."""
