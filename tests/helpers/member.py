"""A member of the fleet that is not a board: an `e4.Client` with a connection to the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.mqtt.embedded_broker import HOST


class Member:
    """An `e4.Client` on a broker. Its session is persistent, as that of a board, unless `session` is false.

    Its clock is `ahead` seconds ahead of that of this machine; a test may change that. `commands` counts the commands
    it has accepted, and `refused` has the names of the errors with which it has refused others. `raw` has all payloads
    as they arrived. A context manager.
    """

    def __init__(self, name: str, key: bytes, port: int, session: bool = True) -> None:
        self.name = name
        self.ahead = 0.0
        self.client = e4.Client(e4.id_of(name), key, e4.MemoryStore(), lambda: time.time() + self.ahead)
        self.commands = 0
        self.refused: list[str] = []
        self.raw: list[bytes] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"member-{name}", clean_session=not session)
        self._mqtt.on_connect = self._on_connect
        self._mqtt.on_subscribe = lambda *_: self._ready.set()
        self._mqtt.on_message = self._arrived
        self._port = port

    def __enter__(self) -> Member:
        self._ready.clear()
        self._mqtt.connect(HOST, self._port)
        self._mqtt.loop_start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def _on_connect(self, *_: object) -> None:
        self._mqtt.subscribe(self.client.receiving_topic, 1)

    def _arrived(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.raw.append(bytes(message.payload))
            try:
                self.client.unprotect(bytes(message.payload), message.topic)
                self.commands += 1
            except e4.E4Error as error:
                self.refused.append(type(error).__name__)
            self._changed.notify_all()

    def until(self, true: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Wait until `true()` holds, for some seconds at most; it is tried at each arrival. Return whether it holds."""
        with self._changed:
            return self._changed.wait_for(true, seconds)

    def obtains(self, topic: str) -> bool:
        """Tell whether the member gets a key for a topic within some seconds."""
        return self.until(lambda: self.client.holds_key(topic))

    def loses(self, topic: str) -> bool:
        """Tell whether the member loses the key for a topic within some seconds."""
        return self.until(lambda: not self.client.holds_key(topic))

    def reads(self, payload: bytes, topic: str) -> bool:
        """Tell whether the member can read a message on a topic, now or within some seconds."""
        return self.until(lambda: self._reads(payload, topic))

    def _reads(self, payload: bytes, topic: str) -> bool:
        try:
            return self.client.unprotect(payload, topic) is not None
        except e4.E4Error:
            return False

    def holds(self, key: bytes) -> bool:
        """Tell whether `key` is the member's ID key."""
        return self.client.prove_key(b"nonce") == e4.proof_of_key(key, b"nonce")
