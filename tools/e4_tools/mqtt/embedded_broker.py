"""An MQTT broker inside this process, on the loopback interface, for the demonstration and for tests: `amqtt`."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from types import TracebackType

from amqtt.broker import Broker

from e4_tools.errors import ToolError

HOST = "127.0.0.1"
_TIMEOUT_SECONDS = 20.0  # for the broker to start, and to stop


def free_port() -> int:
    """Return a TCP port of the loopback interface on which no program listens at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class EmbeddedBroker:
    """A broker in a thread of its own, which is a context manager. It listens on 127.0.0.1, at `port`.

    Entering raises ToolError if the broker does not start.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker", daemon=True)
        self._broker: Broker  # made by `_start`, in the thread of the broker

    async def _start(self) -> None:
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            },
            loop=self._loop,
        )
        await self._broker.start()

    def __enter__(self) -> EmbeddedBroker:
        # amqtt logs every client that comes and goes, and that would fill the screen of the user.
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_TIMEOUT_SECONDS)
        except Exception as error:
            self._stop_thread()
            raise ToolError(f"the embedded broker does not start on {HOST}:{self.port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(_TIMEOUT_SECONDS)
        except Exception as second:
            if error is None:
                raise
            error.add_note(f"The embedded broker did not stop: {second!r}")  # The first error is the one to report.
        finally:
            self._stop_thread()

    def _stop_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT_SECONDS)
