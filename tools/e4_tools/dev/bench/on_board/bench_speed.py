"""Measures times as ratios over the work that no implementation can avoid, and the heap of a call, on board and VM.

Two functions are compared by timing them in turn, many times, in batches so small that no garbage collection is due.
"""

import gc
import hashlib
import json
import time

from cryptolib import aes

import e4
from e4.loops import BACKEND, keccak_f
from e4.siv import decrypt, encrypt

_ECB = 1
_CBC = 2
_ZERO = bytes(16)
_KEY = bytes(range(32))
_AD = b"12345678"
_NOW = 1774894944
_TOPIC = "sensors/lab"
_PER_SECOND = 20  # messages; more than most boards receive
_GARBAGE = 24000  # bytes that a batch may leave behind
_TURNS = 5


def _batch(function, calls):
    """Return the microseconds that so many calls take without garbage collection."""
    gc.collect()
    gc.disable()
    started = time.ticks_us()
    for _ in range(calls):
        function()
    passed = time.ticks_diff(time.ticks_us(), started)
    gc.enable()
    return passed


def _ratios(floor, ours, calls, rounds, prepare=None):
    """Return one ratio for each round: the quickest batch of `ours` over the quickest batch of `floor`."""
    found = []
    for _ in range(rounds):
        times = [], []
        for _ in range(_TURNS):
            times[0].append(_batch(floor, calls))
            if prepare is not None:
                prepare(calls)
            times[1].append(_batch(ours, calls))
        found.append(min(times[1]) / max(min(times[0]), 1))
    return found


def _allocated(function):
    """Return the bytes of heap that one call takes, after a first call has allocated the buffers that are kept."""
    most = 0
    function()
    for _ in range(5):
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        result = function()
        most = max(most, gc.mem_alloc() - before)
        gc.enable()
        del result
    return most


def _floor(message):
    """Return a function that makes one raw CBC and one raw ECB call over these bytes, constructors included."""

    def floor():
        aes(_KEY, _CBC, _ZERO).encrypt(message)
        aes(_KEY, _ECB).encrypt(message)

    return floor


def siv(sizes, rounds):
    """Measure AES-SIV alone, with its key given as bytes."""
    figures = {}
    for n in sizes:
        message = bytes(n)
        sealed = encrypt(_KEY, _AD, message)
        calls = max(2, _GARBAGE // (2 * n + 800))
        floor = _floor(message)
        figures["siv_encrypt_over_floor/{}".format(n)] = _ratios(
            floor, lambda m=message: encrypt(_KEY, _AD, m), calls, rounds
        )
        figures["siv_decrypt_over_floor/{}".format(n)] = _ratios(
            floor, lambda s=sealed: decrypt(_KEY, _AD, s), calls, rounds
        )
    return figures


class _Traffic:
    """A client whose memories of recent messages are full, and messages of `n` bytes that all differ."""

    def __init__(self, n):
        self._count = 0
        self.client = e4.Client(e4.id_of("bench"), _KEY, e4.MemoryStore(), self._now)
        command = e4.protect(e4.commands.set_topic_key(_KEY, _TOPIC), _KEY, _NOW)
        self.client.unprotect(command, self.client.receiving_topic)
        self._n = n
        self._waiting = []
        for _ in range(300):
            self.payloads(1)
            self.unprotect()
            self.messages(1)
            self.protect()

    def _now(self):
        """Return the time, which goes on as messages are made."""
        return _NOW + self._count // _PER_SECOND

    def messages(self, count):
        """Make messages that wait to be protected."""
        for _ in range(count):
            self._count += 1
            self._waiting.append(self._count.to_bytes(4, "big") + bytes(self._n - 4))

    def payloads(self, count):
        """Make protected messages that wait to be unprotected."""
        for _ in range(count):
            self.messages(1)
            self._waiting.append(e4.protect(self._waiting.pop(), _KEY, self._now()))

    def protect(self):
        """Protect a message that waits."""
        return self.client.protect_message(self._waiting.pop(0), _TOPIC)

    def unprotect(self):
        """Unprotect a message that waits."""
        return self.client.unprotect(self._waiting.pop(0), _TOPIC)


def client(sizes, rounds):
    """Measure the whole call of a client, which includes topic, clock, key and the memory of recent messages."""
    figures = {}
    for n in sizes:
        traffic = _Traffic(n)
        floor = _floor(bytes(n))
        calls = max(2, _GARBAGE // (3 * n + 1200))
        for name, ours, prepare in (
            ("protect", traffic.protect, traffic.messages),
            ("unprotect", traffic.unprotect, traffic.payloads),
        ):
            figures["{}_over_floor/{}".format(name, n)] = _ratios(floor, ours, calls, rounds, prepare)
            prepare(6)
            figures["heap_per_{}_beyond_2n/{}".format(name, n)] = [_allocated(ours) - 2 * n]
    return figures


def sha3(rounds):
    """Measure one permutation of Keccak over SHA-256 of 1 KiB."""
    state, data = bytearray(200), bytes(1024)
    return {
        "sha3_over_sha256_1k": _ratios(lambda: hashlib.sha256(data).digest(), lambda: keccak_f(state), 20, rounds),
    }


def backend():
    """Return the name of the backend of `e4.loops`."""
    return {"backend": BACKEND}


def run(name, *arguments):
    """Print the figures of one of the functions above, as one line of JSON."""
    print(json.dumps(globals()[name](*arguments)))
