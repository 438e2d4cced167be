"""A model of what a client must know. The power cuts and the property tests compare the library with it.

Of the library it uses only the hash of topics and the protection of payloads, which are tested with vectors of their
own. It runs on CPython and on MicroPython.
"""

import e4

# For so many seconds after the stamp of the command that replaced it, messages under a topic key are still accepted.
TRANSITION = 3600
# A command may be stamped so many seconds later than the clock of the board.
TOLERANCE = 60

# What a client makes of a command that it does not refuse. It ignores the redelivery of one that it has applied.
APPLIED = "applied"
IGNORED = "ignored"

REMOVE, RESET, SET_ID, SET_TOPIC = range(4)


class Command:
    """A command as C2 sends it.

    `payload` is what goes over the network, `stamp` is its time stamp, and `under` is the ID key that protects it.
    `topic` and `key` are those that the opcode needs.
    """

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
    """The state of one client.

    `id_key` is the ID key, and `previous_id_key` the one before it as long as that is accepted, or None. `topics` has
    for each topic the current key, the previous key or None, and the stamp of the command that replaced it. `floor` is
    the stamp of the latest command applied, and `last` has the payloads of all commands applied with that stamp.
    """

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
        """Receive a command. Return all outcomes that are right: APPLIED, IGNORED, or names of errors."""
        if command.payload in self.last:
            return (IGNORED,)
        wrong = self.refusals(command, clock, max_age)
        if not wrong:
            self._apply(command)
            wrong.append(APPLIED)
        return tuple(wrong)

    def refusals(self, command, clock, max_age=600):
        """Return the names of all errors with which a command may be refused, whatever its content is."""
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

    def _apply(self, command):
        if command.stamp > self.floor:
            self.floor = command.stamp
            self.last = ()
        self.last += (command.payload,)
        if command.under == self.id_key:
            # With this command C2 has shown that it knows the new ID key. It no longer needs the previous one.
            self.previous_id_key = None
        if command.opcode == REMOVE:
            self.topics.pop(command.topic, None)
        elif command.opcode == RESET:
            self.topics.clear()
        elif command.opcode == SET_ID:
            self.previous_id_key = command.under
            self.id_key = command.key
        else:
            self._set_topic(command.topic, command.key, command.stamp)

    def _set_topic(self, topic, key, stamp):
        current = self.topics.get(topic)
        if current is None:
            self.topics[topic] = (key, None, 0)
        elif current[0] != key:
            self.topics[topic] = (key, current[0], stamp)

    def opens(self, topic, clock):
        """Return the keys under which a message on `topic` is accepted now. The client protects with the first one.

        If the clock was set back so far that the change of the key lies in the future, the previous key is not
        accepted.
        """
        if topic not in self.topics:
            return ()
        key, previous, since = self.topics[topic]
        if previous is None or not -TOLERANCE <= max(clock, self.floor) - since <= TRANSITION:
            return (key,)
        return key, previous
