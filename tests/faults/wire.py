"""MQTT 3.1.1 as bytes: correct packets, and the means to build malformed ones.

It shares no code with the clients under test. Sections are those of MQTT 3.1.1.
"""

from __future__ import annotations

import socket

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x10, 0x20, 0x30, 0x40, 0x50, 0x62, 0x70
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0
RESERVED_0, RESERVED_15 = 0x00, 0xF0
ACCEPTED = b"\x20\x02\x00\x00"  # CONNACK


class Gone(Exception):
    """The other side has closed the connection."""


def remaining_length(n: int) -> bytes:
    """Encode a remaining length (section 2.2.3)."""
    encoded = bytearray()
    while True:
        n, digit = divmod(n, 128)
        encoded.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(encoded)


def packet(first: int, *body: bytes) -> bytes:
    """Build a packet with the correct length."""
    joined = b"".join(body)
    return bytes([first]) + remaining_length(len(joined)) + joined


def string(text: str | bytes) -> bytes:
    """Encode a string (section 1.5.3). Bytes are taken as they are, without a check that they are UTF-8."""
    encoded = text.encode() if isinstance(text, str) else text
    return len(encoded).to_bytes(2, "big") + encoded


def publish(topic: str | bytes, payload: bytes, qos: int = 0, packet_id: int = 0, flags: int = 0) -> bytes:
    """Build a PUBLISH (section 3.3). With QoS 0 it has no packet identifier."""
    identifier = packet_id.to_bytes(2, "big") if qos else b""
    return packet(PUBLISH | qos << 1 | flags, string(topic), identifier, payload)


def topic_filters(body: bytes) -> list[bytes]:
    """Return the topic filters in the body of a SUBSCRIBE (section 3.8)."""
    found, at = [], 2
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        found.append(body[at + 2 : at + 2 + size])
        at += 2 + size + 1
    return found


def read_packet(connection: socket.socket) -> tuple[int, bytes]:
    """Return the first byte and the body of the next packet. Raises Gone, and TimeoutError as the socket does."""
    first = _read(connection, 1)[0]
    size = shift = 0
    while True:
        digit = _read(connection, 1)[0]
        size |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return first, _read(connection, size)


def _read(connection: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        try:
            more = connection.recv(n - len(data))
        except TimeoutError:
            raise
        except OSError:
            raise Gone from None
        if not more:
            raise Gone
        data += more
    return data


class Framer:
    """Finds where MQTT packets end in a stream (section 2.2)."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def ends(self, data: bytes) -> list[int]:
        """Take the next bytes of the stream, and return the places in them behind which a packet ends."""
        found, at = [], 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
                if not self._left:
                    found.append(at)
                continue
            self._head.append(data[at])
            at += 1
            if len(self._head) > 1 and data[at - 1] < 0x80:
                self._left = sum((digit & 0x7F) << 7 * i for i, digit in enumerate(self._head[1:]))
                self._head.clear()
                if not self._left:
                    found.append(at)
        return found
