"""The connection to the broker, by `umqtt.simple` as the stock firmware has it."""

import time

from umqtt.simple import MQTTClient

_KEEPALIVE = 60  # seconds after which the broker gives us up
_PING_MS = 20000


class LinkDown(OSError):
    """There is no connection to the broker, or no longer one; the text says what became of the message."""


class Link:
    """One MQTT session, kept by the broker while the board is away.

    `arrived(topic, payload)` is called with bytes for whatever comes. Any exception from a method means that the
    connection is of no more use: call `close` and `open` again.
    """

    def __init__(self, client_id: str, config, arrived) -> None:
        self._client = MQTTClient(
            client_id, config.host, config.port, config.user, config.password, keepalive=_KEEPALIVE
        )
        self._client.set_callback(arrived)
        self._up = False
        self._last_ping = time.ticks_ms()

    @property
    def socket(self):
        return self._client.sock

    @property
    def up(self) -> bool:
        return self._up

    def open(self, filters) -> None:
        """Connect and subscribe, QoS 1, to the topic filters given (bytes)."""
        self._client.connect(clean_session=False)
        self._up = True
        self._last_ping = time.ticks_ms()
        for topic_filter in filters:
            self._client.subscribe(topic_filter, qos=1)

    def close(self) -> None:
        self._up = False
        if self._client.sock is not None:
            self._client.sock.close()

    def receive(self) -> None:
        """Handle the one packet that has begun to arrive."""
        self._client.wait_msg()

    def publish(self, topic: bytes, payload: bytes, retain: bool, qos: int) -> None:
        """Publish; with QoS 1, wait until the broker has it. Raises LinkDown."""
        try:
            self._client.publish(topic, payload, retain, qos)
        except Exception as error:  # umqtt raises AssertionError, IndexError, TypeError and more
            self._up = False  # half a packet may have gone out
            raise LinkDown(
                "the connection failed while sending ({!r}); it may not have arrived".format(error)
            ) from None

    def keep_alive(self) -> None:
        now = time.ticks_ms()
        if time.ticks_diff(now, self._last_ping) >= _PING_MS:
            self._last_ping = now
            self._client.ping()
