"""A small C2: commands, protected and published to clients."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.errors import BrokerError

_SECONDS = 10.0
_MQTT_PORT = 1883
_TLS_PORT = 8883
_MAX_PORT = 65535
_WINDOW = 100  # messages that may wait for the broker's confirmation; paho keeps 20 of them on the wire

Key = TypeVar("Key")


@dataclass(frozen=True)
class Message:
    """What is to be published, QoS 2."""

    topic: str
    payload: bytes
    retain: bool


def parse_address(text: str, tls: bool = False) -> tuple[str, int]:
    """Return host and port of a broker given as HOST or HOST:PORT. Raises ValueError."""
    host, colon, port = text.partition(":")
    if not host or (colon and not (port.isdecimal() and 1 <= int(port) <= _MAX_PORT)):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    return host, int(port) if port else _TLS_PORT if tls else _MQTT_PORT


class BrokerConnection:
    """A connection to a broker: a context manager. Raises BrokerError if the broker cannot be reached.

    `user` and `password` are the broker's, if it wants any. With `ca`, a certificate (DER), the connection is TLS, and
    the broker's certificate must be signed by it and bear the name `host`.
    """

    def __init__(
        self, host: str, port: int, user: str | None = None, password: str | None = None, ca: bytes | None = None
    ) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port = host, port
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(user, password)
        self._tls = ca is not None
        if ca is not None:
            self._client.tls_set_context(ssl.create_default_context(cadata=ca))
        self._connected = threading.Event()
        self._refusal = ""
        self._client.on_connect = self._on_connect
        self._subscriptions: list[str] = []

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: object, _more: object) -> None:
        self._refusal = "" if str(reason) == "Success" else str(reason)
        if not self._refusal and self._subscriptions:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        self._connected.set()

    def __enter__(self) -> BrokerConnection:
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            raise BrokerError(f"broker {self.address} {self._why(error)}; nothing was sent") from None
        self._client.loop_start()
        if not self._connected.wait(_SECONDS) or self._refusal:
            self._client.disconnect()
            self._client.loop_stop()
            raise BrokerError(f"broker {self.address} {self._silence()}; nothing was sent")
        return self

    def _silence(self) -> str:
        if self._refusal:
            return f"refuses us: {self._refusal}"
        hint = "is it an MQTT broker's port?" if self._tls else "if it speaks TLS there, name its CA with --ca"
        return f"does not answer our CONNECT; {hint}"

    def _why(self, error: Exception) -> str:
        if isinstance(error, socket.gaierror):
            return f"cannot be reached: there is no address for the name {self._host} ({error.strerror})"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"is not trusted: its certificate does not pass ({error.verify_message})"
        if isinstance(error, ssl.SSLError):
            return f"does not speak TLS with us ({error.reason or error}); is it the right port?"
        if self._tls and isinstance(error, ConnectionResetError):
            return f"ends the connection when we begin TLS ({error}); it may not speak TLS there; is it the right port?"
        return f"cannot be reached ({error})"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def listen(self, topics: Iterable[str], arrived: Callable[[str, bytes, bool], None]) -> None:
        """Subscribe, QoS 1; `arrived(topic, payload, retained)` is called in a thread of the connection's own.

        A lost connection is made again, and so are its subscriptions. Raises BrokerError if there is no confirmation.
        """
        confirmed = threading.Event()
        self._client.on_subscribe = lambda *_: confirmed.set()
        self._client.on_message = lambda _client, _data, message: arrived(
            message.topic, bytes(message.payload), message.retain
        )
        self._subscriptions = list(topics)
        self._client.subscribe([(topic, 1) for topic in self._subscriptions])
        if not confirmed.wait(_SECONDS):
            raise BrokerError(f"broker {self.address} does not confirm our subscription")

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Publish with QoS 2 and wait until the broker has it. Raises BrokerError."""
        failure = self._wait(self._client.publish(topic, payload, qos=2, retain=retain))
        if failure:
            raise BrokerError(f"broker {self.address}: {failure}; it may not have the message for {topic}")

    def publish_all(self, messages: Iterable[tuple[Key, Message]], settled: Callable[[Key, str | None], None]) -> None:
        """Publish many, in order, without waiting for each.

        `settled(key, None)` is called when the broker has confirmed a message, `settled(key, why)` when it has not in
        time. Raises BrokerError when the connection is gone; messages that were not settled may not have arrived.
        """
        waiting: deque[tuple[Key, mqtt.MQTTMessageInfo]] = deque()
        for key, message in messages:
            waiting.append((key, self._client.publish(message.topic, message.payload, qos=2, retain=message.retain)))
            if len(waiting) >= _WINDOW:
                self._settle(waiting, settled)
        while waiting:
            self._settle(waiting, settled)

    def _settle(
        self, waiting: deque[tuple[Key, mqtt.MQTTMessageInfo]], settled: Callable[[Key, str | None], None]
    ) -> None:
        """Wait for the oldest message."""
        key, info = waiting.popleft()
        failure = self._wait(info)
        if failure and not self._client.is_connected():
            raise BrokerError(f"the connection to broker {self.address} is lost ({failure})")
        settled(key, failure)

    @staticmethod
    def _wait(info: mqtt.MQTTMessageInfo) -> str | None:
        """Wait for the broker's confirmation; return why there is none."""
        try:
            info.wait_for_publish(_SECONDS)
            return None if info.is_published() else f"no confirmation within {_SECONDS:.0f} s"
        except (RuntimeError, ValueError) as error:
            return str(error)

    def command(self, client_id: bytes, id_key: bytes, command: bytes) -> None:
        """Protect a plain command under a client's ID key and publish it, retained, on its receiving topic.

        A custom receiving topic is not known here. Raises BrokerError.
        """
        payload = e4.protect(command, id_key, int(time.time()))
        self.publish(e4.receiving_topic(client_id), payload, retain=True)
