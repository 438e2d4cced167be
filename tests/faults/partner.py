"""The partner of a board: it talks with the board through the broker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

import e4
from e4_tools.mqtt.embedded_broker import HOST
from helpers.boards import TOPIC_KEY


class Failure(AssertionError):
    """A board has not done something on which users rely."""


class Partner:
    """A client with a connection to the broker that has no faults, and a session that the broker keeps."""

    def __init__(self, name: str, port: int, topic: str, arrived: Callable[[bytes], None]) -> None:
        self._topic = topic
        self._ready = threading.Event()
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"partner-{name}", clean_session=False)
        self._mqtt.on_connect = self._on_connect
        self._mqtt.on_disconnect = lambda *_: self._ready.clear()
        self._mqtt.on_subscribe = lambda *_: self._ready.set()
        self._mqtt.on_message = self._on_message
        self._arrived = arrived
        self._mqtt.reconnect_delay_set(1, 1)
        self._mqtt.connect(HOST, port)
        self._mqtt.loop_start()
        if not self._ready.wait(10):
            raise Failure("the broker does not serve the partner")

    def _on_connect(self, *_: object) -> None:
        self._mqtt.subscribe(self._topic, 1)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # A fault may have altered the message on its way. Then it is ignored.
        with contextlib.suppress(e4.E4Error):
            self._arrived(bytes(message.payload))

    def publish(self, topic: str, message: bytes, seconds: float = 20.0) -> None:
        """Protect a message and publish it with QoS 1. Return when the broker has it, or raise Failure."""
        if not self._ready.wait(seconds):
            raise Failure("the broker does not serve the partner again")
        information = self._mqtt.publish(topic, e4.protect(message, TOPIC_KEY, int(time.time())), qos=1)
        information.wait_for_publish(seconds)
        if not information.is_published():
            raise Failure("the broker does not take a message")

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
