"""A node that runs out of memory: the heap is filled but for some bytes, so that every allocation in turn fails.

`tests/property/test_interrupted_node.py` does the same on CPython, with an exception at each line.
"""

import gc

from helpers.portable.node_life import Life, make_world

# The bytes that are left free while a phase lasts, on a machine whose objects are twice as large as a board's.
_LEFT = tuple(range(0, 1600, 160)) + tuple(range(1600, 8000, 640)) + (10000, 14000)
_PHASES = 7


class _Ballast:
    """Fills the heap. The list of what fills it is made once, because it takes heap as well."""

    def __init__(self):
        self._blocks = [None] * 4000
        self._is_loaded = False

    def surround(self, call, left, collects):
        """Call a function with only one free piece of so many bytes. `collects` says whether garbage is collected."""
        if self._is_loaded:  # A handler posts while the node takes a turn.
            return call()
        self._is_loaded = True
        gc.collect()
        gc.disable()  # Otherwise each allocation that fails here would collect first.
        piece = bytearray(left) if left else None
        count = 0
        size = 1 << 20
        while size > 8:
            try:
                self._blocks[count] = bytearray(size)
                count += 1
            except MemoryError:
                size >>= 1
        del piece
        gc.collect()
        if collects:
            gc.enable()
        try:
            return call()
        finally:
            for i in range(count):
                self._blocks[i] = None
            self._is_loaded = False
            gc.enable()
            gc.collect()


def _live(ballast, phase, left, collects):
    """Live a life in which memory is short during one phase. Return what went wrong, and how the life went."""
    with make_world() as world:
        node = world.node
        life = Life(world, lambda: surround(lambda: node._cycle(0)))

        def surround(call):
            return ballast.surround(call, left, collects) if life.phase == phase else call()

        post = node.post
        node.post = lambda topic, message, retain=False, qos=1: surround(lambda: post(topic, message, retain, qos))
        raised = 0
        for number, live in enumerate(life.phases):
            life.phase = number
            try:
                live()
            except MemoryError:  # The application got it from `post`.
                raised += 1
        life.phase = None
        refused = sum(outgoing is None or outgoing.error is not None for _, outgoing in life.posted)
        went = len(world.brokers), raised, refused, life.told, len(life.heard)
        life.settle()
        return life.faults(), went


def test_a_node_that_runs_out_of_memory_in_any_phase_recovers():
    ballast = _Ballast()
    faults, usual = _live(ballast, -1, 0, True)
    assert faults == []
    found = []
    disturbed = 0
    for phase in range(_PHASES):
        for collects in (True, False):
            for left in _LEFT:
                faults, went = _live(ballast, phase, left, collects)
                disturbed += went != usual
                if faults:
                    found.append("phase {}, {} bytes, {}: {}".format(phase, left, collects, "; ".join(faults)))
    assert not found, "\n".join(found)
    assert disturbed > 100, disturbed
