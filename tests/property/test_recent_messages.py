"""Compares the memory of accepted messages with what the documents promise, over random traffic and clocks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

import e4
from e4.recent_messages import RecentMessages

_START = 1774894944
_BURST = 1  # seconds after which a burst is over
_TOLERANCE = 60

# Steps: wait so many seconds; receive so many messages of so many seconds of age; receive copies.
_waits = st.tuples(st.just("wait"), st.one_of(st.integers(0, 2), st.integers(0, 90)))
_jumps = st.tuples(st.just("jump"), st.integers(-700, 700))
_ages = st.one_of(st.integers(-3, 3), st.integers(-_TOLERANCE, 600))
_messages = st.tuples(st.just("receive"), _ages, st.integers(1, 12))
_copies = st.tuples(st.just("copies"), st.just(0))
_steady = st.lists(st.one_of(_waits, _messages, _messages, _copies), max_size=40)
_unsteady = st.lists(st.one_of(_waits, _messages, _messages, _copies, _jumps), max_size=40)


@dataclass
class _Receiver:
    """A receiver with a memory for `size` messages. `accepted` has its stamps, payloads and what the clock showed."""

    size: int
    clock: int = _START
    accepted: list[tuple[int, bytes, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recent = RecentMessages(self.size)
        self.ahead = (self.size + 1) // 2

    def take(self, payload: bytes) -> str | None:
        """Return the name of the error with which a payload is refused, or None if it is accepted."""
        try:
            self.recent.check(payload, self.clock - _stamp(payload))
        except e4.Replayed as error:
            return type(error).__name__
        self.recent.add(payload)
        return None

    def burst(self, stamp: int) -> bool:
        """Return whether so many messages have this stamp that the memory may accept copies of it, now."""
        count = sum(other == stamp for other, _, _ in self.accepted)
        return 0 <= self.clock - stamp <= _BURST and count > max(self.size - self.ahead, 1)

    def receive(self, age: int, count: int) -> None:
        """Receive new messages, and check that none is refused that the documents do not give up."""
        for _ in range(count):
            stamp = self.clock - age
            payload = stamp.to_bytes(8, "little") + os.urandom(20)
            verdict = self.take(payload)
            if verdict is None:
                self.accepted.append((stamp, payload, self.clock))
                continue
            assert verdict == "PerhapsReplayed"
            later = [other for other, _, _ in self.accepted if other >= stamp]
            if age < 0:
                # Half the memory is ahead of the clock, or more messages were as late than it holds.
                assert sum(other > self.clock for other, _, _ in self.accepted) >= self.ahead or len(later) > self.size
            else:
                assert len(later) > self.size

    def receive_copies(self) -> None:
        for stamp, payload, _ in list(self.accepted):
            if self.clock - stamp > 600 or stamp - self.clock > _TOLERANCE:
                continue  # its age alone has it refused
            verdict = self.take(payload)
            if verdict is None:
                assert self.burst(stamp)
                self.accepted.append((stamp, payload, self.clock))

    def latest(self) -> None:
        """Check that a copy of what is among the latest messages is known for one."""
        kept = sorted(stamp for stamp, _, _ in self.accepted)[-self.size :]
        for stamp, payload, _ in self.accepted:
            if kept and stamp > kept[0]:
                assert self.take(payload) == "Replayed"


def _stamp(payload: bytes) -> int:
    return int.from_bytes(payload[:8], "little")


def _play(receiver: _Receiver, steps: list[tuple[str, int] | tuple[str, int, int]]) -> None:
    for what, *numbers in steps:
        if what == "receive":
            receiver.receive(*numbers)
        elif what == "copies":
            receiver.receive_copies()
        else:
            receiver.clock += numbers[0]
    receiver.latest()
    receiver.receive_copies()


@settings(max_examples=400, deadline=None)
@given(size=st.sampled_from((1, 2, 3, 8, 32)), steps=_unsteady)
def test_no_copy_is_accepted_but_in_a_burst(size: int, steps: list[tuple[str, int]]) -> None:
    _play(_Receiver(size), steps)


@settings(max_examples=400, deadline=None)
@given(size=st.sampled_from((1, 2, 3, 8, 32)), steps=_steady)
def test_the_future_does_not_reach_the_present(size: int, steps: list[tuple[str, int]]) -> None:
    """While the clock runs forward, only as many messages of the present as half the memory holds shut out another."""
    receiver = _Receiver(size)
    for what, *numbers in steps:
        if what == "wait":
            receiver.clock += numbers[0]
        elif what == "copies":
            receiver.receive_copies()
        else:
            age, count = numbers
            stamp = receiver.clock - age
            present = sum(stamp <= other <= receiver.clock for other, _, _ in receiver.accepted)
            if age >= 0 and present + count <= size - receiver.ahead:
                before = len(receiver.accepted)
                receiver.receive(age, count)
                assert len(receiver.accepted) == before + count
            else:
                receiver.receive(age, count)


@settings(max_examples=50, deadline=None)
@given(size=st.sampled_from((1, 2, 8, 32)), count=st.integers(0, 300), late=st.integers(0, 1))
def test_a_burst_arrives_whole(size: int, count: int, late: int) -> None:
    receiver = _Receiver(size)
    receiver.receive(0, count)
    receiver.clock += late
    receiver.receive(late, 20)
    assert len(receiver.accepted) == count + 20


def test_no_bytes_are_sent_twice_even_where_more_is_sent_than_is_remembered() -> None:
    clock = [_START]
    client = e4.Client(e4.id_of("board"), b"k" * 32, e4.MemoryStore(), lambda: clock[0])
    client.unprotect(e4.protect(e4.commands.set_topic_key(b"t" * 32, "t"), b"k" * 32, _START), client.receiving_topic)
    sent = []
    for second in range(3):
        refused = 0
        for i in range(1500):
            for message in (b"%d" % i, b"again") if i % 100 == 0 else (b"%d" % i,):
                try:
                    sent.append(client.protect_message(message, "t"))
                except e4.SentTooOften:
                    refused += 1
        assert len(sent) == len(set(sent)) > 1000 * (second + 1) and refused < 500
        clock[0] += 1
