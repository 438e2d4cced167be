"""The commands by which C2 steers a client: an opcode and its arguments.

These are plain commands. C2 protects them under the client's ID key (`e4.protect`) and publishes them on its
receiving topic, QoS 2 and retained.
"""

from e4._const import const
from e4.errors import InvalidCommand, InvalidKey, UnsupportedCommand
from e4.names import HASH_SIZE, topic_hash
from e4.siv import KEY_SIZE, check_key

REMOVE_TOPIC = 0
RESET_TOPICS = 1
SET_ID_KEY = 2
SET_TOPIC_KEY = 3

_ED25519_PRIVATE_KEY_SIZE = const(64)

# Bytes of arguments by opcode, here and in the public-key mode.
_ARGUMENTS = {REMOVE_TOPIC: HASH_SIZE, RESET_TOPICS: 0, SET_ID_KEY: KEY_SIZE, SET_TOPIC_KEY: KEY_SIZE + HASH_SIZE}
_PUBLIC_KEY_MODE = {4: 16, 5: 0, 6: 48, 7: 32}


def remove_topic(topic: str) -> bytes:
    """Return the command that makes a client forget a topic's key and its previous one. Raises InvalidTopic."""
    return bytes((REMOVE_TOPIC,)) + topic_hash(topic)


def reset_topics() -> bytes:
    """Return the command that makes a client forget all topic keys."""
    return bytes((RESET_TOPICS,))


def set_id_key(key: bytes) -> bytes:
    """Return the command that replaces a client's ID key.

    `key` has 32 bytes, or 64 for a client in public-key mode: an Ed25519 private key. Raises InvalidKey.
    """
    if not isinstance(key, str) and len(key) == _ED25519_PRIVATE_KEY_SIZE and any(key):
        return bytes((SET_ID_KEY,)) + key
    return bytes((SET_ID_KEY,)) + check_key(key)


def set_topic_key(key: bytes, topic: str) -> bytes:
    """Return the command that gives a client the 32-byte key of a topic. Raises InvalidKey, InvalidTopic."""
    return bytes((SET_TOPIC_KEY,)) + check_key(key) + topic_hash(topic)


def parse(command: bytes) -> tuple:
    """Return opcode, key (or None) and topic hash (or None) of a plain command of the symmetric-key mode.

    Raises InvalidCommand for an unknown opcode, a wrong length or an all-zero key, UnsupportedCommand for a
    well-formed command of the public-key mode.
    """
    if not command:
        raise InvalidCommand("empty command")
    opcode = command[0]
    size = len(command) - 1
    if _PUBLIC_KEY_MODE.get(opcode) == size:
        raise UnsupportedCommand("command {} belongs to the public-key mode".format(opcode))
    if _ARGUMENTS.get(opcode) != size:
        raise InvalidCommand("command {} with {} bytes of arguments".format(opcode, size))
    key = None
    if size >= KEY_SIZE:
        try:
            key = check_key(command[1 : 1 + KEY_SIZE])
        except InvalidKey as error:
            raise InvalidCommand("command {}: {}".format(opcode, error)) from None
    hashed = bytes(command[-HASH_SIZE:]) if opcode in (REMOVE_TOPIC, SET_TOPIC_KEY) else None
    return opcode, key, hashed
