"""The script of a board's life: what C2 sends to the board, what the broker repeats, and when the board restarts."""

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
    """Mark events as happening in the same second as the event before them. Return pairs, as `_in_turn` does."""
    return tuple((event, True) for event in events)


def _in_turn(*events):
    """Return the events as pairs.

    The second element of a pair says whether the event happens in the same second as the event before it.
    """
    pairs = ()
    for event in events:
        if isinstance(event, tuple):
            pairs += event
        else:
            # A restart takes no time of its own. Only the event after it moves the clock on.
            pairs += ((event, event == RESTART),)
    return pairs


# The life is divided into chapters. Above each one stands what it is for.

# A new board gets its keys, most of them within one second.
FIRST_KEYS = _in_turn(
    GIVE_KEY, GIVE_KEY, at_once(GIVE_KEY, GIVE_KEY, GIVE_KEY),
)  # fmt: skip
# Keys change, also twice within a second, and the broker delivers old commands again.
ROTATIONS_AND_COPIES = _in_turn(
    ROTATE, ROTATE, at_once(ROTATE), SEND_KEY_AGAIN, COPY_OF_EARLIER, COPY_OF_LAST,
)  # fmt: skip
# The ID key changes twice. Between the changes, a topic key changes under the first new ID key.
FIRST_ID_KEYS = _in_turn(
    GIVE_KEY, NEW_ID_KEY, ROTATE, at_once(NEW_ID_KEY), COPY_OF_LAST,
)  # fmt: skip
# C2 has lost the new ID key and falls back to the previous one. Topics are removed and given within a second.
LOST_ID_KEY = _in_turn(
    UNDER_PREVIOUS_ID_KEY, ROTATE, REMOVE_TOPIC, at_once(GIVE_KEY, REMOVE_TOPIC), COPY_OF_EARLIER,
)  # fmt: skip
# All topics are removed. A copy of that command must not remove the topics that are given after it.
RESET_AND_BEGIN_AGAIN = _in_turn(
    RESET_TOPICS, COPY_OF_LAST, GIVE_KEY, GIVE_KEY, at_once(GIVE_KEY, GIVE_KEY), ROTATE,
)  # fmt: skip
# A new ID key is the last command before a restart, and it is delivered once more after the restart.
RESTART_AFTER_ID_KEY = _in_turn(
    NEW_ID_KEY, RESTART, COPY_OF_LAST, ROTATE, at_once(ROTATE), SEND_KEY_AGAIN, GIVE_KEY, REMOVE_TOPIC,
    at_once(GIVE_KEY),
)  # fmt: skip
# After a reset the ID key changes twice within a second, and old commands are delivered again.
RESET_BETWEEN_ID_KEYS = _in_turn(
    RESET_TOPICS, GIVE_KEY, at_once(GIVE_KEY), NEW_ID_KEY, at_once(NEW_ID_KEY), GIVE_KEY, ROTATE, at_once(ROTATE),
    COPY_OF_LAST, COPY_OF_EARLIER, RESTART,
)  # fmt: skip
# A reset is the first command after a restart. Later C2 loses the new ID key again.
RESET_AFTER_RESTART = _in_turn(
    RESET_TOPICS, at_once(GIVE_KEY, GIVE_KEY), GIVE_KEY, ROTATE, NEW_ID_KEY, UNDER_PREVIOUS_ID_KEY, COPY_OF_LAST,
    at_once(ROTATE, ROTATE),
)  # fmt: skip
# The ID key changes twice in a row, and C2 then falls back to the first of the two new ones.
ID_KEYS_IN_A_ROW = _in_turn(
    REMOVE_TOPIC, at_once(SEND_KEY_AGAIN), GIVE_KEY, NEW_ID_KEY, NEW_ID_KEY, UNDER_PREVIOUS_ID_KEY, GIVE_KEY,
    at_once(GIVE_KEY), COPY_OF_EARLIER,
)  # fmt: skip
# A reset and a new ID key come before a restart, and another ID key comes in the same second after it.
RESET_AND_ID_KEY_AROUND_RESTART = _in_turn(
    RESET_TOPICS, NEW_ID_KEY, COPY_OF_LAST, RESTART, at_once(NEW_ID_KEY),
)  # fmt: skip
# Commands of many kinds follow each other quickly.
A_BUSY_TIME = _in_turn(
    GIVE_KEY, ROTATE, at_once(ROTATE), ROTATE, at_once(GIVE_KEY), GIVE_KEY, REMOVE_TOPIC, at_once(ROTATE), COPY_OF_LAST,
    NEW_ID_KEY, ROTATE, at_once(GIVE_KEY), SEND_KEY_AGAIN,
)  # fmt: skip
# The last keys are given, and a copy of something old arrives.
THE_END = _in_turn(
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

# The application fills the flash after the first of these events. From then on the board can still obey every command
# that removes or replaces keys.
QUIET_EVENTS = 8
ON_A_FULL_FLASH = _in_turn(
    GIVE_KEY, GIVE_KEY, GIVE_KEY, GIVE_KEY, GIVE_KEY, GIVE_KEY, GIVE_KEY, GIVE_KEY,
    ROTATE, REMOVE_TOPIC, NEW_ID_KEY, ROTATE, at_once(ROTATE, ROTATE), COPY_OF_LAST, NEW_ID_KEY, at_once(NEW_ID_KEY),
    RESTART, ROTATE, SEND_KEY_AGAIN, COPY_OF_EARLIER, REMOVE_TOPIC, RESET_TOPICS, NEW_ID_KEY, RESTART, RESET_TOPICS,
    COPY_OF_LAST,
)  # fmt: skip


class Event:
    """One event of a life.

    `clock` is the Unix time that the board's clock shows. `command` is the command that arrives then, or None for a
    restart.
    """

    def __init__(self, clock, command):
        self.clock = clock
        self.command = command


class Life:
    """A life: the list `events`, and the dictionary `keys` of all keys that C2 sends in it.

    `keys` has a list for each topic, and one for the ID keys under "id". Each list begins with the oldest key.
    """

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
            self._add_event(kind)

    @property
    def commands(self):
        """The number of different commands."""
        return len(self._sent)

    def _add_event(self, kind):
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
        """Choose a topic at random.

        If the event is about a topic that the board holds, and the board holds any, it is one of those.
        """
        if kind in (ROTATE, REMOVE_TOPIC, SEND_KEY_AGAIN) and self._held:
            return self._held[self._dice.below(len(self._held))]
        return TOPICS[self._dice.below(len(TOPICS))]
