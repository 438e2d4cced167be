"""A life of a node in phases, which something may disturb at any point, and what must hold after it.

with make_world() as world:
    life = Life(world)
    for phase in life.phases: ...      # where the disturbance takes place
    life.settle()                      # nothing is disturbed any more
    life.faults()                      # what went wrong, as text; empty if all is well
"""

import e4
from helpers.portable.node_end import KEY, NOW, TOPIC_KEY, Broker, World

_RECEIVING = e4.receiving_topic(e4.id_of("alice")).encode()
# The time that one turn of the node takes (ms). A life waits for minutes of it.
_TURN_MS = 250


def _packet(first, body):
    size = len(body)
    return bytes((first, size) if size < 0x80 else (first, size & 0x7F | 0x80, size >> 7)) + body


class Session:
    """The session of the board at a broker: it outlives connections, and what is not acknowledged is delivered again.

    `attach` makes the broker's side of a connection.
    """

    def __init__(self):
        # What is not acknowledged. By packet identifier: the first byte of the packet, the rest of it without its
        # length, and whether the board has it (QoS 2).
        self.sent = {}
        # The messages of the board.
        self.received = []
        # While this is True, messages of the board are lost on their way.
        self.is_deaf = False
        # True once there was a connection.
        self.is_kept = False
        # The packet identifier given last.
        self.last_id = 0

    def attach(self, socket):
        """Return the broker's side of a new connection."""
        return _Connection(self, socket)


class _Connection(Broker):
    def __init__(self, session, socket):
        super().__init__(socket)
        self.session = session

    def deliver(self, topic, payload, qos):
        """Send a message to the board, now and after each connection until the board has acknowledged it."""
        self.session.last_id += 1
        packet_id = self.session.last_id.to_bytes(2, "big")
        first = 0x30 | qos << 1
        body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
        self.session.sent[packet_id] = [first, body, False]
        self.socket.say(_packet(first, body))

    def answer(self, first, body):
        kind = first & 0xF0
        sent = self.session.sent
        if kind == 0x10:
            self.socket.say(bytes((0x20, 2, self.session.is_kept, 0)))
            self.session.is_kept = True
            for packet_id in sorted(sent):
                first, packet, is_taken = sent[packet_id]
                self.socket.say(b"\x62\x02" + packet_id if is_taken else _packet(first | 8, packet))
        elif kind in (0x40, 0x70):
            sent.pop(body, None)
        elif kind == 0x50:
            if body in sent:
                sent[body][2] = True
            self.socket.say(b"\x62\x02" + body)
        elif kind != 0x30:
            super().answer(first, body)
        elif not self.session.is_deaf:
            at = 2 + (body[0] << 8 | body[1])
            qos = first >> 1 & 3
            payload = body[at + (2 if qos else 0) :]
            self.session.received.append(e4.unprotect(payload, TOPIC_KEY, int.from_bytes(payload[:8], "little")))
            if qos:
                self.socket.say(b"\x40\x02" + body[at : at + 2])


def make_world():
    """Return the world of a life. Its broker keeps the session of the board in `session`."""
    session = Session()
    world = World(session.attach)
    world.session = session
    return world


class Life:
    """The life of a node: it connects, receives, sends, obeys, loses a connection, and is stopped and started.

    `cycle` is called to let the node take a turn, so that a test can surround it with what it likes.
    """

    def __init__(self, world, cycle=None):
        self.world = world
        self.session = world.session
        self.cycle = cycle or (lambda: world.node._cycle(0))
        # What the application posted, as [message, what `post` returned, or None if it raised].
        self.posted = []
        # What was delivered to the board, and what its handlers got.
        self.delivered = []
        self.heard = []
        self.answers = 0
        # How often the node has told the application that something failed.
        self.told = 0
        self.steered = 0
        # The number of the phase, for tests that do something in one of them.
        self.phase: int | None = None
        node = world.node
        node._inbox.handlers.clear()
        node.on("in")(self._hear)
        node.on_refused(self._refuse)
        node.on_command(self._steer)
        self.phases = (self._begin, self._send, self._receive, self._obey, self._lose, self._ask, self._restart)

    # Handlers

    def _hear(self, topic, message):
        self.heard.append(message)
        if message == b"ask":
            self.world.node.publish("out", "answer")
            self.answers += 1

    def _refuse(self, topic, error):
        self.told += 1

    def _steer(self):
        self.steered += 1

    # Phases

    def turns(self, count, done=lambda: False):
        """Let the node take so many turns, or as many as it needs until `done()`."""
        for _ in range(count):
            if done():
                return
            self.cycle()
            self.world.pass_ms(_TURN_MS)

    def _need_broker(self):
        """Let the node connect if the phases before have ended without any connection."""
        if not self.world.brokers:
            self.turns(240, self.world.connected)

    def deliver(self, message, topic=b"in", qos=1):
        """Have the broker deliver a message."""
        self._need_broker()
        self.delivered.append(message)
        self.world.brokers[-1].deliver(topic, e4.protect(message, TOPIC_KEY, NOW), qos)

    def post(self, message, qos=1):
        """Have the application post a message."""
        self.posted.append([message, None])
        self.posted[-1][1] = self.world.node.post("out", message, qos=qos)

    def _begin(self):
        self.world.node.start()
        self.turns(12, self.world.connected)

    def _send(self):
        self.post(b"one")
        self.post(b"two", 0)
        self.post(b"three")
        self.turns(4)

    def _receive(self):
        self.deliver(b"first")
        self.deliver(b"l" * 3000)
        self.turns(3)

    def _obey(self):
        self._need_broker()
        command = e4.protect(e4.commands.set_topic_key(TOPIC_KEY, "new"), KEY, NOW + 1)
        self.world.brokers[-1].deliver(_RECEIVING, command, 2)
        self.turns(4)

    def _lose(self):
        self.session.is_deaf = True
        self.post(b"not confirmed")
        self.turns(2)
        self.session.is_deaf = False
        self.world.brokers[-1].socket.ended = True
        self.turns(2)
        self.post(b"while away")
        self.turns(12, self.world.connected)
        self.turns(3)

    def _ask(self):
        self.deliver(b"ask")
        self.turns(3)

    def _restart(self):
        self.post(b"before the end")
        self.world.node.stop()
        self.world.node.start()
        self.turns(12, self.world.connected)
        self.turns(3)

    # Afterwards

    def settle(self):
        """Let the node go on undisturbed, for ten minutes of its time at most, and then send and receive once more."""
        self.session.is_deaf = False
        if self.world.node._link is None:
            self.world.node.start()
        self.turns(2400, self._is_settled)
        if self.world.connected():
            self.deliver(b"last" * 750)
            self.post(b"last")
            self.turns(2400, self._is_settled)

    def _is_settled(self):
        return (
            self.world.connected()
            and not self.session.sent
            and not self.world.node._inbox._calls
            and all(outgoing is None or outgoing.done or outgoing.error for _, outgoing in self.posted)
        )

    def faults(self):
        """Return what went wrong in spite of all: what was lost in silence, and what is counted though it is gone."""
        if not self.world.connected():
            return ["it does not connect any more"]
        found = self._lost() + self._left_over()
        for message, outgoing in self.posted:
            if outgoing is None:
                continue
            if outgoing.done and outgoing.qos and message not in self.session.received:
                found.append("counted as delivered, but the broker never had it: {}".format(message[:20]))
            if not outgoing.done and outgoing.error is None:
                found.append("neither delivered nor given up: {}".format(message[:20]))
            if outgoing.is_watched:
                found.append("still watched: {}".format(message[:20]))
        return found

    def _lost(self):
        """Return what arrived and was lost or handled twice."""
        found = []
        if self.session.sent:
            found.append("not acknowledged: {}".format(sorted(self.session.sent)))
        lost = [message[:20] for message in self.delivered if message not in self.heard]
        if len(lost) > self.told:
            found.append("lost in silence: {}, told {} times".format(lost, self.told))
        if self.delivered[-1] not in self.heard:
            found.append("large messages do not arrive any more")
        if len(self.heard) != len(set(self.heard)):
            found.append("handled twice: {}".format([message[:20] for message in self.heard]))
        if not self.world.node.client.holds_key("new"):
            found.append("the command was not obeyed")
        elif not self.steered:
            found.append("nobody was told of the command")
        return found

    def _left_over(self):
        """Return what is still counted or open though it is gone."""
        node, found = self.world.node, []
        open_sockets = sum(not socket.closed for socket in self.world.sockets)
        if open_sockets != 1:
            found.append("{} sockets are open".format(open_sockets))
        for name, things in (
            ("calls that wait", node._inbox._calls),
            ("messages that wait", node._queue),
            ("packets not sent", node._link._unsent),
        ):
            if len(things):
                found.append("{}: {}".format(name, len(things)))
        if not node._inbox._has_room(node._inbox.max_bytes, False):
            found.append("the inbox has no room")
        return found
