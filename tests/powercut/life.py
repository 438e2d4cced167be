"""The scripted life of a board: what C2 sends it, and when."""

from helpers.portable.support import Dice
from powercut.model import REMOVE, RESET, SET_ID, SET_TOPIC, Command

START = 1774894944
FIRST_KEY = bytes(range(1, 33))
TOPICS = ("sensors/lab", "sensors/roof", "alarms", "plant/7/valve", "log")

# The kinds of events in the life of a board.
GIVE_KEY = "C2 gives the key of a topic"
ROTATE = "C2 gives a new key of a topic that the board holds"
SEND_KEY_AGAIN = "C2 sends the present key of a topic again, newly stamped"
REMOVE_TOPIC = "C2 removes a topic"
RESET_TOPICS = "C2 removes all topics"
NEW_ID_KEY = "C2 gives a new ID key"
UNDER_PREVIOUS_ID_KEY = "C2 gives the key of a topic under the previous ID key, as if it had lost the new one"
COPY_OF_EARLIER = "an earlier command arrives once more, byte for byte"
COPY_OF_LAST = "the last command arrives once more, byte for byte"
RESTART = "the board restarts"


def at_once(*events):
    """Return events that happen in the same second as the event before them."""
    return tuple((event, True) for event in events)


def _in_turn(*events):
    """Return the events as pairs with whether each happens in the same second as the one before."""
    pairs = ()
    for event in events:
        if isinstance(event, tuple):
            pairs += event
        else:
            pairs += ((event, event == RESTART),)  # A restart takes no time: the next event decides when it happens.
    return pairs


# The life in chapters. Each says what it is for.
FIRST_KEYS = _in_turn(  # A new board gets its keys, most of them in one second.
    GIVE_KEY, GIVE_KEY, at_once(GIVE_KEY, GIVE_KEY, GIVE_KEY),
)  # fmt: skip
ROTATIONS_AND_COPIES = _in_turn(  # Keys change, also twice in a second, and the broker delivers commands again.
    ROTATE, ROTATE, at_once(ROTATE), SEND_KEY_AGAIN, COPY_OF_EARLIER, COPY_OF_LAST,
)  # fmt: skip
FIRST_ID_KEYS = _in_turn(  # The ID key changes twice, with a rotation in between under the new one.
    GIVE_KEY, NEW_ID_KEY, ROTATE, at_once(NEW_ID_KEY), COPY_OF_LAST,
)  # fmt: skip
LOST_ID_KEY = _in_turn(  # C2 falls back to the previous ID key. Topics go and come within a second.
    UNDER_PREVIOUS_ID_KEY, ROTATE, REMOVE_TOPIC, at_once(GIVE_KEY, REMOVE_TOPIC), COPY_OF_EARLIER,
)  # fmt: skip
RESET_AND_BEGIN_AGAIN = _in_turn(  # Everything is removed; a copy of that must not remove what came after it.
    RESET_TOPICS, COPY_OF_LAST, GIVE_KEY, GIVE_KEY, at_once(GIVE_KEY, GIVE_KEY), ROTATE,
)  # fmt: skip
RESTART_AFTER_ID_KEY = _in_turn(  # A new ID key is the last thing before a restart, and is delivered again after it.
    NEW_ID_KEY, RESTART, COPY_OF_LAST, ROTATE, at_once(ROTATE), SEND_KEY_AGAIN, GIVE_KEY, REMOVE_TOPIC,
    at_once(GIVE_KEY),
)  # fmt: skip
RESET_BETWEEN_ID_KEYS = _in_turn(  # Two ID keys in one second follow a reset, and old commands come again.
    RESET_TOPICS, GIVE_KEY, at_once(GIVE_KEY), NEW_ID_KEY, at_once(NEW_ID_KEY), GIVE_KEY, ROTATE, at_once(ROTATE),
    COPY_OF_LAST, COPY_OF_EARLIER, RESTART,
)  # fmt: skip
RESET_AFTER_RESTART = _in_turn(  # A reset is the first command after a restart; then the new ID key is lost again.
    RESET_TOPICS, at_once(GIVE_KEY, GIVE_KEY), GIVE_KEY, ROTATE, NEW_ID_KEY, UNDER_PREVIOUS_ID_KEY, COPY_OF_LAST,
    at_once(ROTATE, ROTATE),
)  # fmt: skip
ID_KEYS_IN_A_ROW = _in_turn(  # One ID key follows the other before C2 falls back to the one in between.
    REMOVE_TOPIC, at_once(SEND_KEY_AGAIN), GIVE_KEY, NEW_ID_KEY, NEW_ID_KEY, UNDER_PREVIOUS_ID_KEY, GIVE_KEY,
    at_once(GIVE_KEY), COPY_OF_EARLIER,
)  # fmt: skip
RESET_AND_ID_KEY_AROUND_RESTART = _in_turn(  # Reset, ID key, restart, and a second ID key in the same second.
    RESET_TOPICS, NEW_ID_KEY, COPY_OF_LAST, RESTART, at_once(NEW_ID_KEY),
)  # fmt: skip
A_BUSY_TIME = _in_turn(  # All kinds of commands in a quick mixture.
    GIVE_KEY, ROTATE, at_once(ROTATE), ROTATE, at_once(GIVE_KEY), GIVE_KEY, REMOVE_TOPIC, at_once(ROTATE), COPY_OF_LAST,
    NEW_ID_KEY, ROTATE, at_once(GIVE_KEY), SEND_KEY_AGAIN,
)  # fmt: skip
THE_END = _in_turn(  # The last keys, and a copy of something old.
    GIVE_KEY, at_once(ROTATE, ROTATE), ROTATE, COPY_OF_EARLIER,
)  # fmt: skip

SCRIPT = (
    FIRST_KEYS
    + ROTATIONS_AND_COPIES
    + FIRST_ID_KEYS
    + LOST_ID_KEY
    + RESET_AND_BEGIN_AGAIN
    + RESTART_AFTER_ID_KEY
    + RESET_BETWEEN_ID_KEYS
    + RESET_AFTER_RESTART
    + ID_KEYS_IN_A_ROW
    + RESET_AND_ID_KEY_AROUND_RESTART
    + A_BUSY_TIME
    + THE_END
)


class Event:
    """One event. `clock` is what the board's clock shows; `command` is what arrives then, or None for a restart."""

    def __init__(self, clock, command):
        self.clock = clock
        self.command = command


class Life:
    """A life: its `events`, and in `keys` all keys that were ever sent, by topic and "id", in their order."""

    def __init__(self, seed=1, script=SCRIPT):
        self._dice = Dice(seed)
        self._now = START
        self._id_keys = [FIRST_KEY]
        self._held = []
        self._sent = []
        self.keys = {"id": self._id_keys}
        self.events = []
        for kind, in_the_same_second in script:
            if not in_the_same_second:
                self._now += (1, 2, 30, 400, 1500)[self._dice.below(5)]
            self._live(kind)

    @property
    def commands(self):
        """How many different commands there are."""
        return len(self._sent)

    def _live(self, kind):
        if kind == RESTART:
            command = None
        elif kind == COPY_OF_EARLIER:
            command = self._sent[self._dice.below(len(self._sent))]
        elif kind == COPY_OF_LAST:
            command = self._sent[-1]
        else:
            command = self._make_command(kind)
            self._sent.append(command)
        self.events.append(Event(self._now + self._dice.below(3), command))

    def _make_command(self, kind):
        under = self._id_keys[-2 if kind == UNDER_PREVIOUS_ID_KEY else -1]
        if kind == RESET_TOPICS:
            self._held.clear()
            return Command(RESET, under, self._now)
        if kind == NEW_ID_KEY:
            self._id_keys.append(self._dice.bytes(32))
            return Command(SET_ID, under, self._now, None, self._id_keys[-1])
        topic = self._choose_topic(kind)
        if kind == REMOVE_TOPIC:
            self._held.remove(topic)
            return Command(REMOVE, under, self._now, topic)
        if topic not in self._held:
            self._held.append(topic)
        ever = self.keys.setdefault(topic, [])
        if kind != SEND_KEY_AGAIN or not ever:
            ever.append(self._dice.bytes(32))
        return Command(SET_TOPIC, under, self._now, topic, ever[-1])

    def _choose_topic(self, kind):
        """Return a topic that the board holds, if the kind of event is about one and it holds any; else any topic."""
        if kind in (ROTATE, REMOVE_TOPIC, SEND_KEY_AGAIN) and self._held:
            return self._held[self._dice.below(len(self._held))]
        return TOPICS[self._dice.below(len(TOPICS))]
