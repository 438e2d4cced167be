"""The MQTT session with the broker.

The packets that we send are written by `umqtt.simple`, which is frozen into the stock firmware: its code takes no heap.
Every wait is ours. Where `umqtt` reads, it would wait for ever, allocate as much as a packet announces, or lose its
place in the stream. It is therefore given `_Wire` instead of a socket, which keeps what `umqtt` writes and raises where
it begins to read. What differs between its versions 1.3.4 to 1.8.0 (parameters for TLS and timeouts) is not used.
"""

from umqtt import simple

from e4._const import const

from .errors import LinkDown, close_quietly, try_once
from .packets import PacketReader
from .ticks import Deadline

# The kinds of packets are the high four bits of their first byte (MQTT 3.1.1 section 2.2.1).
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PUBREC = const(0x50)
_PUBREL = const(0x60)
_PUBCOMP = const(0x70)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)

# The broker may send other packets before an answer. So an answer may take this many times `broker.patience`, and one
# millisecond more for each byte that is sent or received meanwhile, because lines may be as slow as 1 KB/s.
_LONGEST_WAIT = const(6)
# However much arrives before it, an answer may take no longer than this.
_LONGEST_WAIT_MS = const(3600000)
# While this many packets wait to be sent, nothing more is read, because it would have to be answered.
_MAX_UNSENT = const(32)
# The number of QoS 2 deliveries that may be begun at the same time.
_MAX_RECEIVED = const(32)
_REFUSED = const(0x80)  # the return code of a SUBACK that refuses (section 3.9.3)
_DUP = const(0x08)
# The packet of ours that each kind of answer answers; any other kind answers a PINGREQ.
_NAMES = {_CONNACK: "CONNECT", _PUBACK: "PUBLISH", _SUBACK: "SUBSCRIBE"}
_CONNECT_ERRORS = const(
    (
        "",
        "not MQTT 3.1.1",
        "not our client identifier",
        "not now",
        "wrong user name or password",
        "not authorised",
    )
)  # what the return codes of a CONNACK mean (section 3.2.2.3)


class Link:
    """One MQTT session, which the broker keeps while the board is away.

    No method waits. `open` it on a non-blocking stream, and call `step` again and again. If a method raises LinkDown or
    OSError, the connection is of no more use: `close` it.

    `on_message(topic, payload, size, qos, may_repeat)` is called for each message that arrives. The payload is a view
    that is good during the call, or None if the message is too large. It returns True when the message is where it is
    safe. Otherwise the message is not acknowledged, and with QoS 1 and 2 the broker delivers it again after the next
    connection. The function must not call the link. What it raises, `step` raises: `close` the link then, too.

    `on_subscription(topic_filter, allowed)` is called for each answer to a subscription.
    """

    def __init__(self, client_id: str, config, on_message, on_subscription) -> None:
        self._wire = _Wire()
        client = simple.MQTTClient(
            client_id, config.host, config.port, _encode(config.user), _encode(config.password), config.keepalive
        )
        if config.status_topic:
            client.set_last_will(config.status_topic.encode(), b"offline", True, 1)
        # With QoS 1, `publish` of umqtt calls `wait_msg` for the answer, and would wait for ever. Here it raises
        # `_Stop`.
        client.wait_msg = self._wire.read  # type: ignore[method-assign]
        # The client of umqtt, which writes CONNECT and PUBLISH; it never has a socket.
        self._client = client
        self.on_message = on_message
        self.on_subscription = on_subscription
        # The time that the broker has for an answer.
        self._patience_ms = config.patience * 1000
        # The silence after which the broker is asked for an answer.
        self._idle_ms = config.keepalive * 1000 // 3
        self._reader = PacketReader(config.max_message)
        # The packet identifier given last; `_next_id` sets it.
        self._packet_id = 0
        # The packet identifiers of QoS 2 deliveries that the broker has not released. They outlive the connection.
        self._deliveries: list[int] = []
        # The time for which the broker may be silent, counted from when it was last heard.
        self._silence = Deadline(0)
        # The time since a packet was last queued.
        self._idle = Deadline(0)
        # The time for which packets may wait in `_unsent`, counted from when it was last empty. Each byte that the
        # network takes makes it longer.
        self._unsent_age = Deadline(0)
        # The stream to the broker, or None; `open` and `close` set it.
        self.stream = None
        self._reset()

    def _reset(self) -> None:
        """Set what holds for one connection only."""
        # True once the broker has accepted us; `_take_connack` sets it.
        self.is_connected = False
        # True if the last `step` took a packet, so that there may be more; `step` sets it.
        self.has_more = False
        # The packets, or rests of packets, that the network has not taken yet.
        self._unsent: list[bytes | bytearray | memoryview] = []
        # For each kind of answer that the broker owes: the packet identifier, and the time that the broker has for it.
        self._pending: dict[int, tuple[int, Deadline]] = {}
        # The topic filters that the broker has not answered, in the order in which we subscribe to them.
        self._filters: list[str] = []
        # True if the broker has kept our session; `_take_connack` sets it.
        self.has_session = False
        # True once the broker has refused one of our subscriptions; `_take_answer` sets it.
        self.is_refused = False

    @property
    def is_up(self) -> bool:
        """Tell whether messages can be sent: the broker has accepted us and answered all subscriptions."""
        return self.is_connected and not self._filters

    @property
    def is_publishing(self) -> bool:
        """Tell whether the last message is still on its way: to the network or, with QoS 1, to the broker."""
        return _PUBACK in self._pending or bool(self._unsent)

    def open(self, stream) -> None:
        """Begin a session on a stream that is connected. If that fails, `close` closes the stream all the same."""
        self.stream = stream
        self._reset()
        self._silence.restart(0)
        self._reader.start(stream)
        self._await(_CONNACK, 0)
        self._send(self._record(self._client.connect, False))

    def close(self) -> None:
        """Close the stream. The session can be opened again on another one.

        Nothing is raised, whatever the stream does: this is called where something has failed already, and what comes
        after it must not be left out.
        """
        stream, self.stream = self.stream, None
        self.is_connected = self.has_more = False
        self._unsent.clear()  # A large message would take heap for as long as there is no connection.
        if stream is not None:
            close_quietly(stream)

    def step(self) -> None:
        """Send what is possible now, take one packet at most, and check that the broker is alive.

        Raises LinkDown, OSError, and what `on_message` and `on_subscription` raise.
        """
        if self.stream is None:  # The node closes the link when sending, or anything else in its loop, has failed.
            raise LinkDown("closed after a failure")
        self._flush()
        self.has_more = len(self._unsent) < _MAX_UNSENT and self._reader.step()
        if self.has_more:
            self._take()
            self._flush()
        received = self._reader.received
        if received:
            self._reader.received = 0
            self._be_patient(0)
            for _, deadline in self._pending.values():
                deadline.extend(received)
        self._check_answers()
        self._keep_alive()

    def subscribe(self, topic_filters: list[str]) -> None:
        """Subscribe, QoS 1, to one topic filter after the other."""
        self._filters = list(topic_filters)
        self._subscribe_next()

    def publish(self, topic: bytes, payload: bytes, retain: bool, qos: int, packet_id: int = 0) -> int:
        """Send a message with QoS 0 or 1, and return its packet identifier. Raises LinkDown, OSError.

        `is_publishing` tells whether the message is still on its way. A message that an earlier connection did not
        confirm is sent again under the same `packet_id` (section 4.4).
        """
        is_repeat = packet_id != 0
        packet_id = packet_id or self._next_id()
        self._client.pid = packet_id - 1  # umqtt adds one to `pid` before it uses it.
        packet = self._record(self._client.publish, topic, payload, retain, qos)
        if is_repeat:
            packet[0] |= _DUP
        # The broker can answer only once the message has arrived. The network may take it long before that.
        self._be_patient(len(packet))
        if qos:
            self._await(_PUBACK, packet_id)
        self._send(packet)
        self._flush()
        return packet_id

    # Sending

    def _record(self, method, *arguments) -> bytearray:
        """Return the packet that a method of umqtt writes before it begins to read.

        The name `socket` in the module of umqtt is replaced meanwhile, because `connect` makes a socket of its own.
        """
        wire = self._wire
        wire.written = bytearray()
        self._client.sock = wire
        original, simple.socket = simple.socket, wire  # type: ignore[attr-defined]
        try:
            method(*arguments)
        except _Stop:
            pass
        finally:
            simple.socket = original  # type: ignore[attr-defined]
        if not wire.written:
            raise LinkDown("this version of umqtt.simple is not known here")
        written, wire.written = wire.written, bytearray()
        return written

    def _send(self, packet: bytes | bytearray) -> None:
        """Queue a packet; `_flush` sends it."""
        if not self._unsent:
            self._unsent_age.restart(_LONGEST_WAIT * self._patience_ms)
        self._unsent.append(packet)
        self._idle.restart(self._idle_ms)

    def _flush(self) -> None:
        """Send as much as the network takes. Raises LinkDown if it takes nothing, and packets wait for too long."""
        while self._unsent:
            packet = self._unsent[0]
            n = try_once(self.stream.write, packet) or 0  # type: ignore[attr-defined]
            if n == len(packet):
                self._unsent.pop(0)
            elif n:
                self._unsent[0] = memoryview(packet)[n:]
            elif self._unsent_age.is_over():
                raise LinkDown("the network takes nothing from us")
            else:
                return
            self._unsent_age.extend(n)

    def _next_id(self) -> int:
        """Return the next packet identifier: 1 to 65535 (section 2.3.1)."""
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id

    def _subscribe_next(self) -> None:
        """Send a SUBSCRIBE to the next topic filter, QoS 1 (section 3.8).

        `subscribe` of umqtt fails for a topic filter of more than 122 bytes.
        """
        if self._filters:
            self._await(_SUBACK, self._next_id())
            topic_filter = self._filters[0].encode()
            body = self._packet_id.to_bytes(2, "big") + len(topic_filter).to_bytes(2, "big") + topic_filter + b"\x01"
            size = len(body)
            self._send(b"\x82" + bytes((size,) if size < 0x80 else (size & 0x7F | 0x80, size >> 7)) + body)

    # Answers

    def _await(self, kind: int, packet_id: int) -> None:
        """Note that the broker owes an answer of this kind."""
        self._be_patient(0)
        self._pending[kind] = (packet_id, Deadline((_LONGEST_WAIT - 1) * self._patience_ms + self._silence.left()))

    def _be_patient(self, milliseconds: int) -> None:
        """Let the broker be silent, from now on, for so many milliseconds more than `broker.patience`."""
        self._silence.restart(max(self._silence.left(), self._patience_ms + milliseconds))

    def _check_answers(self) -> None:
        """Raise LinkDown if the broker owes an answer and is silent, or has owed it for too long."""
        quiet = self._silence.is_over()
        for kind, (_, deadline) in self._pending.items():
            if quiet or deadline.is_over() or deadline.elapsed() >= _LONGEST_WAIT_MS:
                raise LinkDown("the broker does not answer our {}".format(_NAMES.get(kind, "PINGREQ")))

    def _keep_alive(self) -> None:
        """Send a PINGREQ if one side has been silent for a while: connections can die without a sign (section 3.12).

        If our side is silent, it is sent even while the answer to one is owed. That answer may stand behind a large
        message, and a broker that hears nothing for one and a half times `keepalive` ends the connection.
        """
        is_owed = _PINGRESP in self._pending
        if self.is_connected and (self._idle.is_over() or (not is_owed and self._silence.elapsed() >= self._idle_ms)):
            if not is_owed:
                self._await(_PINGRESP, 0)
            self._send(b"\xc0\x00")

    def _settle(self, kind: int, packet_id: int) -> bool:
        """Note that an answer has arrived; return False if none with this packet identifier was owed."""
        if self._pending.get(kind, (None,))[0] != packet_id:
            return False
        del self._pending[kind]
        return True

    # Receiving

    def _take(self) -> None:
        """Act on the packet that has arrived. An answer that is not owed is ignored."""
        reader = self._reader
        if reader.kind == _CONNACK and _CONNACK in self._pending and len(reader.body) == 2:
            self._take_connack(reader.body[0], reader.body[1])
        elif not self.is_connected:
            raise LinkDown("the broker speaks before it has accepted us")
        elif reader.kind == _PUBLISH:
            self._take_publish()
        elif reader.kind == _PINGRESP:
            self._settle(_PINGRESP, 0)
        elif len(reader.body) >= 2:
            self._take_answer(reader.kind, reader.body[0] << 8 | reader.body[1])

    def _take_connack(self, session: int, code: int) -> None:
        """Take the answer to our CONNECT (section 3.2). Raises LinkDown if the broker refuses us."""
        if code:
            reason = _CONNECT_ERRORS[code] if code < len(_CONNECT_ERRORS) else "code {}".format(code)
            raise LinkDown("the broker refuses us: {}".format(reason))
        self._settle(_CONNACK, 0)
        self.is_connected = True
        self.has_session = session & 1 == 1
        if not self.has_session:  # It may use the packet identifiers of earlier deliveries again.
            self._deliveries = []

    def _take_answer(self, kind: int, packet_id: int) -> None:
        """Take a PUBACK, a SUBACK or a PUBREL (sections 3.4, 3.9, 3.6)."""
        if kind == _PUBACK:
            self._settle(kind, packet_id)
        elif kind == _SUBACK and len(self._reader.body) > 2 and self._settle(kind, packet_id):
            allowed = self._reader.body[2] != _REFUSED
            self.is_refused = self.is_refused or not allowed
            self.on_subscription(self._filters.pop(0), allowed)
            self._subscribe_next()
        elif kind == _PUBREL:
            if packet_id in self._deliveries:
                self._deliveries.remove(packet_id)
            self._acknowledge(_PUBCOMP, packet_id)

    def _take_publish(self) -> None:
        """Hand the message to `on_message`, and acknowledge it if it is safe (sections 4.3, 4.4)."""
        reader = self._reader
        if reader.qos == 2 and reader.packet_id in self._deliveries:
            taken = True
        else:
            taken = self.on_message(reader.topic, reader.payload, reader.size, reader.qos, reader.may_repeat)
        if not taken or not reader.qos:
            return
        if reader.qos == 1:
            self._acknowledge(_PUBACK, reader.packet_id)
            return
        if reader.packet_id not in self._deliveries:
            self._deliveries = self._deliveries[1 - _MAX_RECEIVED :] + [reader.packet_id]
        self._acknowledge(_PUBREC, reader.packet_id)

    def _acknowledge(self, kind: int, packet_id: int) -> None:
        """Send a PUBACK, PUBREC or PUBCOMP (sections 3.4, 3.5, 3.7)."""
        self._send(bytes((kind, 2, packet_id >> 8, packet_id & 0xFF)))


class _Stop(Exception):
    """Raised where umqtt begins to read: it has written its packet, and would wait for the answer for ever."""


class _Wire:
    """Stands for the module `socket` and for its socket: it keeps what umqtt writes, and stops umqtt when it reads."""

    def __init__(self) -> None:
        # What umqtt has written since `Link._record` last emptied it.
        self.written = bytearray()

    def socket(self, *_):
        return self

    def getaddrinfo(self, *_):
        return [(None,)]

    def write(self, data, size: int | None = None) -> None:
        if isinstance(data, str):
            data = data.encode()
        self.written.extend(data if size is None else data[:size])

    def read(self, *_):
        raise _Stop

    def connect(self, *_) -> None:
        """Do nothing: the stream is connected already, it never blocks, and the link closes it."""

    settimeout = setblocking = close = connect


def _encode(text: str | None) -> bytes | None:
    """Return text as bytes. Of a str, umqtt would send the length in characters and not in bytes."""
    return text.encode() if text is not None else None
