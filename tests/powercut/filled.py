"""Fills the flash to the last byte, in every way, and then gives each command that removes or replaces keys.

All of them must be applied, also after a restart, while the application takes every byte that becomes free. Only the
key of a topic that the board does not hold may be refused, and then nothing has changed.

filled.py BLOCKS...

This runs on the MicroPython VM; each number is one of blocks that a flash has. The output ends with a line `N cuts,
N restarts, N losses`, where no cut was made. The exit code is 1 if there was a loss.
"""

import os
import sys

import e4
from helpers.portable.support import Dice
from powercut.application import LOG, SMALL_FILES, fill
from powercut.board import ID, Board, formatted
from powercut.flash import Flash
from powercut.life import FIRST_KEY, START
from powercut.model import REMOVE, RESET, SET_ID, SET_TOPIC, Command, Model
from powercut.probe import Loss, Probe
from powercut.report import Report

TOPICS = "topics"
# What fills the flash, one after the other.
WAYS = (
    (TOPICS,),
    (LOG,),
    (TOPICS, LOG),
    (LOG, TOPICS),
    (LOG, SMALL_FILES),
    (SMALL_FILES, LOG),
    (LOG, TOPICS, SMALL_FILES),
)
# The board holds so many topics before anything else fills the flash.
_FIRST_TOPICS = 24
# After so many topics in a row that were refused, the flash is full of topics. The records of topics are in 16 folders,
# and one folder may still have room when another one has none.
_REFUSALS = 12
# The usual receiving topic, and one that makes the record of the client too large to be kept inside a directory.
_RECEIVING_TOPICS = (None, "plants/7/halls/12/machines/" + 20 * "0123456789")
# After so many steps housekeeping must have come to an end.
_ENDLESS = 20000


class _Script:
    """Takes the place of the `Life` of a board. Only the keys that were sent matter."""

    def __init__(self):
        self.keys = {"id": [FIRST_KEY]}


class FilledBoard(Board):
    """A board with a full flash of `blocks` blocks, and C2 and an application around it.

    `way` says what fills the flash, see `WAYS`. `model` is the state in which the board must be.
    """

    def __init__(self, blocks, way, receiving_topic=None):
        self._receiving_topic = receiving_topic
        super().__init__(Flash(formatted(blocks)), _Script(), e4.FileStore)
        self.now = START
        self.model = Model(FIRST_KEY)
        self.given = self.refused = 0
        # What the application fills after every command.
        self.fillers = []
        self._dice = Dice(blocks)
        self._serial = 0
        self.start()
        for _ in range(_FIRST_TOPICS):
            self._give_topic()
        for filler in way:
            if filler == TOPICS:
                self._give_topics()
            else:
                self.fillers.append(filler)
                fill(self.root, filler)

    def open(self):
        """Open the store and make the client."""
        self.store = e4.FileStore(self.root + "/e4.keys")
        self.client = e4.Client(ID, FIRST_KEY, self.store, lambda: self.now, self._receiving_topic)
        self._probe = Probe(self.client)

    def command(self, opcode, topic=None, seconds=1):
        """Give the board a command with a new key, so many seconds after the last one. Return whether it was applied.

        Raises Loss unless the board makes the right thing of it.
        """
        self.now += seconds
        key = self._dice.bytes(32) if opcode in (SET_ID, SET_TOPIC) else b""
        before = self.model.copy()
        may_be_refused = opcode == SET_TOPIC and topic not in before.topics
        command = Command(opcode, before.id_key, self.now, topic, key)
        self.deliver(command, self.model, ("StoreError",) if may_be_refused else ())
        self.given += 1
        is_refused = self.outcome == "StoreError"
        if is_refused:
            self.refused += 1
            self.model = before
        if key:
            self._life.keys.setdefault(topic or "id", []).append(key)
        for filler in self.fillers:
            fill(self.root, filler)
        return not is_refused

    def tidy_up(self):
        """Let the store do all of its housekeeping, which must come to an end and raise nothing."""
        for _ in range(_ENDLESS):
            if not self.store.tidy(1):
                return
        raise Loss("housekeeping does not end")

    def restart(self):
        self.stop()
        self.start()

    def held(self, number):
        """Return a topic that the board holds; different numbers mostly give different ones."""
        topics = sorted(self.model.topics)
        return topics[number * 7919 % len(topics)]

    def check_some(self):
        """Raise Loss unless the board is in the state of the model. Of the topics, only some are looked at."""
        topics = [self.held(number) for number in range(8)] if self.model.topics else []
        topics += [topic for topic in self._life.keys if topic not in self.model.topics and topic != "id"][-3:]
        self._probe.check(self.model, self.now, self._life.keys, topics)
        if self.flash.violations:
            raise Loss("the file system programmed flash that was not erased")

    def make_room(self):
        """Let the application remove its files and rest."""
        self.fillers = []
        for name in os.listdir(self.root):
            if not name.startswith("e4.keys"):
                os.remove(self.root + "/" + name)

    def is_untidy(self):
        """Return whether the root file says that old contents may still be in the flash."""
        with open(self.root + "/e4.keys", "rb") as file:
            return file.read(9)[8] != 0

    def check_all(self):
        """Raise Loss unless the board holds every key of the model, and no other topics."""
        if len([name for name in self.store.names() if name[:1] == b"t"]) != len(self.model.topics):
            raise Loss("another number of topics")
        for topic in self.model.topics:
            payload = self.client.protect_message(b"x", topic)
            e4.unprotect(payload, self.model.opens(topic, self.now)[0], self.now)

    def _give_topic(self):
        self._serial += 1
        return self.command(SET_TOPIC, "topic/{}".format(self._serial))

    def _give_topics(self):
        """Give the board topics until it can take no more, while the application rests."""
        fillers, self.fillers = self.fillers, []
        refusals = 0
        while refusals < _REFUSALS:
            refusals = 0 if self._give_topic() else refusals + 1
        self.fillers = fillers


def live(board):
    """Give a board with a full flash all commands that remove or replace, in several orders, with restarts."""
    for turn in range(3):
        board.command(REMOVE, board.held(turn))
        board.command(SET_TOPIC, board.held(turn + 10))
        board.command(SET_TOPIC, board.held(turn + 10))
        board.command(SET_ID)
        if turn:
            board.restart()
        board.command(REMOVE, board.held(turn + 20))
        board.command(SET_ID)
        board.command(SET_ID)
        board.command(SET_TOPIC, board.held(turn + 30))
        for number in range(40, 44):
            board.command(SET_TOPIC, board.held(turn + number), seconds=0)
        board.command(SET_TOPIC, "new/{}".format(turn))
        board.check_some()
        board.restart()
        board.check_some()
        if turn:
            board.tidy_up()
            board.check_some()
    board.check_all()
    for _ in range(2):
        board.command(RESET)
        board.check_some()
        board.restart()
    board.command(SET_ID)
    board.make_room()
    board.restart()
    board.tidy_up()
    if board.is_untidy():
        raise Loss("the store is untidy though there is room")
    board.check_some()
    if not board.command(SET_TOPIC, "after"):
        raise Loss("there is no room for a topic in a flash that is not full")
    board.check_some()


def fill_and_live(report, blocks, way, receiving_topic):
    """Fill a flash of so many blocks in one way, and let a board live with it. Count a failure in the report."""
    boards = []

    def attempt():
        board = FilledBoard(blocks, way, receiving_topic)
        boards.append(board)
        live(board)

    report.attempt("{} blocks filled by {}".format(blocks, " and ".join(way)), attempt)
    for board in boards:
        print("{} blocks, {}: {} commands, {} refused".format(blocks, " and ".join(way), board.given, board.refused))
        board.stop()


def main(sizes):
    report = Report()
    for blocks in sizes:
        for i in range(len(WAYS)):
            fill_and_live(report, blocks, WAYS[i], _RECEIVING_TOPICS[(i + blocks) % 2])
    print(report.last_line())
    sys.exit(1 if report.losses else 0)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]])
