"""A small C2: commands, protected and published to clients."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.errors import BrokerError

_SECONDS = 10.0


class Broker:
    """A connection to a broker: a context manager. Raises BrokerError if the broker cannot be reached."""

    def __init__(self, host: str, port: int) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port = host, port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._connected = threading.Event()
        self._refusal = ""
        self._client.on_connect = self._on_connect

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _properties: object) -> None:
        self._refusal = "" if str(reason) == "Success" else str(reason)
        self._connected.set()

    def __enter__(self) -> Broker:
        try:
            self._client.connect(self._host, self._port)
        except OSError as error:
            raise BrokerError(f"broker {self.address} cannot be reached ({error}); nothing was sent") from None
        self._client.loop_start()
        if not self._connected.wait(_SECONDS) or self._refusal:
            self._client.loop_stop()
            raise BrokerError(f"broker {self.address} refuses us: {self._refusal or 'no answer'}; nothing was sent")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Publish with QoS 2 and wait until the broker has it. Raises BrokerError."""
        sent = self._client.publish(topic, payload, qos=2, retain=retain)
        try:
            sent.wait_for_publish(_SECONDS)
        except (RuntimeError, ValueError) as error:
            raise BrokerError(f"broker {self.address}: {error}; it may not have the message for {topic}") from None
        if not sent.is_published():
            raise BrokerError(f"broker {self.address} did not confirm; it may not have the message for {topic}")

    def command(self, client_id: bytes, id_key: bytes, command: bytes) -> None:
        """Protect a plain command under a client's ID key and publish it, retained, on its receiving topic.

        A custom receiving topic is not known here. Raises BrokerError.
        """
        payload = e4.protect(command, id_key, int(time.time()))
        self.publish(e4.receiving_topic(client_id), payload, retain=True)
