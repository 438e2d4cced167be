"""What a broker sends: the bytes of MQTT packets, the reactions of the link, and the messages in the inbox."""

import e4
import firmware.inbox
from e4 import commands
from firmware.errors import LinkDown
from firmware.inbox import Inbox
from firmware.packets import PacketReader
from fuzz import mutation
from fuzz.mutation import chance, pick
from fuzz.parser import Parser, check
from fuzz.portable.library import CLIENT, COMMANDS, KEY, NOW, RECEIVING, TOPIC, TOPIC_KEY, payload
from helpers.portable.board_end import Peer, Settings, Time
from helpers.portable.support import Dice

_MAX_PAYLOAD = 256
_MAX_TOPIC = 512
_TOPICS = (b"a", TOPIC.encode(), RECEIVING.encode(), b"x" * 511, b"x" * 512, b"x" * 513, b"\xff\x00\x1b[2J", b"")
_PAYLOADS = (b"", b"payload", b"p" * 255, b"p" * 256, b"p" * 257, b"p" * 1000)
# CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, and the packets that only a client sends.
_FIRST = (0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0x10, 0x82, 0xA2, 0xC0, 0xE0, 0xF0, 0x00)


def _length(dice, n):
    """Return the remaining length (MQTT 3.1.1 section 2.2.3) of n bytes: mostly right, sometimes long or far away."""
    kind = dice.below(16)
    if kind == 0:
        return pick(dice, (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01", b"\x80\x00", b"\x7f"))
    if kind == 1:
        n = max(0, n + pick(dice, (-2, -1, 1, 2, 100, 70000)))
    data = b""
    while n > 0x7F:
        data += bytes((n & 0x7F | 0x80,))
        n >>= 7
    return data + bytes((n,)) if kind != 2 else data + bytes((n | 0x80, 0))


def _packet(dice):
    """Return a packet of any type. Most are well-formed."""
    identifier = pick(dice, (0, 1, 2, 3, 0x7FF, 0xFFFF, dice.below(65536))).to_bytes(2, "big")
    if dice.below(2):
        qos = pick(dice, (0, 1, 1, 2, 3) if chance(dice, 4) else (0, 1, 2))
        topic = pick(dice, _TOPICS)
        size = len(topic) if not chance(dice, 12) else pick(dice, mutation.SIZES)
        body = size.to_bytes(2, "big") + topic + (identifier if qos else b"") + pick(dice, _PAYLOADS)
        return bytes((0x30 | qos << 1 | pick(dice, (0, 1, 8, 9)),)) + _length(dice, len(body)) + body
    first = pick(dice, _FIRST[:8] if dice.below(6) else _FIRST)
    body = {0x20: bytes((dice.below(3), dice.below(7))), 0xD0: b""}.get(first, identifier)
    if first == 0x90:
        body += pick(dice, (b"\x00", b"\x01", b"\x80", b"", b"\x01\x01", b"\x02", b"\x55"))
    if chance(dice, 8):
        body = mutation.noise(dice, 300)
    return bytes((first,)) + _length(dice, len(body)) + body


def _stream(dice):
    """Return the bytes of some packets. In half of the cases a change follows that nobody has planned."""
    data = b"".join([_packet(dice) for _ in range(1 + dice.below(4))])
    while dice.below(2):
        data = mutation.change(dice, data)
    return data


def packets_in(data):
    """Return what a reader must find in a stream, by a decoder that sees the whole stream at once.

    That is a list of (kind, qos, may_repeat, topic, payload, size, body), and whether a malformed packet follows.
    """
    found = []
    at = 0
    while at < len(data):
        start, size, shift = at, 0, 0
        at += 1
        while True:
            if at == len(data):
                return found, False
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                break
            if shift == 28:
                return found, True
        body, first = data[at : at + size], data[start]
        at += size
        kind = first & 0xF0
        if kind != 0x30:
            if len(body) < size:
                return found, False
            found.append((kind, 0, False, b"", None, 0, body[:4]))
            continue
        qos = first >> 1 & 3
        if qos == 3 or size < 2:
            return found, True
        if len(body) < 2:
            return found, False
        topic_size = body[0] << 8 | body[1]
        head = 2 + topic_size + (2 if qos else 0)
        if head > size:
            return found, True
        if len(body) < size:
            return found, False
        fits = size - head <= _MAX_PAYLOAD and topic_size <= _MAX_TOPIC
        topic = body[2 : 2 + min(topic_size, _MAX_TOPIC)]
        found.append((kind, qos, first & 9 != 0, topic, body[head:] if fits else None, size - head, b""))
    return found, False


class _Pieces:
    """A stream that delivers its bytes in pieces of random sizes, with nothing to read between two of them."""

    def __init__(self, data, dice, nothing):
        self._data = memoryview(data)
        self._at = 0
        self._left = 0
        self._dice = dice
        self._most = pick(dice, (1, 8, 200))
        self._nothing = nothing
        self.ended = False

    def readinto(self, buffer):
        check(len(buffer) <= max(_MAX_PAYLOAD, _MAX_TOPIC + 2), "it reads more at once than it may")
        if not self._left:
            self._left = min(1 + self._dice.below(self._most), len(self._data) - self._at)
            self.ended = not self._left
            if self._nothing:
                raise OSError(self._nothing, "nothing yet")
            return None
        n = min(len(buffer), self._left)
        buffer[:n] = self._data[self._at : self._at + n]
        self._at += n
        self._left -= n
        return n


class Packets(Parser):
    """A stream of packets in fragments. What is read is compared with what a second decoder finds."""

    refusals = (LinkDown,)

    def make(self, dice):
        return _stream(dice), dice.below(1 << 20), pick(dice, (0, 0, 11, 110, -110))

    def parse(self, given):
        data, seed, nothing = given
        right, is_malformed = packets_in(data)
        stream = _Pieces(data, Dice(seed), nothing)
        reader = PacketReader(_MAX_PAYLOAD)
        reader.start(stream)
        number = 0
        try:
            while not stream.ended:
                if not reader.step():
                    continue
                check(number < len(right), "it finds a packet too many")
                check(self._packet(reader) == right[number], "it reads a packet in another way")
                number += 1
        except LinkDown:
            check(is_malformed, "it refuses a packet that is well-formed")
            check(number == len(right), "it refuses a packet too early")
            raise
        check(number == len(right) and not is_malformed, "it finds a packet too few")

    def _packet(self, reader):
        if reader.kind != 0x30:
            return reader.kind, 0, False, b"", None, 0, bytes(reader.body)
        message = None if reader.payload is None else bytes(reader.payload)
        return reader.kind, reader.qos, reader.may_repeat, reader.topic, message, reader.size, b""


def _check_sent(data):
    """Raise Broken unless these bytes are whole packets that a client may send (MQTT 3.1.1)."""
    at = 0
    while at < len(data):
        first, size, shift = data[at], 0, 0
        while True:
            at += 1
            check(at < len(data) and shift < 28, "it sends half of a packet")
            size |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1 + size
        check(at <= len(data), "it sends half of a packet")
        kind = first & 0xF0
        check(first in (0x10, 0x82, 0xC0) or kind in (0x30, 0x40, 0x50, 0x70), "it sends what a client may not send")
        check(kind not in (0x40, 0x50, 0x70) or size == 2, "it sends an answer of another size")


class Answers(Parser):
    """A session with a broker that answers with anything, at any time, while the board subscribes and publishes."""

    refusals = (LinkDown,)

    def make(self, dice):
        steps = []
        for _ in range(2 + dice.below(8)):
            kind = dice.below(8)
            if kind == 0:
                steps.append(("subscribe", ["a/+", "b" * pick(dice, (1, 120, 122, 123, 127, 128, 500))]))
            elif kind == 1:
                steps.append(("publish", dice.below(2)))
            elif kind == 2:
                steps.append(("wait", pick(dice, (1, 1000, 10000, 20000, 60000))))
            elif kind == 3:
                steps.append(("room", pick(dice, (0, 1, 3, 100, 100000))))
            else:
                steps.append(("hear", _stream(dice) if dice.below(3) else _packet(dice)))
        return dice.below(8), bool(dice.below(8)), steps

    def parse(self, given):
        begins, takes, steps = given
        with Time() as time:
            peer = Peer(Settings, bool(begins))
            peer.takes = takes
            try:
                self._run(peer, time, steps)
            except LinkDown:
                peer.link.close()
                check(peer.socket.closed, "the connection is left open")
                self._run_again(peer)
                raise

    def _run(self, peer, time, steps):
        for verb, argument in steps:
            if verb == "subscribe" and peer.link.is_up:
                peer.link.subscribe(argument)
            elif verb == "publish" and peer.link.is_up and not peer.link.is_publishing:
                peer.link.publish(b"a", b"payload", False, argument)
            elif verb == "wait":
                time.pass_ms(argument)
            elif verb == "room":
                peer.socket.room = argument
            elif verb == "hear":
                peer.socket.arrive(argument)
                for _ in range(len(argument) // 2 + 1):
                    peer.link.step()
            peer.link.step()
            check(len(peer.link._unsent) <= 40, "answers wait without an end")
            check(len(peer.link._deliveries) <= 32, "deliveries are remembered without an end")
            for _, message, _, _ in peer.messages:
                check(message is None or len(message) <= Settings.max_message, "a message is too large")
        peer.socket.room = 100000
        peer.link.step()
        peer.link.step()
        _check_sent(peer.socket.sent)

    def _run_again(self, peer):
        """Make a second connection with a good broker, which must work whatever the first one was like."""
        peer.takes = True
        peer.messages = []
        peer.connect()
        peer.link.subscribe(["c"])
        sent = peer.heard()
        check(sent[:2] == b"\x82\x06", "it does not subscribe after a bad connection")
        peer.say(b"\x90\x03" + sent[2:4] + b"\x01")
        check(peer.link.is_up, "it is not ready after a bad connection")
        peer.say(b"\x30\x04\x00\x01cx")
        check(len(peer.messages) == 1, "it takes no message after a bad connection")


class _Clock:
    """The clock of a node, which is right."""

    def __call__(self):
        return NOW

    def confirm(self, timestamp):
        pass

    raise_floor = confirm


class Arrivals(Parser):
    """Messages and commands on any topic, as the link hands them to the inbox. Nothing may be raised."""

    def __init__(self):
        store = e4.MemoryStore()
        client = e4.Client(CLIENT, KEY, store, lambda: NOW)
        client.unprotect(e4.protect(commands.set_topic_key(TOPIC_KEY, TOPIC), KEY, NOW - 200), RECEIVING)
        self._records = {name: store.get(name) for name in store.names()}

    def make(self, dice):
        arrivals = []
        for _ in range(1 + dice.below(6)):
            if dice.below(2):
                data = payload(dice, mutation.mutate(dice, COMMANDS, 80), KEY)
            else:
                data = payload(dice, mutation.noise(dice, 300), TOPIC_KEY)
            topic = pick(dice, (TOPIC.encode(), RECEIVING.encode(), pick(dice, _TOPICS), mutation.noise(dice, 30)))
            size = len(data)
            if chance(dice, 10):
                data, size = None, pick(dice, mutation.NUMBERS) & 0xFFFFFFF
            arrivals.append((topic, data, size, dice.below(3), bool(dice.below(2)), dice.below(3)))
        return arrivals

    def parse(self, given):
        # The inbox reports to the console of the board, which nobody reads here.
        firmware.inbox.print = lambda *_: None
        try:
            self._receive(given)
        finally:
            del firmware.inbox.print

    def _receive(self, given):
        store = e4.MemoryStore()
        store.commit(self._records)
        client = e4.Client(CLIENT, None, store, lambda: NOW)
        inbox = Inbox(client, _Clock(), 2 * _MAX_PAYLOAD)
        heard = []
        inbox.handlers.append((None, lambda *call: heard.append(call)))
        inbox.handlers.append(("sensors/#", lambda *call: heard.append(call)))
        inbox.on_raw = inbox.on_refused = inbox.on_command = lambda *call: heard.append(call)
        for topic, data, size, qos, may_repeat, calls in given:
            view = None if data is None else memoryview(data)
            check(
                inbox.receive(topic, view, size, qos, may_repeat) in (True, False), "it does not say whether it is safe"
            )
            inbox.wants_more()
            for _ in range(calls):
                self._call_next(inbox)
        while self._call_next(inbox):
            pass
        # After all calls the inbox must have its whole room again.
        good = e4.protect(b"y" * 200, TOPIC_KEY, NOW)
        check(
            inbox.receive(TOPIC.encode(), memoryview(good), len(good), 1, False), "it has no room although it is empty"
        )
        for call in heard:
            check(not call or "\x1b" not in call[0], "the name of a topic could steer a terminal")

    def _call_next(self, inbox):
        call = inbox.next_call()
        if call is not None:
            call[0](*call[1])
        return call is not None
