"""Cuts the power at every program and every erase of a life, and again during the recovery from each cut.

After each cut the board restarts and its life goes on. The board must know what the model knows.
"""

from helpers.portable.support import Dice
from powercut.board import Board, PowerCut, formatted
from powercut.flash import CLEAN, TORN, Flash
from powercut.life import FIRST_KEY
from powercut.model import IGNORED, Model
from powercut.probe import Loss
from powercut.sample import Sample

# The life is divided into stretches of so many events. The image of the flash is saved at the beginning of each one.
_STRETCH = 5
# After most second cuts the board lives through so many more events.
_SHORT = 3
# After those events, so many recent commands are delivered again, and they must change nothing.
_RECENT = 6
# After one second cut in so many, the board lives to the end of its life, and all commands are delivered again.
_ONE_IN = 24


class Cuts:
    """The proof for one life of a board of `board_class`, which says how many blocks its flash has.

    `limit` is the largest number of first cuts, which are spread evenly; 0 means all. `shard` is a pair: this process
    makes part number `shard[0]` (from 0) of `shard[1]` parts of them. A second cut is made at one operation in `every`
    of the recovery.
    """

    def __init__(self, life, report, store_class, limit=0, shard=(0, 1), board_class=Board, every=1):
        self._life = life
        self._report = report
        self._store_class = store_class
        self._board_class = board_class
        self._every = every
        self._dice = Dice(11)
        self._turn = 0
        self._stretches = self._live_without_cuts()
        points = 2 * sum(operations for _, _, _, operations in self._stretches)
        self._sample = Sample(points, limit, shard)

    def run(self):
        """Make all the cuts, and count what was found in the report."""
        for image, model, first, operations in self._stretches:
            for at in range(1, operations + 1):
                for kind in (CLEAN, TORN):
                    if self._sample.takes():
                        what = "{} cut {} after event {}".format(("clean", "torn")[kind], at, first)
                        self._report.attempt(what, self._cut, image, model, first, at, kind)

    def _board(self, image, at=0, kind=CLEAN, clock=0):
        flash = Flash(bytearray(image), at, kind, self._dice.below(1 << 20))
        board = self._board_class(flash, self._life, self._store_class)
        board.now = clock
        return board

    def _live_without_cuts(self):
        """Return for each stretch its image, its model, its first event and its number of flash operations."""
        image, model, stretches = formatted(self._board_class.blocks), Model(FIRST_KEY), []
        for first in range(0, len(self._life.events), _STRETCH):
            board = self._board(image, clock=self._life.events[first].clock)
            before = model.copy()
            board.start()
            for event in self._life.events[first : first + _STRETCH]:
                board.live(event, model)
                board.tidy()
            board.check(model)
            board.stop()
            stretches.append((image, before, first, board.flash.operations))
            image = board.flash.image
        return stretches

    def _cut(self, image, model, first, at, kind):
        board = self._board(image, at, kind, self._life.events[first].clock)
        index, states = first, (model,)
        try:
            board.start()
            while index < first + _STRETCH:
                after = states[-1].copy()
                states = (states[-1], after)
                board.live(self._life.events[index], after)
                # The client has confirmed the command, so its effect must never be lost again.
                states = (after,)
                board.tidy()
                index += 1
        except PowerCut:
            self._report.cuts += 1
        finally:
            board.stop()
        if not board.flash.is_cut:
            raise Loss("a second run took fewer flash operations than the first")
        self._cut_again(board.flash.image, index, states)
        self._recover(board.flash.image, index, states, True)

    def _cut_again(self, image, index, states):
        """Cut the power at the flash operations of the recovery; clean and torn cuts alternate.

        Whether the first of them is clean or torn alternates from call to call, so that both kinds meet each operation.
        """
        self._turn ^= 1
        at = self._dice.below(self._every) + 1 - self._every
        was_cut = True
        while was_cut:
            at += self._every
            board = self._board(image, at, (at + self._turn) % 2, self._life.events[index].clock + 1)
            left = states
            try:
                board.start()
                left = board.states(left)
                board.tidy()
                after = left[0].copy()
                left += (after,)
                self._send_again(board, index, after, len(left) > 2)
            except PowerCut:
                self._report.cuts += 1
            finally:
                board.stop()
            was_cut = board.flash.is_cut
            if was_cut:
                self._recover(board.flash.image, index, left, self._dice.below(_ONE_IN) == 0)

    def _recover(self, image, index, states, everything):
        """Boot after a cut, and live through the following events.

        The board must be in one of `states`. If `everything` is true, it lives to the end of its life.
        """
        events = self._life.events[: None if everything else index + 1 + _SHORT]
        recent = 0 if everything else -_RECENT
        board = self._board(image, clock=events[index].clock + 1)
        self._report.restarts += 1
        try:
            board.start()
            states = board.states(states)
            model = states[0].copy()
            if everything:
                board.replay(_commands(events[:index])[-_RECENT:], model)
            self._send_again(board, index, model, len(states) > 1)
            for event in events[index + 1 :]:
                board.live(event, model)
                board.tidy()
            board.replay(_commands(events)[recent:], model)
        finally:
            board.stop()

    def _send_again(self, board, index, model, is_unsure):
        """Deliver the command again that the cut interrupted, because C2 has not seen its confirmation.

        The board applies it if the cut prevented that, and ignores it otherwise. `is_unsure` says that both are right:
        the states before and after the command differ only in whether it counts as applied.
        """
        command = self._life.events[index].command
        if command is not None:
            board.deliver(command, model, (IGNORED,) if is_unsure else ())


def _commands(events):
    return [event.command for event in events if event.command is not None]
