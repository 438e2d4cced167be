"""Compares a client with the model over random histories of commands, messages, copies, restarts and clock changes."""

from __future__ import annotations

import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import e4
from powercut.model import APPLIED, IGNORED, REMOVE, RESET, SET_ID, SET_TOPIC, TOLERANCE, Command, Model
from powercut.probe import Probe, deliver

_START = 1774894944
_ID = e4.id_of("board")
_TOPICS = ("sensors/lab", "sensors/roof", "alarms")
_MAX_AGE = 600

# There are only a few keys, so that a key is often used again after another one.
_keys = st.integers(1, 8).map(lambda number: bytes((number,)) * 32)
_topics = st.sampled_from(_TOPICS)
_ages = st.one_of(st.just(0), st.integers(-70, 70), st.integers(-100, 700), st.integers(-4000, 100_000))
_weird = st.one_of(
    st.binary(min_size=1, max_size=60).filter(lambda plain: plain[0] > 3 or len(plain) not in (1, 17, 33, 49)),
    st.just(bytes((SET_ID,)) + bytes(32)),
    st.just(bytes((SET_TOPIC,)) + b"k" * 32 + e4.topic_hash(e4.receiving_topic(_ID))),
)


class ClientLife(RuleBasedStateMachine):
    """Everything that C2, a broker that repeats messages, power cuts and a bad clock can do to a client."""

    # All commands that were sent, whether the client has applied them or not.
    sent = Bundle("sent")
    # The payloads of messages that others have sent, with their topics.
    messages = Bundle("messages")

    @initialize(max_age=st.sampled_from((None, 600, 50_000)), in_files=st.booleans())
    def begin(self, max_age: int | None, in_files: bool) -> None:
        self.clock = _START
        self.clock_is_set = True
        self.max_age = max_age
        self.folder = tempfile.TemporaryDirectory() if in_files else None
        self.store = None if in_files else e4.MemoryStore()
        self.model = Model(b"first ID key".ljust(32, b"."))
        self.first_key = self.model.id_key
        self.keys: dict[str, list[bytes]] = {"id": [self.model.id_key]}
        self.restart()
        self._deliver(SET_TOPIC, 0, 9, _TOPICS[0], b"k" * 32)

    @rule()
    def restart(self) -> None:
        store = e4.FileStore(self.folder.name + "/keys") if self.folder else self.store
        self.client = e4.Client(_ID, self.first_key, store, self._time, max_command_age=self.max_age, remembered=5000)
        self.probe = Probe(self.client)
        self.accepted: set[bytes] = set()
        self.published: set[bytes] = set()

    @rule(seconds=st.one_of(st.integers(0, 3), st.integers(-700, 4000), st.integers(-100_000, 100_000)))
    def clock_jumps(self, seconds: int) -> None:
        self.clock += seconds
        if seconds < 0:  # A clock that was set back may make the client forget what it has sent.
            self.published = set()

    @rule(target=sent, topic=_topics, key=_keys, age=_ages, who=st.integers(0, 9))
    def set_topic_key(self, topic: str, key: bytes, age: int, who: int) -> Command:
        return self._deliver(SET_TOPIC, age, who, topic, key)

    @rule(target=sent, topic=_topics, age=_ages, who=st.integers(0, 9))
    def remove_topic(self, topic: str, age: int, who: int) -> Command:
        return self._deliver(REMOVE, age, who, topic)

    @rule(target=sent, age=_ages, who=st.integers(0, 9))
    def reset_topics(self, age: int, who: int) -> Command:
        return self._deliver(RESET, age, who)

    @rule(target=sent, key=_keys, age=_ages, who=st.integers(0, 9))
    def set_id_key(self, key: bytes, age: int, who: int) -> Command:
        return self._deliver(SET_ID, age, who, None, key)

    @rule(target=sent, keys=st.tuples(_keys, _keys))
    def a_lost_id_key(self, keys: tuple[bytes, bytes]) -> Command:
        """C2 loses a new ID key before it has used it, and sends another new one under the old key."""
        self._deliver(SET_ID, 0, 9, None, keys[0])
        return self._deliver(SET_ID, 0, 1, None, keys[1])

    @rule(target=sent, topic=_topics, keys=st.lists(_keys, min_size=2, max_size=4))
    def burst(self, topic: str, keys: list[bytes]) -> Command:
        """C2 sends several commands within one second. The last one must count."""
        return [self._deliver(SET_TOPIC, 0, 9, topic, key) for key in keys][-1]

    @rule(command=sent)
    def replay(self, command: Command) -> None:
        self._deliver_again(command)

    @rule(commands=st.lists(sent, max_size=8))
    def replay_many(self, commands: list[Command]) -> None:
        for command in commands:
            self._deliver_again(command)

    @rule(plain=_weird, age=_ages, who=st.integers(0, 9))
    def weird_command(self, plain: bytes, age: int, who: int) -> None:
        command = Command(RESET, self._id_key(who), self._stamp(age))
        command.payload = e4.protect(plain, command.under, command.stamp)
        right = self.model.refusals(command, self.clock, self.max_age) or ["InvalidCommand", "UnsupportedCommand"]
        # The client may check the content of a command before its age or after it, so both errors are right.
        assert deliver(self.client, command) in {*right, "InvalidCommand", "UnsupportedCommand"}

    @rule(command=sent, message=messages)
    def without_the_time(self, command: Command, message: tuple[bytes, str]) -> None:
        """A client whose clock is not set accepts nothing. It can still recognise a redelivery of the last command."""
        self.clock_is_set = False
        right = IGNORED if command.payload in self.model.last else "ClockNotSet"
        assert deliver(self.client, command) == right
        assert self._unprotect(*message) in ("ClockNotSet", "TopicKeyNotFound")
        self.clock_is_set = True

    @rule(target=messages, topic=_topics, which=st.integers(0, 3), age=_ages, text=st.binary(min_size=1, max_size=40))
    def message(self, topic: str, which: int, age: int, text: bytes) -> tuple[bytes, str]:
        ever = self.keys.get(topic, [b"another key".ljust(32, b".")])
        stamp = self._stamp(age)
        key = ever[-1 - which % len(ever)]
        payload = e4.protect(text, key, stamp)
        self._receive(payload, topic, key, stamp, text)
        return payload, topic

    @rule(message=messages)
    def copy_of_a_message(self, message: tuple[bytes, str]) -> None:
        payload, topic = message
        if payload in self.accepted:
            assert self._unprotect(payload, topic) in ("Replayed", "TimestampTooOld", "TimestampInFuture",
                                                       "TopicKeyNotFound")  # fmt: skip

    @rule(topic=_topics, text=st.sampled_from((b"on", b"off")), times=st.integers(1, 5))
    def publish(self, topic: str, text: bytes, times: int) -> None:
        """A client that sends the same text again sends another payload, and a receiver with the same time opens it."""
        for _ in range(times if topic in self.model.topics else 0):
            try:
                payload = self.client.protect_message(text, topic)
            except e4.SentTooOften:
                # In this second more messages were sent than a client remembers; those of the probe count as well.
                return
            assert payload not in self.published
            self.published.add(payload)
            stamp = int.from_bytes(payload[:8], "little")
            assert stamp <= max(self.clock, self.model.floor)
            assert e4.unprotect(payload, self.model.topics[topic][0], stamp) == text

    @invariant()
    def client_and_model_agree(self) -> None:
        self.probe.check(self.model, self.clock, self.keys, _TOPICS)

    def teardown(self) -> None:
        if getattr(self, "folder", None):
            self.folder.cleanup()

    def _time(self) -> int:
        if not self.clock_is_set:
            raise e4.ClockNotSet("the time is not known")
        return self.clock

    def _id_key(self, who: int) -> bytes:
        """Return the current ID key mostly, the previous one sometimes, and the first one seldom."""
        if who == 0:
            return self.keys["id"][0]
        return (self.model.previous_id_key or self.model.id_key) if who < 3 else self.model.id_key

    def _stamp(self, age: int) -> int:
        return max(self.clock, self.model.floor) - age

    def _deliver(self, opcode: int, age: int, who: int, topic: str | None = None, key: bytes = b"") -> Command:
        command = Command(opcode, self._id_key(who), self._stamp(age), topic, key)
        if key:
            _remember_key(self.keys.setdefault(topic or "id", []), key)
        self._deliver_again(command)
        return command

    def _deliver_again(self, command: Command) -> None:
        floor, last = self.model.floor, self.model.last
        right = self.model.deliver(command, self.clock, self.max_age)
        assert deliver(self.client, command) in right
        assert right != (APPLIED,) or (floor, last) != (self.model.floor, self.model.last)
        if command.payload in last:
            assert right == (IGNORED,)

    def _unprotect(self, payload: bytes, topic: str) -> bytes | str | None:
        try:
            return self.client.unprotect(payload, topic)
        except e4.E4Error as error:
            return type(error).__name__

    def _receive(self, payload: bytes, topic: str, key: bytes, stamp: int, text: bytes) -> None:
        now = max(self.clock, self.model.floor)
        opens = self.model.opens(topic, self.clock)
        right = []
        if not opens:
            right.append("TopicKeyNotFound")
        if stamp > now + TOLERANCE:
            right.append("TimestampInFuture")
        if now - stamp > _MAX_AGE:
            right.append("TimestampTooOld")
        if opens and key not in opens:
            right.append("NotAuthentic")
        if payload in self.accepted:
            right.append("Replayed")
        outcome = self._unprotect(payload, topic)
        assert outcome in (right or [text])
        if not right:
            self.accepted.add(payload)


def _remember_key(ever: list[bytes], key: bytes) -> None:
    """Move a key to the end of a list of keys, or add it there. The probe asks for the last three keys of each list."""
    if key in ever:
        ever.remove(key)
    ever.append(key)


ClientLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClientLife = ClientLife.TestCase
