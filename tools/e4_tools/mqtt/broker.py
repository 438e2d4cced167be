"""A connection of the host to an MQTT broker: publishing messages and commands, and listening to topics."""

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
from paho.mqtt.reasoncodes import ReasonCode

import e4
from e4_tools.errors import BrokerError
from e4_tools.mqtt.bounded_client import BoundedClient
from e4_tools.printable import printable

_TIMEOUT_SECONDS = 10.0  # for each answer of the broker
_MQTT_PORT = 1883
_TLS_PORT = 8883
_MAX_PORT = 65535
_NAMED = 3  # refused topics that an error message names
# Messages that may wait for the broker's confirmation at once. paho itself has at most 20 of them in flight.
_WINDOW = 100

Label = TypeVar("Label")  # how a caller of `publish_all` names its messages


@dataclass(frozen=True)
class Message:
    """A message that is to be published with QoS 2."""

    topic: str
    payload: bytes
    retain: bool


def parse_address(text: str, tls: bool = False) -> tuple[str, int]:
    """Return host and port of a broker that is given as HOST or HOST:PORT. Raises ValueError.

    Without a port it is 1883, or 8883 for TLS, as MQTT 3.1.1 names them in section 4.2.
    """
    host, colon, port = text.partition(":")
    if not host or (colon and not (port.isdecimal() and 1 <= int(port) <= _MAX_PORT)):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    return host, int(port) if port else _TLS_PORT if tls else _MQTT_PORT


class BrokerConnection:
    """A connection to a broker, which is a context manager: it connects when it is entered.

    Entering raises BrokerError if the broker cannot be reached or refuses the connection. `user` and `password` are
    needed if the broker asks for them. `ca` is the certificate (DER) of an authority: with it the connection uses TLS,
    and the broker's certificate must be signed by that authority and bear the name `host`.
    """

    def __init__(
        self, host: str, port: int, user: str | None = None, password: str | None = None, ca: bytes | None = None
    ) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port = host, port
        self._client = BoundedClient()
        if user:
            self._client.username_pw_set(user, password)
        self._tls = ca is not None
        if ca is not None:
            self._client.tls_set_context(ssl.create_default_context(cadata=ca))
        # Set by paho's thread when the broker has answered our CONNECT. `_refusal` is then its reason, or empty.
        self._connected = threading.Event()
        self._refusal = ""
        self._client.on_connect = self._on_connect
        # Set by `listen`. Subscribed to again whenever paho has made a lost connection again.
        self._subscriptions: list[str] = []
        # The number of messages that came on topics that `listen` did not ask for.
        self.unasked = 0

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: object, _more: object) -> None:
        self._refusal = "" if str(reason) == "Success" else str(reason)
        if not self._refusal and self._subscriptions:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        self._connected.set()

    def __enter__(self) -> BrokerConnection:
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as error:
            raise BrokerError(f"broker {self.address} {self._describe(error)}; nothing was sent") from None
        self._client.loop_start()
        if not self._connected.wait(_TIMEOUT_SECONDS) or self._refusal:
            self._client.disconnect()
            self._client.loop_stop()
            raise BrokerError(f"broker {self.address} {self._describe_refusal()}; nothing was sent")
        return self

    def _describe_refusal(self) -> str:
        """Say what happened to our CONNECT: the broker refused it, or has not answered it."""
        if self._refusal:
            return f"refuses us: {self._refusal}"
        hint = "is it an MQTT broker's port?" if self._tls else "if it speaks TLS there, name its CA with --ca"
        return f"does not answer our CONNECT; {hint}"

    def _describe(self, error: Exception) -> str:
        """Say why no connection could be made."""
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

    def listen(self, topics: Iterable[str], on_message: Callable[[str, bytes], None]) -> None:
        """Subscribe to topics with QoS 1.

        `on_message(topic, payload)` is called for each message on them, in a thread that belongs to this connection. A
        broker can send whatever it likes, so what arrives on another topic, or on one that is no UTF-8, is only counted
        in `unasked`. If the connection is lost, it is made again together with its subscriptions; `trouble` says so
        meanwhile. Raises BrokerError if the broker refuses a subscription, or does not answer.
        """
        self._subscriptions = list(topics)
        answered = threading.Event()
        refused: list[int] = []

        def take_answer(_client: object, _data: object, _mid: int, reasons: list[ReasonCode], *_: object) -> None:
            refused.extend(index for index, reason in enumerate(reasons) if reason.is_failure)
            answered.set()

        self._client.on_subscribe = take_answer
        # Filters are few; only they need to be compared one by one.
        names = frozenset(self._subscriptions)
        filters = [topic for topic in names if set(topic) & set("#+")]

        def take_message(_client: object, _data: object, message: mqtt.MQTTMessage) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                self.unasked += 1
                return
            if topic in names or any(mqtt.topic_matches_sub(asked, topic) for asked in filters):
                on_message(topic, bytes(message.payload))
            else:
                self.unasked += 1

        self._client.on_message = take_message
        self._client.subscribe([(topic, 1) for topic in self._subscriptions])
        if not answered.wait(_TIMEOUT_SECONDS):
            raise BrokerError(f"broker {self.address} does not confirm our subscription")
        if refused:
            # A broker may send more or fewer answers than there were topics.
            named = [topic for index, topic in enumerate(self._subscriptions) if index in refused]
            raise BrokerError(
                f"broker {self.address} refuses our subscription to {', '.join(named[:_NAMED])} ({len(refused)} of "
                f"{len(self._subscriptions)} topics were refused); does our user there have the right to read them?"
            )

    @property
    def violations(self) -> int:
        """How often the connection was ended because the broker broke MQTT or exceeded a limit."""
        return self._client.violations

    def trouble(self) -> str | None:
        """Return why nothing can arrive at the moment, or None if the connection stands.

        Raises BrokerError if nothing can arrive ever again.
        """
        if self._client.has_failed:
            raise BrokerError(f"the connection to broker {self.address} has failed, and is not made again")
        if self._client.is_connected():
            return None
        reason = f" ({printable(self._refusal)})" if self._refusal else ""
        return f"the connection to broker {self.address} is lost{reason}; it is being made again"

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """Publish with QoS 2, and wait until the broker has confirmed it. Raises BrokerError."""
        failure = self._wait(self._client.publish(topic, payload, qos=2, retain=retain))
        if failure:
            raise BrokerError(f"broker {self.address}: {failure}; it may not have the message for {topic}")

    def publish_all(
        self, messages: Iterable[tuple[Label, Message]], on_result: Callable[[Label, str | None], None]
    ) -> None:
        """Publish many messages with QoS 2, in order, without waiting for each one.

        Each message comes with a label that names it for the caller. `on_result(label, None)` is called when the broker
        has confirmed the message, and `on_result(label, why)` when it has not done so in time. Raises BrokerError when
        the connection is lost; then the messages for which `on_result` was not called may or may not have arrived.
        """
        waiting: deque[tuple[Label, mqtt.MQTTMessageInfo]] = deque()
        for label, message in messages:
            waiting.append((label, self._client.publish(message.topic, message.payload, qos=2, retain=message.retain)))
            if len(waiting) >= _WINDOW:
                self._wait_for_oldest(waiting, on_result)
        while waiting:
            self._wait_for_oldest(waiting, on_result)

    def _wait_for_oldest(
        self, waiting: deque[tuple[Label, mqtt.MQTTMessageInfo]], on_result: Callable[[Label, str | None], None]
    ) -> None:
        """Wait until the broker has confirmed the oldest message, or its time is over, and report that."""
        label, info = waiting.popleft()
        failure = self._wait(info)
        if failure and not self._client.is_connected():
            raise BrokerError(f"the connection to broker {self.address} is lost ({failure})")
        on_result(label, failure)

    @staticmethod
    def _wait(info: mqtt.MQTTMessageInfo) -> str | None:
        """Wait for the broker's confirmation of a message. Return why there is none, or None if there is one."""
        try:
            info.wait_for_publish(_TIMEOUT_SECONDS)
            return None if info.is_published() else f"no confirmation within {_TIMEOUT_SECONDS:.0f} s"
        except (RuntimeError, ValueError) as error:
            return str(error)

    def send_command(self, client_id: bytes, id_key: bytes, command: bytes) -> None:
        """Protect a plain E4 command with a client's ID key, and publish it, retained, on the client's receiving topic.

        That is the standard topic, made from the client's ID (16 bytes); a client with a topic of its own does not get
        the command. Raises BrokerError.
        """
        payload = e4.protect(command, id_key, int(time.time()))
        self.publish(e4.receiving_topic(client_id), payload, retain=True)
