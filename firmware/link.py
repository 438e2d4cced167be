"""The connection to the broker, by `umqtt.simple` as the stock firmware has it.

`umqtt` allocates whatever length a packet announces, sends a wrong length for long topics, and loses its place in
the stream where it does not expect a packet. Its `wait_msg` is therefore replaced by ours, and so is `subscribe`.
"""

import time

from umqtt.simple import MQTTClient

MAX_PAYLOAD = 8192  # bytes; a larger message is skipped without being stored
_KEEPALIVE = 60  # seconds after which the broker gives us up
_PING_MS = 20000
_LAST_PID = 0xFFF0  # packet identifiers have 16 bits, and umqtt does not know that

_PUBLISH = 0x30
_PUBACK = 0x40
_SUBACK = 0x90
_REFUSED = 0x80


class LinkDown(OSError):
    """There is no connection to the broker, or no longer one; the text says what became of the message."""


class Link:
    """One MQTT session, kept by the broker while the board is away.

    `arrived(topic, payload, size)` is called with bytes for whatever comes, and with None for a payload of more
    than MAX_PAYLOAD bytes. It must not raise, nor call the link: it runs while another call waits for its answer.
    Any exception from a method means that the connection is of no more use: call `close` and `open` again.
    """

    def __init__(self, client_id: str, config, arrived) -> None:
        self._client = MQTTClient(
            client_id, config.host, config.port, _encoded(config.user), _encoded(config.password), keepalive=_KEEPALIVE
        )
        self._client.wait_msg = self._receive  # type: ignore[method-assign]
        self._arrived = arrived
        self._scratch = bytearray(64)
        self._up = False
        self._last_ping = time.ticks_ms()

    @property
    def socket(self):
        return self._client.sock

    @property
    def up(self) -> bool:
        return self._up

    def open(self) -> None:
        """Connect to the broker."""
        self._client.pid = 0
        self._client.connect(clean_session=False)
        self._up = True
        self._last_ping = time.ticks_ms()

    def subscribe(self, topic_filter: bytes) -> bool:
        """Subscribe, QoS 1; return whether the broker allows it (MQTT 3.1.1 section 3.8)."""
        self._client.pid += 1
        packet_id = self._client.pid.to_bytes(2, "big")
        body = packet_id + len(topic_filter).to_bytes(2, "big") + topic_filter + b"\x01"
        self._client.sock.write(b"\x82" + _length(len(body)) + body)
        while True:
            if self._receive() == _SUBACK:
                reply = self._read(4)
                if reply[1:3] == packet_id:
                    return reply[3] != _REFUSED

    def close(self) -> None:
        self._up = False
        if self._client.sock is not None:
            self._client.sock.close()

    def receive(self) -> None:
        """Handle the one packet that has begun to arrive."""
        if self._receive() is not None:  # an acknowledgement that nobody waits for
            self._skip(self._read_length())

    def publish(self, topic: bytes, payload: bytes, retain: bool, qos: int) -> None:
        """Publish; with QoS 1, wait until the broker has it. Raises LinkDown."""
        if self._client.pid >= _LAST_PID:
            self._client.pid = 0
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

    def _receive(self):
        """Take one packet; return its first byte if it is a PUBACK or SUBACK, the rest of which is the caller's."""
        first = self._read(1)[0]
        if first & 0xF0 == _PUBLISH:
            self._take_publish(first)
        elif first in (_PUBACK, _SUBACK):
            return first
        else:
            self._skip(self._read_length())
        return None

    def _take_publish(self, first: int) -> None:
        """Take the rest of a PUBLISH, hand it on, and acknowledge it (MQTT 3.1.1 section 3.3)."""
        size = self._read_length() - 2
        topic_size = int.from_bytes(self._read(2), "big")
        qos = first >> 1 & 3
        size -= topic_size + (2 if qos else 0)
        if size < 0 or qos > 1 or topic_size > MAX_PAYLOAD:
            raise LinkDown("the broker sent a malformed packet")
        topic = self._read(topic_size)
        packet_id = self._read(2) if qos else None
        if size > MAX_PAYLOAD:
            self._skip(size)
            self._arrived(topic, None, size)
        else:
            self._arrived(topic, self._read(size), size)
        if packet_id is not None:
            self._client.sock.write(b"\x40\x02" + packet_id)

    def _read(self, n: int) -> bytes:
        data = self._client.sock.read(n) if n else b""
        if data is None or len(data) != n:
            raise LinkDown("the broker closed the connection")
        return data

    def _read_length(self) -> int:
        """Return a remaining length (MQTT 3.1.1 section 2.2.3)."""
        length = 0
        for shift in range(0, 28, 7):
            byte = self._read(1)[0]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return length
        raise LinkDown("the broker sent a malformed packet")

    def _skip(self, n: int) -> None:
        while n > 0:
            got = self._client.sock.readinto(self._scratch, min(n, len(self._scratch)))
            if not got:
                raise LinkDown("the broker closed the connection")
            n -= got


def _length(n: int) -> bytes:
    """Return a remaining length as it is sent (MQTT 3.1.1 section 2.2.3)."""
    encoded = bytearray()
    while n > 0x7F:
        encoded.append(n & 0x7F | 0x80)
        n >>= 7
    encoded.append(n)
    return bytes(encoded)


def _encoded(text: str | None) -> bytes | None:
    """umqtt measures in characters what it sends in bytes."""
    return text.encode() if text is not None else None
