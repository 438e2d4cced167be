"""What a client must know, in plain Python: the judge of the power cuts and of the property tests.

It shares no code with the library but the hash of topics and the protection of payloads (which have their own
vectors), and it runs on CPython and on MicroPython.
"""

import e4

TRANSITION = 3600  # seconds for which a replaced topic key still unprotects
TOLERANCE = 60  # seconds that a command may be ahead of the clock

APPLIED = "applied"
IGNORED = "ignored"  # quietly: the redelivery of one that was applied

REMOVE, RESET, SET_ID, SET_TOPIC = range(4)


class Command:
    """A command as C2 sends it: `payload`, stamped `stamp`, under ID key `under`. `key` and `topic` as it needs."""

    def __init__(self, opcode, under, stamp, topic=None, key=b""):
        self.opcode = opcode
        self.under = under
        self.stamp = stamp
        self.topic = topic
        self.key = key
        hashed = b"" if topic is None else e4.topic_hash(topic)
        self.payload = e4.protect(bytes((opcode,)) + key + hashed, under, stamp)

    def __repr__(self):
        name = ("RemoveTopic", "ResetTopics", "SetIDKey", "SetTopicKey")[self.opcode]
        return "{} {} at {}".format(name, self.topic or "", self.stamp)


class Model:
    """The state of one client: `topics` (name: current key, previous key or None, time of the change), ID keys,
    `floor` (time of the last command applied) and `last` (the commands applied in that second)."""

    def __init__(self, id_key):
        self.id_key = id_key
        self.previous_id_key = None
        self.topics = {}
        self.floor = 0
        self.last = ()

    def copy(self):
        twin = Model(self.id_key)
        twin.previous_id_key = self.previous_id_key
        twin.topics = dict(self.topics)
        twin.floor = self.floor
        twin.last = self.last
        return twin

    def deliver(self, command, clock, max_age=600):
        """Receive a command; return the outcomes that are right: APPLIED, IGNORED, or names of errors."""
        now = max(clock, self.floor)
        if command.payload in self.last:
            return (IGNORED,)
        wrong = self.refusals(command, clock, max_age)
        if not wrong:
            self._apply(command, now)
            wrong.append(APPLIED)
        return tuple(wrong)

    def refusals(self, command, clock, max_age=600):
        """Return the names of all errors for which a command may be refused whatever it says."""
        now = max(clock, self.floor)
        wrong = []
        if command.stamp < self.floor:
            wrong.append("Replayed")
        if command.stamp > now + TOLERANCE:
            wrong.append("TimestampInFuture")
        if max_age is not None and now - command.stamp > max_age:
            wrong.append("TimestampTooOld")
        if command.under not in (self.id_key, self.previous_id_key):
            wrong.append("NotAuthentic")
        return wrong

    def _apply(self, command, now):
        if command.stamp > self.floor:
            self.floor = command.stamp
            self.last = ()
        self.last += (command.payload,)
        if command.under == self.id_key:
            self.previous_id_key = None  # C2 has shown that it uses the new one
        if command.opcode == REMOVE:
            self.topics.pop(command.topic, None)
        elif command.opcode == RESET:
            self.topics.clear()
        elif command.opcode == SET_ID:
            self.previous_id_key = command.under
            self.id_key = command.key
        else:
            self._set_topic(command.topic, command.key, now)

    def _set_topic(self, topic, key, now):
        current = self.topics.get(topic)
        if current is None:
            self.topics[topic] = (key, None, 0)
        elif current[0] != key:
            self.topics[topic] = (key, current[0], now)

    def opens(self, topic, clock):
        """Return the keys under which a message on `topic` is accepted now; the first one protects.

        Where the clock was set back so far that a change lies in the future, the previous key does not count.
        """
        if topic not in self.topics:
            return ()
        key, previous, since = self.topics[topic]
        if previous is None or not -TOLERANCE <= max(clock, self.floor) - since <= TRANSITION:
            return (key,)
        return key, previous
