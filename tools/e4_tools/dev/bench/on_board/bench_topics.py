"""Measures start, look-up, command and heap of a client that holds more and more topics, on board and VM."""

import gc
import json
import os
import sys
import time

_KEY = bytes(range(32))
_FIRST = 1774890000  # Unix seconds of the first command
_FILE = "/e4-bench-state/keys"


def topic(i):
    """Return the name of topic number `i`."""
    return "sensors/room-{}/temperature".format(i)


class _Clock:
    """A clock that always shows `now`."""

    now = _FIRST

    def __call__(self):
        return self.now


def _client(e4, store, clock):
    """Return a client on this store. The clock is set forward if it is behind the last command."""
    client = e4.Client(e4.id_of("bench"), _KEY, store, clock)
    clock.now = max(clock.now, client.floor)
    return client


def grow(held, wanted):
    """Send commands to the client in flash that give it the topics from number `held` to number `wanted`."""
    import e4  # noqa: PLC0415 (`heap` measures the heap that this import takes)

    clock = _Clock()
    client = _client(e4, e4.FileStore(_FILE), clock)
    for i in range(held, wanted):
        clock.now += 1
        command = e4.protect(e4.commands.set_topic_key(_KEY, topic(i)), _KEY, clock.now)
        client.unprotect(command, client.receiving_topic)
    return {}


def heap():
    """Return the heap held by modules and client once they are ready, in bytes."""
    gc.collect()
    before = gc.mem_alloc()
    import e4  # noqa: PLC0415

    client = _client(e4, e4.FileStore(_FILE), _Clock())
    gc.collect()
    held = gc.mem_alloc() - before
    return {"heap": held, "id": client.id[0]}


def node_heap():
    """Return the bytes of heap that all modules of a node hold, library included. No node is started."""
    for name in ("machine", "network"):  # The VM lacks these. Any module may stand in, as nothing is called.
        try:
            __import__(name)
        except ImportError:
            sys.modules[name] = sys
    from umqtt import simple  # noqa: PLC0415 (frozen on boards)

    gc.collect()
    before = gc.mem_alloc()
    from firmware.node import Node  # noqa: PLC0415

    gc.collect()
    return {"heap": gc.mem_alloc() - before, "ready": bool(Node and simple)}


def _quickest(function, repeats):
    """Return the microseconds of one call, the lower quartile of so many calls. The argument is the call's number."""
    times = []
    for i in range(repeats):
        gc.collect()
        started = time.ticks_us()
        function(i)
        times.append(time.ticks_diff(time.ticks_us(), started))
    times.sort()
    return times[len(times) // 4]


def times(held, repeats):
    """Return microseconds for a start, for looking up a key that is not kept ready, and for a command."""
    import e4  # noqa: PLC0415

    clock = _Clock()
    start = _quickest(lambda _: _client(e4, e4.FileStore(_FILE), clock), repeats)
    store = e4.FileStore(_FILE)
    client = _client(e4, store, clock)
    lookup = _quickest(lambda i: client.holds_key(topic(i * 7 % held)), repeats)

    def command(i):
        client.unprotect(payloads[i], client.receiving_topic)

    payloads = []
    for i in range(repeats):
        command_i = e4.commands.set_topic_key(os.urandom(31) + b"k", topic(i * 7 % held))
        payloads.append(e4.protect(command_i, _KEY, clock.now + 1 + i))
    clock.now += repeats
    return {"start": start, "lookup": lookup, "command": _quickest(command, repeats)}


def flash_cost(held, commands, counters):
    """Return bytes and erases for each command, without and with what `tidy` does after it.

    `counters` is a function that returns bytes programmed and blocks erased so far.
    """
    import e4  # noqa: PLC0415

    clock = _Clock()
    store = e4.FileStore(_FILE)
    client = _client(e4, store, clock)
    spent = [0, 0, 0, 0]
    for i in range(commands):
        clock.now += 1
        command = e4.commands.set_topic_key(os.urandom(31) + b"k", topic(i * 7 % held))
        payload = e4.protect(command, _KEY, clock.now)
        before = counters()
        client.unprotect(payload, client.receiving_topic)
        between = counters()
        while store.tidy(8):
            pass
        after = counters()
        for j in range(2):
            spent[j] += between[j] - before[j]
            spent[2 + j] += after[j] - before[j]
    names = ("bytes", "erases", "tidied_bytes", "tidied_erases")
    return {name: spent[j] / commands for j, name in enumerate(names)}


def run(name, *arguments):
    """Print what one of the functions above returns, as one line of JSON."""
    print(json.dumps(globals()[name](*arguments)))
