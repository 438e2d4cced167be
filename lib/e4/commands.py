"""The commands with which C2, the server that manages the keys, changes a client: an opcode and its arguments.

These are plain commands. C2 protects them under the client's ID key (`e4.protect`) and publishes them on its
receiving topic, QoS 2 and retained.
"""

from e4._const import const
from e4.errors import InvalidCommand, UnsupportedCommand
from e4.names import topic_hash
from e4.siv import check_key

REMOVE_TOPIC = const(0)
RESET_TOPICS = const(1)
SET_ID_KEY = const(2)
SET_TOPIC_KEY = const(3)

# Copied from `names` and `siv`: a constant of another module would take bytes on a board.
_HASH = const(16)  # bytes
_KEY = const(32)
_ED25519_PRIVATE_KEY = const(64)

# Bytes of arguments, by opcode. The last four opcodes belong to the public-key mode. The Go client calls them
# RemovePubKey, ResetPubKeys, SetPubKey and SetC2Key.
_ARGUMENTS = (_HASH, 0, _KEY, _KEY + _HASH, 16, 0, 48, 32)


def remove_topic(topic: str) -> bytes:
    """Return the command that makes a client forget the key of a topic and the previous one. Raises InvalidTopic."""
    return bytes((REMOVE_TOPIC,)) + topic_hash(topic)


def reset_topics() -> bytes:
    """Return the command that makes a client forget all topic keys."""
    return bytes((RESET_TOPICS,))


def set_id_key(key: bytes) -> bytes:
    """Return the command that replaces a client's ID key.

    `key` has 32 bytes, or 64 for a client in public-key mode: an Ed25519 private key. Raises InvalidKey.
    """
    if isinstance(key, str) or len(key) != _ED25519_PRIVATE_KEY or not any(key):
        key = check_key(key)
    return bytes((SET_ID_KEY,)) + key


def set_topic_key(key: bytes, topic: str) -> bytes:
    """Return the command that gives a client the 32-byte key of a topic. Raises InvalidKey, InvalidTopic."""
    return bytes((SET_TOPIC_KEY,)) + check_key(key) + topic_hash(topic)


def parse(command: bytes) -> tuple[int, bytes | None, bytes | None]:
    """Return opcode, key (or None) and topic hash (or None) of a plain command of the symmetric-key mode.

    Raises InvalidCommand for an unknown opcode, a wrong length or an all-zero key, UnsupportedCommand for a
    well-formed command of the public-key mode.
    """
    if not command:
        raise InvalidCommand("empty command")
    opcode = command[0]
    size = len(command) - 1
    if opcode >= len(_ARGUMENTS) or size != _ARGUMENTS[opcode]:
        raise InvalidCommand("command {} with {} bytes of arguments".format(opcode, size))
    if opcode > SET_TOPIC_KEY:
        raise UnsupportedCommand("command {} belongs to the public-key mode".format(opcode))
    key = command[1 : 1 + _KEY] if opcode >= SET_ID_KEY else None
    if key is not None and not any(key):
        raise InvalidCommand("command {} with an all-zero key".format(opcode))
    hashed = command[-_HASH:] if opcode in (REMOVE_TOPIC, SET_TOPIC_KEY) else None
    return opcode, key, hashed
