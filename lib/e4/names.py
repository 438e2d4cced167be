"""Names, IDs, topics and hashes of topics: their sizes, and how one is derived from another."""

import binascii

from e4._const import const
from e4.errors import InvalidName, InvalidTopic
from e4.sha3 import sha3_256

_ID = const(16)  # bytes
_HASH = const(16)
_MAX_TOPIC = const(512)
_MAX_NAME = const(255)
_SURELY_SHORT = const(128)  # characters of a topic that has 512 bytes at most, because a character has 4 bytes at most


def _utf8(text: str | bytes, largest: int, error, what: str) -> bytes:
    """Return text as UTF-8, or raise `error` unless it has 1 to `largest` bytes. `what` names it in the message."""
    data = b""
    try:
        if isinstance(text, str):
            data = text.encode()
        elif isinstance(text, (bytes, bytearray, memoryview)):
            data = bytes(text)
            data.decode()
        if 1 <= len(data) <= largest:
            return data
    except UnicodeError:
        pass  # the error below says it
    raise error("a {} is text of 1 to {} bytes in UTF-8".format(what, largest))


def topic_bytes(topic: str | bytes) -> bytes:
    """Return a topic as its 1 to 512 bytes of UTF-8. Raises InvalidTopic."""
    if isinstance(topic, str) and 1 <= len(topic) <= _SURELY_SHORT:
        try:
            return topic.encode()
        except UnicodeError:
            pass  # the error below says it
    return _utf8(topic, _MAX_TOPIC, InvalidTopic, "topic")


def topic_hash(topic: str | bytes) -> bytes:
    """Return the 16 bytes for a topic in commands and stores: the start of its SHA3-256. Raises InvalidTopic."""
    return sha3_256(topic_bytes(topic))[:_HASH]


def id_of(name: str | bytes) -> bytes:
    """Return the 16-byte ID of a client with this name: the start of the SHA3-256 of the name. Raises InvalidName."""
    return sha3_256(_utf8(name, _MAX_NAME, InvalidName, "name"))[:_ID]


def check_id(client_id: bytes) -> bytes:
    """Return `client_id` as 16 bytes. Raises InvalidName."""
    if isinstance(client_id, str) or len(client_id) != _ID:
        raise InvalidName("an ID has 16 bytes; e4.id_of(name) makes one from a name")
    return bytes(client_id)


def receiving_topic(client_id: bytes) -> str:
    """Return the topic on which a client receives its commands: "e4/" and the ID in hexadecimal."""
    return "e4/" + binascii.hexlify(check_id(client_id)).decode()
