"""The cipher keeps buffers and CBC objects between calls. These tests interrupt it between any two of its steps.

Neither another call nor an exception at that point may change a result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import e4
from e4 import protection, siv

_KEY = bytes(range(32))
_OTHER_KEY = bytes(range(1, 33))
_NOW = 1774894944
_MESSAGE = b"m" * 300
_LONG = b"l" * 5000


class _Interrupted(Exception):
    pass


def _run_in_steps(action: Callable[[], object], between: Callable[[int], None]) -> int:
    """Run `action`, and call `between` before each instruction of the module `siv`.

    `between` gets the number of the instruction, from 1. Return the number of instructions.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename != siv.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            sys.settrace(None)
            try:
                between(count)
            finally:
                sys.settrace(trace)
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(None)
    return count


def _check(cipher: siv.SIV) -> None:
    for message in (b"", b"short", _MESSAGE, _LONG):
        fresh = siv.SIV(_KEY)
        sealed = cipher.seal(message, b"12345678")
        assert sealed == fresh.seal(message, b"12345678")
        assert cipher.open(sealed, b"12345678") == message


def test_another_call_between_any_two_steps() -> None:
    cipher = siv.SIV(_KEY)
    expected = cipher.seal(_MESSAGE, b"12345678")

    def seal() -> None:
        assert cipher.seal(_MESSAGE, b"12345678") == expected

    def unseal() -> None:
        assert cipher.open(expected, b"12345678") == _MESSAGE

    for action in (seal, unseal):
        assert _run_in_steps(action, lambda _: _check(cipher)) > 100
    assert len(siv._pool) <= 4


def test_another_call_that_takes_what_is_idle_and_does_not_bring_it_back() -> None:
    cipher = siv.SIV(_KEY)
    expected = cipher.seal(_MESSAGE, b"12345678")
    for action, result in (
        (lambda: cipher.seal(_MESSAGE, b"12345678"), expected),
        (lambda: cipher.open(expected, b"12345678"), _MESSAGE),
    ):
        for stop in range(1, _run_in_steps(action, lambda _: None) + 1):

            def interrupt(step: int, stop: int = stop) -> None:
                if step == stop:
                    siv._pool.clear()
                    cipher._cmac.idle.clear()

            found: list[bytes] = []
            _run_in_steps(lambda action=action, found=found: found.append(action()), interrupt)  # type: ignore[misc]
            assert found == [result]
            _check(cipher)


def test_an_exception_at_any_step_disturbs_nothing_that_follows() -> None:
    cipher = siv.SIV(_KEY)
    payload = protection.seal(cipher, _MESSAGE, _NOW)
    for action in (lambda: protection.seal(cipher, _MESSAGE, _NOW), lambda: cipher.open_stamped(payload)):
        steps = _run_in_steps(action, lambda _: None)
        for stop in range(1, steps + 1):

            def interrupt(step: int, stop: int = stop) -> None:
                if step == stop:
                    raise _Interrupted

            try:
                _run_in_steps(action, interrupt)
            except _Interrupted:
                pass
            else:
                raise AssertionError("it was not interrupted")
            _check(cipher)


def test_many_keys_in_turn() -> None:
    for i in range(20):
        key = bytes([i]) + _OTHER_KEY[1:]
        assert e4.unprotect(e4.protect(_MESSAGE, key, _NOW), key, _NOW) == _MESSAGE
