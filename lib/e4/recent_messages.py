"""The memory of the latest messages: a copy of what was accepted is recognised, and nothing is sent twice."""

from os import urandom
from struct import pack_into, unpack_from

from e4._const import const
from e4.errors import PerhapsReplayed, Replayed, SentTooOften
from e4.loops import add_to_ring, copy_block, find_in_ring, pad_and_mask
from e4.siv import CMAC

# What `find_in_ring` returns. It returns 0 for a payload that is later than all that are remembered, and other numbers
# for a payload that is new as well.
# The payload is new, but the memory is full of payloads that are not earlier, so adding it has one of them forgotten.
_NO_ROOM = const(-1)
# The payload is remembered.
_COPY = const(1)
# The timestamp is not later than the latest one that was forgotten, so the payload may be a copy.
_OLDER = const(2)
# The same, where half of what is remembered has just this timestamp.
_BURST = const(3)
# The timestamp lies ahead of the clock, and so do those of half the memory.
_AHEAD = const(4)

_KEPT = const(1072)  # bytes of the longest payload for which a buffer is kept: a message of 1 KiB and 48 bytes
_SENT = const(64)  # sent messages that are remembered at first, and seconds by which a timestamp may be earlier
_LARGEST = const(12000)  # bytes; a ring of sent messages of this size or more does not grow, a smaller one doubles
_ZERO = bytes(16)


def _new_ring(size: int) -> bytearray:
    """Return a ring for `size` messages in which nothing is remembered. `loops` says what a ring is."""
    end = 20 + 12 * size
    ring = bytearray(end)
    pack_into("<5I", ring, 0, end, 20, 0, 0, (size + 1) // 2 * 12)
    return ring


class RecentMessages:
    """The `size` accepted messages with the latest timestamps, and those sent. Each takes 12 bytes.

    When the memory is full, adding a message has the one with the earliest timestamp forgotten. From then on, whatever
    is not later than a forgotten one might be a copy of it, and counts as such. Messages from the future must not reach
    the present in this way. So those with timestamps ahead of the clock may fill half of the memory, and further ones
    are refused.

    An accepted message is remembered by its timestamp and a digest of 8 bytes of the whole payload. Whoever has a
    topic's key can make two messages with one timestamp and one tag, because the tag is a CMAC, and that is a hash only
    to those who lack its key. So the digest is the CMAC of the payload under a random key that nobody else has.

    Raises ValueError for a size below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("one message at least is remembered")
        self._accepted = _new_ring(size)
        # A sent message is remembered by its timestamp and the first half of its tag. Somebody may make this client
        # send two messages with one tag; that only gives the second one an earlier timestamp.
        self._sent = _new_ring(_SENT)
        self._key = urandom(16)
        # A CBC object and its pads, as `CMAC.chain` returns them, or None if they may not fit each other.
        self._chain: tuple | None = None
        # The buffer in which the last digest was computed; it is used again for a payload with as many blocks.
        self._body = bytearray()

    def check(self, payload: bytes, age: int) -> None:
        """Raise Replayed for a copy, and PerhapsReplayed for a payload that may be one or for which there is no room.

        `age` is that of the payload in seconds, negative if it is from the future. The payload has 25 bytes at least.
        """
        verdict = self._find(payload, age)
        if verdict == _COPY:
            raise Replayed("a copy of a message that was accepted before")
        if verdict == _AHEAD:
            raise PerhapsReplayed("ahead of the clock, as are too many others to remember one more")
        # If one second brings more messages than are remembered, those of them that have not arrived yet would all
        # count as possible copies. In that second and the next one they are accepted nevertheless, and so are copies of
        # those that were forgotten.
        if verdict == _OLDER or (verdict == _BURST and not 0 <= age <= 1):
            raise PerhapsReplayed("it may be a copy: more has arrived since than is remembered")

    def add(self, payload: bytes) -> None:
        """Remember an accepted payload. It must be the one that was checked last, and have passed."""
        add_to_ring(self._accepted, payload, self._digest)

    def add_sent(self, payload: bytes, shift: int) -> bool:
        """Remember a payload that is about to be sent, and return True; return False if receivers know the same bytes.

        They do if it was sent before, or if another client has sent it and it was accepted here. `shift` is the number
        of seconds by which the payload is stamped earlier than the clock shows. Raises SentTooOften if nobody can tell
        whether it was sent before: more than 1024 messages were sent in this second, or the same one too often.

        If the clock was set back so far that everything is stamped earlier than what was forgotten, all is forgotten.
        """
        ring = self._sent
        verdict = find_in_ring(ring, payload, payload, 0)
        # The second question takes a digest. It is not asked if nothing accepted is stamped as late as this payload.
        if verdict == _COPY or (find_in_ring(self._accepted, payload, payload, 0) and self._find(payload, 0) == _COPY):
            return False
        if verdict == _BURST or (shift and (verdict == _OLDER or shift >= _SENT)):
            raise SentTooOften("too often to be told from a copy: wait a second, or put a counter into it")
        if verdict == _OLDER:
            ring = _new_ring(_SENT)
        elif verdict == _NO_ROOM and not shift and len(ring) < _LARGEST:
            # In this second more is sent than fits. The upper half of the new ring is the old one, put in order. The
            # lower half are entries with the timestamp of the latest forgotten one, so that adding forgets nothing new.
            end, first = unpack_from("<2I", ring)
            size = end // 12 - 1
            ring = _new_ring(2 * size)
            ring[8:12] = self._sent[8:12]
            ring[20:] = bytes(ring[8:12] + bytes(8)) * size + self._sent[first:] + self._sent[20:first]
        add_to_ring(ring, payload, payload)
        self._sent = ring
        return True

    def _find(self, payload: bytes, age: int) -> int:
        """Compute the digest of a payload, and return what `find_in_ring` says of it among the accepted ones."""
        n = len(payload)
        size = (n + 15) & -16
        body = self._body
        if size != len(body):
            body = bytearray(size)
            if size <= _KEPT:
                self._body = body
        chain = self._chain or CMAC(self._key).chain()
        # An exception below, for instance KeyboardInterrupt, would leave pads that do not fit the CBC object any more,
        # and all later digests would be wrong. Without a chain the next call makes a new one.
        self._chain = None
        cbc, self._digest = chain
        body[:n] = payload
        pad_and_mask(body, self._digest, n, _ZERO)
        cbc.encrypt(body, body)
        copy_block(self._digest, body, 0, size - 16)
        self._chain = chain
        return find_in_ring(self._accepted, payload, self._digest, age)
