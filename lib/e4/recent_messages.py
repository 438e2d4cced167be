"""A memory of the last protected messages, of fixed size, by which a copy of a message is recognised."""

from e4._const import const
from e4.errors import PerhapsReplayed, Replayed
from e4.loops import add_to_ring, find_in_ring

# What `classify` returns for a payload that is not certainly new. For a new one it returns 0.
# The payload is remembered.
_COPY = const(1)
# The timestamp is earlier than the latest one that was forgotten, so the payload may be a copy.
_OLDER = const(2)
# The timestamp equals the latest one that was forgotten.
_SAME_SECOND = const(3)

# In seconds. When more messages bear one timestamp than are remembered, those that have not arrived yet would all count
# as possible copies. For this long, messages with such a timestamp are accepted nevertheless.
_BURST = const(1)


class RecentMessages:
    """The last `size` protected messages. Each takes 12 bytes. Raises ValueError for a size below 1.

    When the memory is full, adding a message forgets the one that was added first. From then on, a message whose
    timestamp is earlier than that of a forgotten one might be a copy of a forgotten one, and counts as such.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("one message at least is remembered")
        # The ring: four words of 32 bits, then the entries of 12 bytes. The words are: the number of entries in use,
        # the entry that is written next, the lower half of the latest forgotten timestamp, and whether anything was
        # forgotten. An entry is the lower half of the timestamp and the first half of the tag. Halves of timestamps are
        # compared by their distance, which is right for timestamps that lie less than 68 years apart.
        self._ring = bytearray(16 + 12 * size)
        self._size = size

    def classify(self, payload: bytes) -> int:
        """Return 1 for a copy, 0 for a new payload, and 2 or 3 for one that may be a copy; see the constants above.

        The payload has 16 bytes at least. Its bytes 0 to 3, the lower half of the timestamp, and 8 to 15, the first
        half of the tag, are compared.
        """
        return find_in_ring(self._ring, payload)

    def check(self, payload: bytes, now: int) -> None:
        """Raise Replayed for a copy, and PerhapsReplayed for what may be one at the time `now`, in Unix seconds."""
        verdict = find_in_ring(self._ring, payload)
        if not verdict:
            return
        if verdict == _COPY:
            raise Replayed("a copy of a message that was accepted before")
        if verdict == _OLDER or not 0 <= now - int.from_bytes(payload[:8], "little") <= _BURST:
            raise PerhapsReplayed("it may be a copy: more has arrived since than is remembered")

    def add(self, payload: bytes) -> None:
        """Remember a payload, and forget the one that was added first if the memory is full."""
        add_to_ring(self._ring, payload, self._size)
