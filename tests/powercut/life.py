"""The scripted life of a board: what C2 sends it, and when."""

from helpers.portable.support import Dice
from powercut.model import REMOVE, RESET, SET_ID, SET_TOPIC, Command

START = 1774894944
FIRST_KEY = bytes(range(1, 33))
TOPICS = ("sensors/lab", "sensors/roof", "alarms", "plant/7/valve", "log")

# One letter for each event; a small letter: in the same second as the event before.
#   S a topic key   R rotates one   N the last topic key again, newly stamped   M removes one   X all of them
#   I an ID key     P a topic key under the previous ID key, as if that had been lost
#   A an earlier command once more, byte for byte     L the last one once more     - a restart
SCRIPT = "SSsssRRrNALSIRiLPRMsmAXLSSssRI-LRrNSMsXSsIiSRrLA-XssSRIPLrrMnSIIPSsAXIL-iSRrRsSMrLIRsNSrrRA"


class Event:
    """`clock`: what the board's clock shows; `command`: what arrives then, or None for a restart."""

    def __init__(self, clock, command):
        self.clock = clock
        self.command = command


class Life:
    """`events`, and `keys`: all keys ever sent, by topic and "id", in their order."""

    def __init__(self, seed=1, script=SCRIPT):
        self._dice = Dice(seed)
        self._now = START
        self._id_keys = [FIRST_KEY]
        self._held = []
        self._sent = []
        self.keys = {"id": self._id_keys}
        self.events = []
        for letter in script:
            if letter != letter.lower():
                self._now += (1, 2, 30, 400, 1500)[self._dice.below(5)]
            self._live(letter.upper())

    @property
    def commands(self):
        """How many different commands there are."""
        return len(self._sent)

    def _live(self, letter):
        if letter == "-":
            command = None
        elif letter == "A":
            command = self._sent[self._dice.below(len(self._sent))]
        elif letter == "L":
            command = self._sent[-1]
        else:
            command = self._command(letter)
            self._sent.append(command)
        self.events.append(Event(self._now + self._dice.below(3), command))

    def _command(self, letter):
        under = self._id_keys[-2 if letter == "P" else -1]
        if letter == "X":
            self._held.clear()
            return Command(RESET, under, self._now)
        if letter == "I":
            self._id_keys.append(self._dice.bytes(32))
            return Command(SET_ID, under, self._now, None, self._id_keys[-1])
        topic = self._topic(letter)
        if letter == "M":
            self._held.remove(topic)
            return Command(REMOVE, under, self._now, topic)
        if topic not in self._held:
            self._held.append(topic)
        ever = self.keys.setdefault(topic, [])
        if letter != "N" or not ever:
            ever.append(self._dice.bytes(32))
        return Command(SET_TOPIC, under, self._now, topic, ever[-1])

    def _topic(self, letter):
        if letter in "RMN" and self._held:
            return self._held[self._dice.below(len(self._held))]
        return TOPICS[self._dice.below(len(TOPICS))]
