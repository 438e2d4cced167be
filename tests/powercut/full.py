"""A flash that is full with somebody's files: a clear error, the old state stands, and space given back helps."""

import os

import e4
from powercut.board import Board, formatted
from powercut.flash import BLOCK, Flash
from powercut.life import FIRST_KEY
from powercut.model import Model
from powercut.probe import Loss

_SPARE = 8  # blocks left free, at most
_EVENTS = 6  # lived on a full flash before it is given up to fail
_EVERY = 4  # events from one start to the next
_ENOSPC = 28


class Full:
    """The proof for one life; `every`: take one start in so many; `shard` as for `Cuts`."""

    def __init__(self, life, report, store_class, every=1, shard=(0, 1)):
        self._life = life
        self._report = report
        self._store_class = store_class
        self._every = every
        self._part, self._parts = shard

    def run(self):
        """Fill the flash at many points of the life; what was found is in the report."""
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
                    if board.outcome != "StoreError":
                        raise
                    self._report.full += 1
                    self._fails_well(board, event, before)
                    return
            board.check(model)
        finally:
            board.stop()

    def _fails_well(self, board, event, model):
        """The old state stands here and after a restart, and the command is applied once there is space."""
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
    """Fill the file system with files, then leave `spare` blocks."""
    for i in range(_SPARE):
        with open("{}/small{}".format(root, i), "wb") as file:
            file.write(bytes(BLOCK))
    written = 1
    while written:
        written = _one_more(root + "/large")
    for i in range(spare):
        os.remove("{}/small{}".format(root, i))


def _one_more(path):
    """Append a block's worth to the file; return False if the flash is full."""
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
