"""A board that can lose its power: littlefs on a `Flash`, a store on littlefs, and a client.

The board compares its client with the model of what it must know.
"""

import vfs

import e4
from powercut.flash import Flash, blank
from powercut.life import FIRST_KEY, TOPICS
from powercut.probe import Loss, Probe, deliver

BLOCKS = 64
ID = e4.id_of("board")
# A housekeeping step removes so many leftovers. The main loop of a board also removes a few at a time when it is idle.
TIDY_STEPS = 2


class PowerCut(Exception):
    """The power of the board has failed.

    The flash refuses every write after that, and whatever the program still does no longer counts.
    """


def formatted(blocks=BLOCKS):
    """Return the image of a chip with an empty file system."""
    image = blank(blocks)
    vfs.VfsLfs2.mkfs(Flash(image))
    return image


class Board:
    """A board whose file system is on `flash` and whose commands come from `life`.

    `store_class` is called with the path of the key file, which is below `root`, and returns the store.
    """

    blocks = BLOCKS

    def __init__(self, flash, life, store_class, root="/flash"):
        self.flash = flash
        self.root = root
        self.now = 0
        # What the client made of the last command: APPLIED, IGNORED or the name of an error.
        self.outcome = ""
        self._life = life
        self._store_class = store_class
        self._mounted = False

    def start(self):
        """Boot. Raises PowerCut if the power fails meanwhile, and Loss if the board does not start."""
        try:
            self.mount()
            self.open()
        except Exception as error:
            self._raise_if_cut()
            raise Loss("does not boot: {!r}".format(error)) from None
        self._raise_if_cut()

    def mount(self):
        """Mount the file system, as MicroPython does on a board before it runs our code."""
        vfs.mount(vfs.VfsLfs2(self.flash), self.root)
        self._mounted = True

    def open(self):
        """Open the store and make the client. All their exceptions pass through."""
        self.store = self._store_class(self.root + "/e4.keys")
        self.client = e4.Client(ID, FIRST_KEY, self.store, lambda: self.now, max_command_age=None)
        self._probe = Probe(self.client)

    def stop(self):
        """Unmount the file system without writing anything more to the flash."""
        if self._mounted:
            vfs.umount(self.root)
            self._mounted = False

    def live(self, event, model):
        """Let an event happen to the board and to `model`. Raises PowerCut, or Loss if the two differ."""
        self.now = event.clock
        if event.command is None:
            self.stop()
            self.start()
        else:
            self.deliver(event.command, model)

    def deliver(self, command, model, also_right=()):
        """Give a command to the client and to `model`, and compare what they make of it.

        `also_right` names outcomes that are accepted besides those of the model. Raises PowerCut, or Loss if the
        outcome is another one.
        """
        right = model.deliver(command, self.now, None) + also_right
        try:
            self.outcome = deliver(self.client, command)
        except Loss:
            raise
        except Exception as error:
            self._raise_if_cut()
            raise Loss("{!r} gave {!r}".format(command, error)) from None
        self._raise_if_cut()
        if self.outcome not in right:
            raise Loss("{!r} was {}, right is {}".format(command, self.outcome, " or ".join(right)))

    def tidy(self):
        """Let the store do a few steps of its housekeeping. Raises PowerCut, or Loss if it fails."""
        try:
            self.store.tidy(TIDY_STEPS)
        except Exception as error:
            self._raise_if_cut()
            raise Loss("housekeeping failed: {!r}".format(error)) from None
        self._raise_if_cut()

    def check(self, model):
        """Raise Loss unless the client is in the state of `model`."""
        self._probe.check(model, self.now, self._life.keys, TOPICS)
        if self.flash.violations:
            raise Loss("the file system programmed flash that was not erased")

    def states(self, states):
        """Return those of `states` that the board can be in. Raises Loss if it can be in none of them."""
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
        """Deliver commands of the past once more. Raises PowerCut, or Loss if one of them changes anything."""
        for command in commands:
            twin = model.copy()
            self.deliver(command, twin)
            if twin.floor != model.floor or twin.last != model.last:
                raise Loss("the script is wrong: {!r} is none of the past".format(command))
        self.check(model)

    def _raise_if_cut(self):
        if self.flash.is_cut:
            raise PowerCut()
