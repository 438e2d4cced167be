"""MQTT 3.1.1 packets from the broker, taken apart as their bytes arrive."""

from e4._const import const

from .errors import LinkDown, try_once
from .ticks import Deadline

_PUBLISH = const(0x30)
# The bytes of a topic that are kept: the longest topic that E4 knows.
_MAX_TOPIC = const(512)
_MALFORMED = const("the broker sent a malformed packet")
# The bytes that are kept of a packet that is no PUBLISH.
_BODY = const(4)
# The time for a whole packet, and one more millisecond for each of its bytes: a connection slower than 1 KB/s counts as
# ended.
_IN_TIME_MS = const(20000)
# While more bytes than this are left to be dropped, each read is a step of its own.
_AT_ONCE = const(65536)


class PacketReader:
    """A reader that takes packets from a non-blocking stream into a buffer that is allocated once.

    However much a packet announces, the reader allocates only its topic, of 512 bytes at most. What does not fit into
    the buffer is read and dropped.

    After `step` has returned True, these attributes describe the packet: `kind`, the high four bits of its first byte,
    and for a PUBLISH `qos`, `may_repeat` (the broker says DUP or RETAIN, so we may have had the message before),
    `topic`, `packet_id`, `size` and `payload`. The payload is a view of the buffer that is good until the next `step`,
    or None where it is too large. For any other packet, `body` holds its first 4 bytes at most.
    """

    def __init__(self, max_payload: int) -> None:
        self._max_payload = max_payload
        self._buffer = memoryview(bytearray(max(max_payload, _MAX_TOPIC + 2)))
        # The number of bytes that have arrived; `_fill` counts them, the link takes them off again.
        self.received = 0
        # The last packet, in eight attributes that the docstring of the class describes.
        self.kind = self.qos = self.packet_id = self.size = 0
        self.may_repeat = False
        self.topic = b""
        self.payload: memoryview | None = None
        self.body = self._buffer[:0]
        # The time by which the packet that has begun must be whole, or None between packets.
        self._deadline: Deadline | None = None

    def start(self, stream) -> None:
        """Begin with the first packet of a new connection on `stream`."""
        self._stream = stream
        self._deadline = None
        self._steps = self._packets()

    def step(self) -> bool:
        """Read what there is, and return True once a packet is whole.

        Raises LinkDown if the packet is malformed or does not end in time, or if the broker closed the connection, and
        OSError if the stream fails.
        """
        if next(self._steps):
            return True
        if self._deadline is not None and self._deadline.is_over():
            raise LinkDown("the broker began a packet and did not end it")
        return False

    def _packets(self):
        """A generator without an end: it yields False while there is nothing to read, and True for each packet."""
        while True:
            self._deadline = None
            yield from self._fill(1)
            first = self._buffer[0]
            self._deadline = Deadline(_IN_TIME_MS)
            size = 0
            for shift in range(0, 28, 7):  # section 2.2.3
                yield from self._fill(1)
                size |= (self._buffer[0] & 0x7F) << shift
                if self._buffer[0] < 0x80:
                    break
            else:
                raise LinkDown(_MALFORMED)
            self._deadline.restart(_IN_TIME_MS + size)
            self.kind = first & 0xF0
            if self.kind == _PUBLISH:
                yield from self._read_publish(first, size)
            else:
                kept = min(size, _BODY)
                yield from self._fill(kept)
                self.body = self._buffer[:kept]
                yield from self._fill(size - kept, kept, 0)
            yield True

    def _read_publish(self, first: int, size: int):
        """A generator: it reads the rest of a PUBLISH (section 3.3), and yields False while it waits."""
        self.qos = first >> 1 & 3
        self.may_repeat = first & 9 != 0
        if self.qos == 3 or size < 2:
            raise LinkDown(_MALFORMED)
        yield from self._fill(2)
        topic_size = self._buffer[0] << 8 | self._buffer[1]
        size -= 2 + topic_size + (2 if self.qos else 0)
        if size < 0:
            raise LinkDown(_MALFORMED)
        kept = min(topic_size, _MAX_TOPIC)
        yield from self._fill(kept)
        self.topic = bytes(self._buffer[:kept])
        yield from self._fill(topic_size - kept, 0, 0)
        if self.qos:
            yield from self._fill(2)
            self.packet_id = self._buffer[0] << 8 | self._buffer[1]
        self.size = size
        if size > self._max_payload or topic_size > _MAX_TOPIC:
            self.payload = None
            yield from self._fill(size, 0, 0)
        else:
            yield from self._fill(size)
            self.payload = self._buffer[:size]

    def _fill(self, n: int, at: int = 0, step: int = 1):
        """A generator: it reads `n` bytes into the buffer from `at` on, and yields False while it waits.

        With a `step` of 0 all bytes go to the same place, so that they are dropped.
        """
        read = self._stream.readinto
        while n > 0:
            got = try_once(read, self._buffer[at : at + n])
            if got:
                n -= got
                at += got * step
                self.received += got
                if n >= _AT_ONCE and not step:  # It may be 268 MB, and the rest of the program must have its turn.
                    yield False
            elif got is None:
                yield False
            else:
                raise LinkDown("the broker closed the connection")
