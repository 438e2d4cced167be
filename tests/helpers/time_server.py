"""A time server on loopback that is honest, wrong, silent or hostile, as a test wants it."""

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
    """Answers on a port of its own while it is a context. `offset` is what its clock is off by, in seconds.

    `reply(question, source)`, if set, is called instead of the honest reply; it may `send` something.
    """

    def __init__(self, offset: float = 0) -> None:
        self.offset = offset
        self.reply: Callable[[bytes, Source], None] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """What to put into a board's `time_servers`."""
        return f"{HOST}:{self._socket.getsockname()[1]}"

    def honest(self, question: bytes) -> bytes:
        """What this server says when it does not misbehave in another way."""
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
        """Send something."""
        self._socket.sendto(packet, to)

    def deny(self, question: bytes, source: Source) -> None:
        """Reply with a kiss of death: want no more questions."""
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
    """A reply that is none."""
