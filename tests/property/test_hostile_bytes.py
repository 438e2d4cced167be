"""Random input must give an E4Error or a valid result, and never another exception. An error must change nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import e4
from e4 import commands

_NOW = 1774894944
_ID = e4.id_of("board")
_ID_KEY = bytes(range(1, 33))
_TOPIC = "sensors/lab"
_TOPIC_KEY = b"t" * 32
_RECEIVING = e4.receiving_topic(_ID)

_stamps = st.one_of(st.integers(_NOW - 700, _NOW + 70), st.integers(0, 2**64 - 1)).map(
    lambda t: t.to_bytes(8, "little")
)
_payloads = st.one_of(st.binary(max_size=100), st.tuples(_stamps, st.binary(max_size=100)).map(b"".join))
_topics = st.one_of(
    st.sampled_from((_TOPIC, _TOPIC.encode(), _RECEIVING, _RECEIVING.encode(), "", "\udc80", "x" * 513)),
    st.text(),
    st.binary(),
    st.none(),
    st.integers(),
    st.just([_TOPIC]),
    st.just(1.5),
    st.just(bytearray(_TOPIC.encode())),
    st.just(memoryview(_RECEIVING.encode())),
)


class _Board:
    def __init__(self) -> None:
        self.store = e4.MemoryStore()
        self.client = e4.Client(_ID, _ID_KEY, self.store, lambda: _NOW)
        command = e4.protect(commands.set_topic_key(_TOPIC_KEY, _TOPIC), _ID_KEY, _NOW - 100)
        self.client.unprotect(command, _RECEIVING)

    def state(self) -> tuple[object, ...]:
        records = {name: self.store.get(name) for name in self.store.names()}
        return records, self.client.applied, self.client.floor, self.client.receiving_topic


@pytest.fixture(scope="module")
def board() -> _Board:
    """A client for all tests that must not change its state."""
    return _Board()


@settings(max_examples=1500, deadline=None)
@given(_payloads, _topics, st.sampled_from((bytes, bytearray, memoryview)))
def test_noise_is_refused(board: _Board, payload: bytes, topic: object, container: type) -> None:
    before = board.state()
    with pytest.raises(e4.E4Error):
        board.client.unprotect(container(payload), topic)
    assert board.state() == before


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 200), st.integers(1, 255), st.booleans())
def test_a_flipped_byte_is_refused(board: _Board, position: int, flip: int, is_command: bool) -> None:
    plain, key, topic = b"21.5 C", _TOPIC_KEY, _TOPIC
    if is_command:
        plain, key, topic = commands.set_topic_key(b"u" * 32, _TOPIC), _ID_KEY, _RECEIVING
    payload = bytearray(e4.protect(plain, key, _NOW))
    payload[position % len(payload)] ^= flip
    before = board.state()
    with pytest.raises(e4.E4Error):
        board.client.unprotect(bytes(payload), topic)
    assert board.state() == before


@settings(max_examples=600, deadline=None)
@given(
    st.one_of(
        st.binary(min_size=1, max_size=120),
        st.tuples(
            st.integers(0, 8), st.sampled_from((0, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64)), st.integers(0, 255)
        ).map(lambda parts: bytes((parts[0],)) + bytes((parts[2],)) * parts[1]),
    ),
    st.integers(_NOW - 800, _NOW + 100),
)
@example(commands.set_topic_key(b"u" * 32, _RECEIVING), _NOW)
def test_an_authentic_command_is_applied_as_it_says_or_changes_nothing(plain: bytes, stamp: int) -> None:
    board = _Board()
    before = board.state()
    try:
        assert board.client.unprotect(e4.protect(plain, _ID_KEY, stamp), _RECEIVING) is None
    except e4.E4Error:
        assert board.state() == before
        return
    assert {0: 17, 1: 1, 2: 33, 3: 49}[plain[0]] == len(plain)
    assert _NOW - 100 <= stamp <= _NOW + 60
    assert (board.client.applied, board.client.floor) == (2, stamp)
    assert board.client.holds_key(_TOPIC) == (plain[0] != 1 and plain != b"\0" + e4.topic_hash(_TOPIC))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=120))
def test_the_parser_of_commands(plain: bytes) -> None:
    try:
        opcode, key, hashed = commands.parse(plain)
    except e4.E4Error:
        return
    assert (opcode, key is None, hashed is None) in (
        (0, True, False),
        (1, True, True),
        (2, False, True),
        (3, False, False),
    )


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)), _topics)
def test_protecting_whatever(board: _Board, message: bytes | str, topic: object) -> None:
    before = board.state()
    try:
        payload = board.client.protect_message(message, topic)
    except e4.E4Error:
        pass
    else:
        expected = message.encode() if isinstance(message, str) else message
        assert e4.unprotect(payload, _TOPIC_KEY, _NOW) == expected
    assert board.state() == before
