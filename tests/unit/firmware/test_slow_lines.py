"""The link over lines that are slow: progress keeps a connection, and what makes hardly any progress ends it."""

from firmware.errors import LinkDown
from helpers.portable.board_end import BoardSocket, Peer, Settings, Time
from helpers.portable.support import raises

_SIZE = 200000


class _Impatient(Settings):
    """Settings with which a message of ours is a large one although a test has little memory for it."""

    patience = 1


class _Bytes(BoardSocket):
    """A socket that receives bytes of which only the number counts, besides those that a test lets arrive."""

    def __init__(self):
        super().__init__()
        self.zeros = 0

    def readinto(self, buffer):
        if self._arrived or not self.zeros:
            return super().readinto(buffer)
        n = min(len(buffer), self.zeros)
        for i in range(n):
            buffer[i] = 0
        self.zeros -= n
        return n


def _peer(settings=Settings):
    """Return a link on such a socket, whose broker has accepted it."""
    peer = Peer(settings)
    peer.socket = _Bytes()
    peer.socket.setblocking(False)
    peer.link.open(peer.socket)
    peer.say(b"\x20\x02\x00\x00")
    peer.socket.sent = bytearray()
    return peer


def _head(topic, size, qos=0):
    """Return the head of a PUBLISH whose payload has `size` bytes. Its packet identifier is 9."""
    body = len(topic).to_bytes(2, "big") + topic + (b"\x00\x09" if qos else b"")
    size += len(body)
    head = bytearray((0x30 | qos << 1,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + body


class _Line:
    """A line to a broker that carries 2000 bytes in a second, in each direction.

    The broker answers pings once it has got them. `takes` is what the network takes from the board before it is carried
    on: it may be far more than the line carries in a second.
    """

    rate = 2000

    def __init__(self, time, takes=2000, settings=Settings):
        self.time = time
        self.peer = _peer(settings)
        self.takes = takes
        # What the broker has sent and the line has not carried yet: bytes, or a number of bytes.
        self.down: list = []
        # The number of bytes that the network has taken and the line has not carried yet.
        self.up = 0
        # What the broker answers, as [bytes that must arrive before, packet].
        self.answers: list[list] = []
        self.pings = 0

    def seconds(self, count, done):
        """Let seconds pass until `done()`. Return how many. Raises LinkDown as the link does."""
        for second in range(count):
            if done():
                return second
            self.time.pass_ms(1000)
            self._carry_down()
            self._carry_up()
        return count

    def _carry_down(self):
        left = self.rate
        while self.down and left:
            first = self.down.pop(0)
            if not isinstance(first, int):
                self.peer.socket.arrive(first)
                left -= min(left, len(first))
            else:
                self.peer.socket.zeros += min(first, left)
                if first > left:
                    self.down.insert(0, first - left)
                left -= min(first, left)
            for _ in range(9):
                self.peer.link.step()

    def _carry_up(self):
        socket = self.peer.socket
        socket.room = max(0, self.takes - self.up)
        for _ in range(9):
            self.peer.link.step()
        self.up += len(socket.sent)
        if socket.sent[-2:] == b"\xc0\x00":
            self.pings += 1
            self.answers.append([self.up, b"\xd0\x00"])
        socket.sent = bytearray()
        carried = min(self.rate, self.up)
        self.up -= carried
        for answer in self.answers:
            answer[0] -= carried
        while self.answers and self.answers[0][0] <= 0:
            self.down.append(self.answers.pop(0)[1])


def test_a_large_message_arrives_over_a_slow_line():
    with Time() as time:
        line = _Line(time)
        line.down += [_head(b"t", _SIZE, 1), _SIZE]
        assert 95 < line.seconds(200, lambda: line.peer.messages) < 105
        assert line.peer.messages == [(b"t", None, _SIZE, False)]
        assert line.pings >= 3
        # The connection is as quick to notice its end as before.
        line.rate = 0
        raises(LinkDown, line.seconds, 35, lambda: False)


def test_an_answer_may_stand_behind_many_messages():
    with Time() as time:
        line = _Line(time)
        for _ in range(5):
            line.down += [_head(b"t", 40000), 40000]
        line.peer.link.subscribe(["t"])
        line.down.append(b"\x90\x03" + bytes(line.peer.link._unsent[0])[2:4] + b"\x01")
        assert not line.peer.link.is_up
        assert 95 < line.seconds(200, lambda: line.peer.link.is_up) < 110
        assert len(line.peer.messages) == 5


def test_a_message_of_ours_leaves_over_a_slow_line():
    for qos in (0, 1):
        # The network takes as much as the line carries, or all at once.
        for takes in (2000, 1000000):
            with Time() as time:
                line = _Line(time, takes, _Impatient)
                line.peer.socket.room = takes
                packet_id = line.peer.link.publish(b"t", bytes(16000), False, qos)
                if qos:
                    line.answers.append([16000, b"\x40\x02" + packet_id.to_bytes(2, "big")])
                line.seconds(16, lambda line=line: not line.peer.link.is_publishing)
                assert not line.peer.link.is_publishing
                assert line.seconds(100, lambda: False) == 100


def _ends_within(peer, time, seconds, trickle):
    """Tell whether the link gives up within so many seconds, of which each begins with a call of `trickle(second)`."""
    for second in range(seconds):
        trickle(second)
        time.pass_ms(1000)
        try:
            for _ in range(3):
                peer.link.step()
        except LinkDown:
            return True
    return False


def test_a_packet_that_trickles_in_ends_the_connection():
    with Time() as time:
        for announced in (b"\x70", b"\xff\xff\xff\x7f"):
            for every in (1, 5, 60):
                peer = _peer()
                peer.socket.arrive(b"\x30" + announced + b"\x00")

                def trickle(second, peer=peer, every=every):
                    if second % every == 0:
                        peer.socket.arrive(b"\x00")

                assert _ends_within(peer, time, 90, trickle)


def test_a_network_that_hardly_takes_anything_ends_the_connection():
    with Time() as time:
        for every in (1, 5, 60):
            peer = Peer()
            peer.socket.room = 5
            peer.link.publish(b"topic", bytes(5000), False, 0)

            def trickle(second, peer=peer, every=every):
                peer.socket.arrive(b"\x30\x04\x00\x01tx")
                if second % every == 0:
                    peer.socket.room = 1

            assert _ends_within(peer, time, 130, trickle)


def test_a_broker_that_sends_and_sends_and_never_answers_is_given_up_in_the_end():
    with Time() as time:
        peer = _peer()
        peer.link.publish(b"t", b"x", False, 1)
        head = _head(b"t", 20000)

        def trickle(second):
            if second % 5 == 0:
                peer.socket.arrive(head)
                peer.socket.zeros = 20000
            peer.messages.clear()

        assert not _ends_within(peer, time, 600, trickle)
        assert _ends_within(peer, time, 3600, trickle)


def test_what_is_dropped_leaves_time_for_the_rest():
    peer = _peer()
    peer.socket.arrive(_head(b"t", 10000000))
    peer.socket.zeros = 1000000
    steps = 0
    while peer.socket.zeros:
        peer.link.step()
        steps += 1
    assert steps > 100
