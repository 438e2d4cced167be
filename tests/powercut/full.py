"""Fills the flash with files of an application, so that the store finds no space.

A command that removes or replaces keys must then be applied all the same. A command that gives the board the key of a
topic that it does not hold may fail with a StoreError. It must then change nothing, and be applied once there is space
again.
"""

import os

import e4
from powercut.board import Board, formatted
from powercut.flash import BLOCK, Flash
from powercut.life import FIRST_KEY
from powercut.model import SET_TOPIC, Model
from powercut.probe import Loss

# At most so many blocks are left free.
_SPARE = 8
# A board with a full flash lives through so many events at most; it need not fail within them.
_EVENTS = 6
# The flash is filled after every so many events of the life.
_EVERY = 4
_ENOSPC = 28


class Full:
    """The proof for one life.

    `every` says that only one point in so many is tried. `shard` means the same as for `Cuts`.
    """

    def __init__(self, life, report, store_class, every=1, shard=(0, 1)):
        self._life = life
        self._report = report
        self._store_class = store_class
        self._every = every
        self._part, self._parts = shard

    def run(self):
        """Fill the flash at many points of the life, and count what was found in the report."""
        image, model = formatted(), Model(FIRST_KEY)
        for spare in range(_SPARE + 1):
            self._report.attempt("a first start with {} blocks free".format(spare), self._first_start, image, spare)
        for first in range(0, len(self._life.events) - _EVENTS, _EVERY):
            board = self._board(image, first)
            board.start()
            for event in self._life.events[first : first + _EVERY]:
                board.live(event, model)
            board.stop()
            image = board.flash.image
            if first // _EVERY % self._every == 0 and first // _EVERY % self._parts == self._part:
                for spare in range(_SPARE + 1):
                    what = "{} blocks free after event {}".format(spare, first + _EVERY)
                    self._report.attempt(what, self._live_full, image, model.copy(), first + _EVERY, spare)

    def _board(self, image, index):
        board = Board(Flash(bytearray(image)), self._life, self._store_class)
        board.now = self._life.events[index].clock
        return board

    def _first_start(self, image, spare):
        board = self._board(image, 0)
        try:
            board.mount()
            _fill(board.root, spare)
            try:
                board.open()
            except e4.StoreError:
                self._report.full += 1
            _empty(board.root)
            board.open()
            board.check(Model(FIRST_KEY))
        finally:
            board.stop()

    def _live_full(self, image, model, first, spare):
        board = self._board(image, first)
        try:
            board.start()
            _fill(board.root, spare)
            for event in self._life.events[first : first + _EVENTS]:
                before = model.copy()
                try:
                    board.live(event, model)
                except Loss:
                    command = event.command
                    if board.outcome != "StoreError" or command.opcode != SET_TOPIC or command.topic in before.topics:
                        raise
                    self._report.full += 1
                    self._check_failure(board, event, before)
                    return
            board.check(model)
        finally:
            board.stop()

    def _check_failure(self, board, event, model):
        """Check that the old state remains, also after a restart, and that the command works once there is space."""
        board.check(model)
        board.stop()
        board.start()
        board.check(model)
        _empty(board.root)
        board.live(event, model)
        board.check(model)
        board.stop()
        board.start()
        board.check(model)


def _fill(root, spare):
    """Fill the file system with files, and then free `spare` blocks again."""
    for i in range(_SPARE):
        with open("{}/small{}".format(root, i), "wb") as file:
            file.write(bytes(BLOCK))
    written = 1
    while written:
        written = _append_block(root + "/large")
    for i in range(spare):
        os.remove("{}/small{}".format(root, i))


def _append_block(path):
    """Append almost a block to the file. Return False if the flash is full."""
    try:
        with open(path, "ab") as file:
            file.write(bytes(BLOCK - 8))
        return True
    except OSError as error:
        if error.errno != _ENOSPC:
            raise
        return False


def _empty(root):
    for name in os.listdir(root):
        if name == "large" or name.startswith("small"):
            os.remove(root + "/" + name)
