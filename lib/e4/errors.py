"""The errors a caller can act on. No message ever holds a key, a password or a plaintext."""


class E4Error(Exception):
    """Base of everything that this package raises on purpose. Whatever was asked for did not happen."""


class TooShort(E4Error):
    """A payload of 24 bytes or less (timestamp and tag alone), an empty message to protect, less than a tag to open."""


class TimestampTooOld(E4Error):
    """The payload is older than the maximum age."""


class TimestampInFuture(E4Error):
    """The payload is stamped later than the clock plus the tolerance for the future."""


class Replayed(E4Error):
    """A message that was accepted before, or a command older than the last one applied."""


class PerhapsReplayed(Replayed):
    """A message that cannot be told from one accepted before: more have arrived since than are remembered."""


class SentTooOften(E4Error):
    """The same message was sent too often to be told apart from copies of it; nothing was protected."""


class NotAuthentic(E4Error):
    """The tag does not verify: another key, or an altered payload."""


class TopicKeyNotFound(E4Error):
    """This client holds no key for the topic."""


class InvalidCommand(E4Error):
    """An authentic command with an unknown opcode, a wrong length or an all-zero key, or for our receiving topic."""


class UnsupportedCommand(E4Error):
    """A well-formed command of another mode (4 to 7 belong to the public-key mode)."""


class InvalidKey(E4Error):
    """A key of the wrong length, an all-zero key, or not the key that the store belongs to."""


class InvalidTopic(E4Error):
    """A topic that is not 1 to 512 bytes of UTF-8."""


class InvalidName(E4Error):
    """A name that is not 1 to 255 bytes of UTF-8, or an ID that is not 16 bytes."""


class ClockNotSet(E4Error):
    """The clock does not know the time; nothing can be protected or judged fresh."""


class StoreError(E4Error):
    """The store could not be read or written, or is not for this client, or has no room for this change.

    What it held before, it still holds.
    """


class StoreCorrupt(StoreError):
    """The stored state is damaged or of a foreign version. It was left as found."""
