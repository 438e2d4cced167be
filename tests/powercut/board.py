"""A board that can lose its power: littlefs on a `Flash`, the store on that, a client, and the model beside it."""

import vfs

import e4
from powercut.flash import Flash, blank
from powercut.life import FIRST_KEY, TOPICS
from powercut.probe import Loss, Probe, deliver

BLOCKS = 64
ID = e4.id_of("board")
TIDY_STEPS = 2  # leftovers removed at a time, as an idle main loop would


class PowerCut(Exception):
    """The flash has taken its last operation; what runs on is no longer a board."""


def formatted(blocks=BLOCKS):
    """Return the image of a chip with an empty file system."""
    image = blank(blocks)
    vfs.VfsLfs2.mkfs(Flash(image))
    return image


class Board:
    """A board on `flash` in the middle of `life`; `store_class` makes its store from a path below `root`."""

    def __init__(self, flash, life, store_class, root="/flash"):
        self.flash = flash
        self.root = root
        self.now = 0
        self.outcome = ""  # of the last command
        self._life = life
        self._store_class = store_class
        self._mounted = False

    def start(self):
        """Boot. Raises PowerCut, or Loss if it does not come up."""
        try:
            self.mount()
            self.open()
        except Exception as error:
            self._power()
            raise Loss("does not boot: {!r}".format(error)) from None
        self._power()

    def mount(self):
        """Mount the file system, as the board's firmware does before anything of ours runs."""
        vfs.mount(vfs.VfsLfs2(self.flash), self.root)
        self._mounted = True

    def open(self):
        """Open the store and make the client. Raises what they raise."""
        self.store = self._store_class(self.root + "/e4.keys")
        self.client = e4.Client(ID, FIRST_KEY, self.store, lambda: self.now, max_command_age=None)
        self._probe = Probe(self.client)

    def stop(self):
        """Take the file system away; what was not written is not written."""
        if self._mounted:
            vfs.umount(self.root)
            self._mounted = False

    def live(self, event, model):
        """Let an event happen, and the same to `model`. Raises PowerCut, or Loss if they differ."""
        self.now = event.clock
        if event.command is None:
            self.stop()
            self.start()
        else:
            self.deliver(event.command, model)

    def deliver(self, command, model, also_right=()):
        """Receive a command, as `model` does; other outcomes may be right as well. Raises PowerCut, Loss."""
        right = model.deliver(command, self.now, None) + also_right
        try:
            self.outcome = deliver(self.client, command)
        except Loss:
            raise
        except Exception as error:
            self._power()
            raise Loss("{!r} gave {!r}".format(command, error)) from None
        self._power()
        if self.outcome not in right:
            raise Loss("{!r} was {}, right is {}".format(command, self.outcome, " or ".join(right)))

    def tidy(self):
        """Do a little of the store's housekeeping. Raises PowerCut."""
        try:
            self.store.tidy(TIDY_STEPS)
        except Exception as error:
            self._power()
            raise Loss("housekeeping failed: {!r}".format(error)) from None
        self._power()

    def check(self, model):
        """Raise Loss unless the client is in the state of `model`."""
        self._probe.check(model, self.now, self._life.keys, TOPICS)
        if self.flash.violations:
            raise Loss("the file system programmed flash that was not erased")

    def states(self, states):
        """Return those of `states` that the board may be in. Raises Loss for none."""
        possible = ()
        losses = []
        for state in states:
            try:
                self.check(state)
                possible += (state,)
            except Loss as loss:
                losses.append(str(loss))
        if not possible:
            raise Loss("neither before nor after: {}".format("; ".join(losses)))
        return possible

    def replay(self, commands, model):
        """Receive commands of the past once more; they must change nothing. Raises PowerCut, Loss."""
        for command in commands:
            twin = model.copy()
            self.deliver(command, twin)
            if twin.floor != model.floor or twin.last != model.last:
                raise Loss("the script is wrong: {!r} is none of the past".format(command))
        self.check(model)

    def _power(self):
        if self.flash.is_cut:
            raise PowerCut()
