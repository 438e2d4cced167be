"""The records in which a client keeps its state. No other module knows their layout.

There are three kinds. All numbers are little-endian, and times are in Unix seconds.

    "id"            the identity: ID (16 bytes), ID key (32), fingerprint of the first ID key (8), previous ID key (32,
                    all zero if there is none), and then the receiving topic, if it is not the standard one
    "t" and a hash  the keys of a topic, under the 16-byte hash of that topic: key (32), previous key (32, all zero if
                    there is none) and the timestamp of the command that replaced it (8). A record never grows, so that
                    a key can be replaced when the flash is full. Version 0.1.0 left the last two out before the first
                    change
    "c"             the last commands: their timestamp (8), and the mark (8) of each command applied at that
                    time: the first half of its tag

The name "c" has one byte because a store writes such records with every commit. So a command and the proof that it was
applied are written together, and a power cut cannot separate them.

A getter takes the store and returns the fields of a record. It raises StoreCorrupt for a record that no client has
written, and whatever the store raises. A function `put_...` adds a record to the changes of a commit.
"""

from e4 import names
from e4._const import const
from e4.errors import InvalidTopic, StoreCorrupt, StoreError
from e4.store import damage_error

_IDENTITY = const(b"id")
_ID_KEY = const(16)  # where the fields of the identity begin
_FINGERPRINT = const(48)
_PREVIOUS = const(56)
_RECEIVING_TOPIC = const(88)
_TOPIC = const(b"t")
_PREVIOUS_TOPIC_KEY = const(32)  # where the fields of a topic's record begin
_CHANGED_AT = const(64)
_TOPIC_SIZE = const(72)  # bytes of a topic's record with all its fields
_COMMANDS = const(b"c")
_MARKS = const(8)  # where the marks begin
_MARK_SIZE = const(8)  # bytes
_MAX_MARKS = const(1024)


def get_identity(store, new: bool = False) -> tuple[bytes, bytes, bytes, bytes | None, bytes]:
    """Return ID, ID key, fingerprint of the first ID key, previous ID key or None, receiving topic.

    The receiving topic is b"" for the standard one. A store without an identity counts as damaged; with `new`, the ID
    and all other fields are then empty.
    """
    record = store.get(_IDENTITY)
    if record is None:
        if new:
            return b"", b"", b"", None, b""
        record = b""
    key, previous = record[_ID_KEY:_FINGERPRINT], record[_PREVIOUS:_RECEIVING_TOPIC]
    if len(record) < _RECEIVING_TOPIC or not any(key):
        raise damage_error("the client's record")
    if not any(previous):
        previous = None
    receiving = record[_RECEIVING_TOPIC:]
    if receiving:
        try:
            names.topic_bytes(receiving)
        except InvalidTopic:
            raise damage_error("the client's record") from None
    return record[:_ID_KEY], key, record[_FINGERPRINT:_PREVIOUS], previous, receiving


def put_identity(
    changes: dict[bytes, bytes | None], identity: tuple[bytes, bytes, bytes, bytes | None, bytes]
) -> dict[bytes, bytes | None]:
    """Add the record of an identity, whose fields are those of `get_identity`, and return the changes."""
    client_id, key, fingerprint, previous, receiving_topic = identity
    changes[_IDENTITY] = (
        client_id + key + fingerprint + (previous or bytes(_RECEIVING_TOPIC - _PREVIOUS)) + receiving_topic
    )
    return changes


def get_topic(store, hashed: bytes) -> tuple[bytes, bytes | None, int] | None:
    """Return key, previous key or None, and time of the change; None if there is no such topic."""
    record = store.get(_TOPIC + hashed)
    if record is None:
        return None
    if len(record) not in (_PREVIOUS_TOPIC_KEY, _TOPIC_SIZE):
        raise damage_error("the topic's record")
    previous = record[_PREVIOUS_TOPIC_KEY:_CHANGED_AT]
    return (
        record[:_PREVIOUS_TOPIC_KEY],
        previous if any(previous) else None,
        int.from_bytes(record[_CHANGED_AT:], "little"),
    )


def put_topic(store, changes: dict[bytes, bytes | None], hashed: bytes, key: bytes | None, time: int) -> None:
    """Add the record of a topic that gets a key at `time`, together with the key that this one replaces.

    Add its removal if `key` is None, and nothing if `key` is the current key. A damaged record is replaced as a whole.
    """
    name = _TOPIC + hashed
    if key is not None:
        try:
            current = get_topic(store, hashed)
        except StoreCorrupt:
            current = None
        if current is None:
            key += bytes(_TOPIC_SIZE - _PREVIOUS_TOPIC_KEY)
        elif current[0] == key:
            return
        else:
            key += current[0] + time.to_bytes(8, "little")
    changes[name] = key


def get_commands(store) -> tuple[int, bytes]:
    """Return the timestamp of the last command applied, and the marks of all that were applied with it; 0 and b""."""
    record = store.get(_COMMANDS)
    if record is None:
        return 0, b""
    if len(record) % _MARK_SIZE or len(record) < _MARKS + _MARK_SIZE:
        raise damage_error("the record of commands")
    return int.from_bytes(record[:_MARKS], "little"), record[_MARKS:]


def put_commands(timestamp: int, marks: bytes) -> dict[bytes, bytes | None]:
    """Return changes with the record of the last commands. Raises StoreError for more than 1024 marks."""
    if len(marks) > _MARK_SIZE * _MAX_MARKS:
        raise StoreError("too many commands in one second; the later ones were not applied")
    return {_COMMANDS: timestamp.to_bytes(8, "little") + marks}
