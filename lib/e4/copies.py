"""A bounded memory of protected messages, so that a copy is known for one."""

from e4.blocks import holds, remember
from e4.errors import PerhapsReplayed, Replayed

_ENTRY = 12  # bytes: the lower half of the timestamp, the first half of the tag
_BURST = 1  # seconds for which messages of one second may go on to arrive after some of them had to be forgotten


class Copies:
    """The last `size` messages, in 12 bytes each.

    When it is full the oldest entry is forgotten, and from then on nothing that is stamped earlier than that one can be
    told from a copy. Raises ValueError for a size below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("one message at least is remembered")
        self._ring = bytearray(_ENTRY * size)
        self._size = size
        self._used = 0
        self._next = 0
        self.forgotten = 0  # the latest timestamp of what was forgotten

    def holds(self, payload) -> bool:
        """Tell whether this very payload, or its first 16 bytes, is remembered."""
        return holds(self._ring, payload, self._used)

    def check(self, payload, now: int) -> None:
        """Raise Replayed if the payload is remembered, PerhapsReplayed if it is stamped too early to tell at `now`."""
        if holds(self._ring, payload, self._used):
            raise Replayed("a copy of a message that was accepted before")
        timestamp = int.from_bytes(payload[:8], "little")
        if timestamp < self.forgotten or (timestamp == self.forgotten and not timestamp <= now <= timestamp + _BURST):
            raise PerhapsReplayed("it may be a copy: more has arrived since than is remembered")

    def add(self, payload) -> None:
        """Remember a payload; when the memory is full, forget the oldest one."""
        at = self._next
        if self._used < self._size:
            self._used += 1
        else:
            # The upper half of a timestamp changes in 2106; it is taken from the message at hand.
            upper = int.from_bytes(payload[4:8], "little") << 32
            forgotten = int.from_bytes(self._ring[_ENTRY * at : _ENTRY * at + 4], "little") + upper
            self.forgotten = max(self.forgotten, forgotten)
        remember(self._ring, at, payload)
        self._next = (at + 1) % self._size
