"""An application that takes all space of the flash: a log that grows, and many small files."""

import os

from powercut.board import Board
from powercut.flash import BLOCK
from powercut.life import QUIET_EVENTS

# The log takes the blocks of the flash.
LOG = "a log"
# Small files take the room in the directory in which the root of the store is.
SMALL_FILES = "small files"


def fill(root, filler):
    """Take all the space that `filler` can take in the file system at `root`."""
    (_fill_log if filler == LOG else _fill_directory)(root)


def _fill_log(root):
    size = BLOCK - 8
    while size:
        try:
            with open(root + "/log", "ab") as file:
                file.write(bytes(size))
        except OSError:
            size //= 8


def _fill_directory(root):
    number = len(os.listdir(root))
    for size in (100, 1):  # The larger ones come first, because littlefs takes long for many files.
        while _make_file("{}/{}".format(root, number), size):
            number += 1


def _make_file(path, size):
    try:
        with open(path, "wb") as file:
            file.write(bytes(size))
        return True
    except OSError:
        try:
            os.remove(path)  # There is an empty file if only its name had room.
        except OSError:
            pass
        return False


class LoggingBoard(Board):
    """A board whose application fills the flash after every start and after every command, apart from the first ones.

    It starts its client first. An application that writes before that may take the block of a spare file which a power
    cut has removed, and the store promises nothing then.
    """

    blocks = 24
    fillers = (LOG,)

    def start(self):
        super().start()
        self._fill()

    def live(self, event, model):
        super().live(event, model)
        self._fill()

    def _fill(self):
        if self.now > max([event.clock for event in self._life.events[:QUIET_EVENTS]]):
            for filler in self.fillers:
                fill(self.root, filler)
            self._raise_if_cut()


class CrowdedBoard(LoggingBoard):
    """A board whose application fills the blocks of the flash first, and then the directory of the store's root."""

    fillers = (LOG, SMALL_FILES)
