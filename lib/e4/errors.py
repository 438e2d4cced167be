"""The errors of this package. No message of an error ever holds a key, a password or a plaintext.

E4Error
 +-- TooShort
 +-- TimestampTooOld
 +-- TimestampInFuture
 +-- Replayed
 |    +-- PerhapsReplayed
 +-- SentTooOften
 +-- NotAuthentic
 +-- TopicKeyNotFound
 +-- InvalidCommand
 +-- UnsupportedCommand
 +-- InvalidKey
 +-- InvalidTopic
 +-- InvalidName
 +-- ClockNotSet
 +-- StoreError
      +-- StoreCorrupt
"""


class E4Error(Exception):
    """The base of every error that this package raises on purpose. What the caller asked for was not done."""


class TooShort(E4Error):
    """There is no message in it.

    That is a payload of 24 bytes or less (timestamp and tag take 24), an empty message that was to be protected, or
    AES-SIV output of less than 16 bytes.
    """


class TimestampTooOld(E4Error):
    """The payload is older than the maximum age."""


class TimestampInFuture(E4Error):
    """The payload is stamped later than the clock plus the tolerance for the future."""


class Replayed(E4Error):
    """The message was accepted before, or the command is older than the last one that was applied."""


class PerhapsReplayed(Replayed):
    """The message may be a copy of one that was accepted before: more have arrived since than are remembered.

    It is also raised for a message that is ahead of the clock, if half of what is remembered is so. That message may be
    accepted later.
    """


class SentTooOften(E4Error):
    """So much was sent that receivers might take the message for a copy of an earlier one. Nothing was protected."""


class NotAuthentic(E4Error):
    """The tag does not verify: the payload was made under another key, or it was altered."""


class TopicKeyNotFound(E4Error):
    """This client holds no key for the topic."""


class InvalidCommand(E4Error):
    """The command has an unknown opcode, a wrong length or an all-zero key, or sets a key for our receiving topic."""


class UnsupportedCommand(E4Error):
    """The command is well-formed and belongs to the public-key mode (opcodes 4 to 7), which is not supported."""


class InvalidKey(E4Error):
    """The key has a wrong length, is all zero, or is not the key that the store belongs to."""


class InvalidTopic(E4Error):
    """The topic is not 1 to 512 bytes of UTF-8."""


class InvalidName(E4Error):
    """The name is not 1 to 255 bytes of UTF-8, or the ID does not have 16 bytes."""


class ClockNotSet(E4Error):
    """The clock does not know the time, so nothing can be protected, and nothing that arrives can be judged."""


class StoreError(E4Error):
    """The store could not be read or written, belongs to another client, or has no room for this change.

    The store still holds what it held before.
    """


class StoreCorrupt(StoreError):
    """The stored state is damaged, or of another version or program. It was left as it was found."""
