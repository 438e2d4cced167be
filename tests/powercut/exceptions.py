"""Raises an exception before and after every file operation of the store.

The same program then goes on. Its client, and a second one that opens the same flash, must know what the model knows.
"""

import e4
from powercut.board import TIDY_STEPS, Board, formatted
from powercut.flash import Flash
from powercut.life import FIRST_KEY
from powercut.model import IGNORED, Model
from powercut.probe import Loss, deliver
from powercut.sample import Sample
from powercut.trap import AFTER, BEFORE, Trap

# The life is divided into stretches of so many events. The image of the flash is saved at the beginning of each one.
_STRETCH = 4
# After an exception the board lives through so many more events.
_SHORT = 3
# A run with a limit tries so many boots; a full run tries a boot at the beginning of every stretch.
_BOOTS = 3
_EIO = 5
_ENOSPC = 28


class Exceptions:
    """The proof for one life. `limit` and `shard` mean the same as for `Cuts`, but count exceptions."""

    def __init__(self, life, report, store_class, limit=0, shard=(0, 1)):
        self._life = life
        self._report = report
        self._store_class = store_class
        self._limit = limit
        self._shard = shard
        self._trap = Trap()

    def run(self):
        """Raise all the exceptions, and count what was found in the report."""
        self._trap.lay()
        try:
            self._run()
        finally:
            self._trap.remove()

    def _run(self):
        stretches = self._live_without_exceptions()
        errors = _errors()
        sample = Sample(2 * sum(calls for _, _, _, calls in stretches), self._limit, self._shard)
        boots = Sample(len(stretches), self._limit and _BOOTS, self._shard)
        number = 0
        for image, model, first, calls in stretches:
            if boots.takes():
                self._report.attempt("booting before event {}".format(first), self._throw_at_boot, image, model, first)
            for at in range(1, calls + 1):
                for when in (BEFORE, AFTER):
                    number += 1
                    # The second term moves the errors on by one in each round. Without it, the same operation of
                    # every command could always meet the same error.
                    error = errors[(number + number // len(errors)) % len(errors)]
                    if sample.takes():
                        what = "{!r} {} file operation {} after event {}".format(
                            error, ("before", "after")[when], at, first
                        )
                        self._report.attempt(what, self._throw, image, model, first, at, when, error)

    def _board(self, image, clock, root="/flash"):
        board = Board(Flash(bytearray(image)), self._life, self._store_class, root)
        board.now = clock
        return board

    def _throw_at_boot(self, image, model, first):
        """Raise an exception at each file operation of opening the store. Opening it again must work."""
        at = 0
        is_sprung = True
        while is_sprung:
            at += 1
            for error in _errors():
                board = self._board(image, self._life.events[first].clock)
                try:
                    board.mount()
                    self._trap.set(at, AFTER, error)
                    try:
                        board.open()
                    except (e4.StoreError, MemoryError, KeyboardInterrupt):
                        pass
                    is_sprung = self._trap.is_sprung
                    self._trap.set(0, BEFORE, None)
                    self._report.exceptions += is_sprung
                    board.open()
                    board.check(model)
                finally:
                    self._trap.set(0, BEFORE, None)
                    board.stop()

    def _live_without_exceptions(self):
        """Return for each stretch its image, its model, its first event and its number of file operations."""
        image, model, stretches = formatted(), Model(FIRST_KEY), []
        for first in range(0, len(self._life.events), _STRETCH):
            board = self._board(image, self._life.events[first].clock)
            before = model.copy()
            board.start()
            self._trap.set(0, BEFORE, None)
            for event in self._stretch(first):
                if event.command is not None:
                    board.live(event, model)
                    board.tidy()
            stretches.append((image, before, first, self._trap.calls))
            board.stop()
            image = board.flash.image
        return stretches

    def _stretch(self, first):
        return self._life.events[first : first + _STRETCH]

    def _throw(self, image, model, first, at, when, error):
        board = self._board(image, self._life.events[first].clock)
        model = model.copy()
        try:
            board.start()
            self._trap.set(at, when, error)
            states = (model,)
            for event in self._stretch(first):
                if event.command is not None and not self._trap.is_sprung:
                    states = self._live_through(board, event, states[0], error, when)
                    index = self._life.events.index(event)
            if not self._trap.is_sprung:
                raise Loss("a second run made fewer file operations than the first")
            self._report.exceptions += 1
            self._go_on(board, index, states)
        finally:
            self._trap.set(0, BEFORE, None)
            board.stop()

    def _live_through(self, board, event, model, error, when):
        """Live through an event during which the trap may raise; return the states that are right after it."""
        board.now = event.clock
        after = model.copy()
        right = after.deliver(event.command, event.clock, None)
        states = (after,)
        try:
            outcome = deliver(board.client, event.command)
            if outcome == "StoreError" and self._trap.is_sprung and isinstance(error, OSError):
                states = (model,) if when == BEFORE else (model, after)
            elif outcome not in right:
                raise Loss("{!r} was {}".format(event.command, outcome))
            self._tidy(board)
        except (MemoryError, KeyboardInterrupt):
            states = (model, after)
        return self._find_agreed_states(board, event.clock, states) if self._trap.is_sprung else states

    def _tidy(self, board):
        try:
            board.store.tidy(TIDY_STEPS)
        except (e4.StoreError, MemoryError, KeyboardInterrupt):
            if not self._trap.is_sprung:
                raise

    def _find_agreed_states(self, board, clock, states):
        """Return those of `states` that both the running client and a restart on the same flash can be in."""
        try:
            states = board.states(states)
        except Loss as loss:
            raise Loss("the running client: {}".format(loss)) from None
        again = self._board(board.flash.image, clock, "/again")
        try:
            again.start()
            return again.states(states)
        except Loss as loss:
            raise Loss("a restart: {}".format(loss)) from None
        finally:
            again.stop()

    def _go_on(self, board, index, states):
        """Let the same program go on after the exception.

        The interrupted command is delivered again, some more events follow, and then the board restarts.
        """
        model = states[0].copy()
        events = self._life.events[index : index + 1 + _SHORT]
        # If the board can be in the state before the command and in the state after it, these states differ only in
        # whether the command counts as applied. Then it may apply the command now or ignore it.
        board.deliver(events[0].command, model, (IGNORED,) if len(states) > 1 else ())
        for event in events[1:]:
            if event.command is not None:
                board.live(event, model)
        board.tidy()
        board.check(model)
        board.stop()
        board.start()
        board.check(model)


def _errors():
    return OSError(_EIO), OSError(_ENOSPC), MemoryError("no memory"), KeyboardInterrupt()
