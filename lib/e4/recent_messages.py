"""A bounded memory of protected messages, so that a copy is known for one."""

from e4._const import const
from e4.errors import PerhapsReplayed, Replayed
from e4.loops import add_to_ring, find_in_ring

# What a ring tells of a payload; 0: it is new.
COPY = const(1)
_OLDER = const(2)  # than what was forgotten: it may be a copy
_SAME_SECOND = const(3)  # as the latest of what was forgotten

_BURST = const(1)  # seconds for which messages of one second may go on to arrive after some of them were forgotten


class RecentMessages:
    """The last `size` messages, in 12 bytes each.

    When it is full the entry added first is forgotten, and from then on nothing that is stamped earlier than the latest
    of those forgotten can be told from a copy. Raises ValueError for a size below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("one message at least is remembered")
        # Words of 32 bits: entries in use; the one to be used next; the lower half of the latest timestamp of what was
        # forgotten; whether anything was. Then the entries: the lower half of the timestamp, the first half of the tag.
        # The halves are compared as distances: that is right for timestamps less than 68 years apart.
        self._ring = bytearray(16 + 12 * size)
        self._size = size

    def classify(self, payload) -> int:
        """Return COPY, more for what may be a copy, or 0 for a payload that is new, of 16 bytes at least.

        Of those, the lower half of the timestamp (0 to 3) and the first half of the tag (8 to 15) count.
        """
        return find_in_ring(self._ring, payload)

    def check(self, payload, now: int) -> None:
        """Raise Replayed if the payload is remembered, PerhapsReplayed if it is stamped too early to tell at `now`."""
        told = find_in_ring(self._ring, payload)
        if not told:
            return
        if told == COPY:
            raise Replayed("a copy of a message that was accepted before")
        if told == _OLDER or not 0 <= now - int.from_bytes(payload[:8], "little") <= _BURST:
            raise PerhapsReplayed("it may be a copy: more has arrived since than is remembered")

    def add(self, payload) -> None:
        """Remember a payload; when the memory is full, forget the one that was added first."""
        add_to_ring(self._ring, payload, self._size)
