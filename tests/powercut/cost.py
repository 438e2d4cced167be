"""Measures how much flash work one command causes, depending on the number of topics that the board holds.

This runs on the MicroPython VM. Other programs call `measure(topics)`; run as a program, the module prints a table.
"""

import sys

import vfs

import e4
from powercut.flash import BLOCK, Flash, blank

_KEY = b"k" * 32
_START = 1774894944


def _format(blocks):
    flash = Flash(blank(blocks))
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/cost")
    return flash


class _Board:
    def __init__(self, store):
        self.now = _START
        self.store = store
        self.client = e4.Client(e4.id_of("cost"), _KEY, store, lambda: self.now)

    def rotate(self, topic, number):
        """Give the client a new key for a topic, one second after the last command."""
        self.now += 1
        command = e4.commands.set_topic_key(number.to_bytes(4, "big") * 8, topic)
        self.client.unprotect(e4.protect(command, _KEY, self.now), self.client.receiving_topic)


def measure(topics, commands=100, tidy=False, blocks=512, store_class=e4.FileStore):
    """Return (programs, erases, bytes programmed) per command, as floats, for a board that holds `topics` topics.

    The commands are new keys, spread evenly over the topics, on littlefs with `blocks` blocks of 4 KiB. First as many
    commands run that are not counted, so that the store has reached its usual state. If `tidy` is true, the store
    does all of its housekeeping after each command, and the work of overwriting replaced keys counts as well.
    """
    flash = _format(blocks)
    try:
        board = _Board(store_class("/cost/e4.keys"))
        for i in range(topics):
            board.rotate("topic/{}".format(i), i + 1)
        for i in range(2 * commands):
            if i == commands:
                before = flash.counted()
            board.rotate("topic/{}".format(i * 7919 % topics), topics + i + 1)
            while tidy and board.store.tidy(8):
                pass
    finally:
        vfs.umount("/cost")
    after = flash.counted()
    return tuple((after[i] - before[i]) / commands for i in range(3))


def main():
    print("topics  programs  erases  bytes, per command (blocks of {} bytes); the same with housekeeping".format(BLOCK))
    for topics in [int(text) for text in sys.argv[1:]] or [1, 10, 100, 1000]:
        row = measure(topics) + measure(topics, 30, True)
        print(("{:6}" + 2 * "  {:8.1f}  {:6.2f}  {:5.0f}").format(topics, *row))


if __name__ == "__main__":
    main()
