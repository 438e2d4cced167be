"""A node is disturbed at every line of its code, once in each phase of its life, and must recover each time.

An exception that belongs to a lack of memory or to a driver ends a connection at most. Ctrl-C ends a run, and the same
node can run again. Whatever happens, no message counts as delivered that was not, none is lost in silence, nothing
stays counted that is gone, and the node goes on. `tests/faults/in_memory` does the same with a real lack of memory.
"""

from __future__ import annotations

import builtins
import linecache
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

import firmware
from helpers.portable.node_end import BoardReset
from helpers.portable.node_life import Life, make_world

_FOLDER = str(Path(firmware.__file__ or "").parent)
# Between two lines of these functions nobody owns the stream, or it is just being closed. Nothing really fails there.
_STREAM_CHANGES_HANDS = ("open", "close", "close_quietly", "open_stream", "_connect")
# Here a handler has begun, so that its message is not kept for another call.
_HANDLER_HAS_BEGUN = ("_call", "_call_waiting")


class _Undisturbed(Exception):
    """Raised where a life did not come to the place at which it was to be disturbed."""


class _NoRandom:
    @staticmethod
    def urandom(count: int) -> bytes:
        return bytes(count)


class _Place(NamedTuple):
    phase: int
    file: str
    line: int
    function: str


class _Disturbance:
    """Raises an exception once, before a line is executed in a phase, and lists the lines of all phases."""

    def __init__(self, at: _Place | None, error: type[BaseException]) -> None:
        self.at = at
        self.error = error
        self.phase = 0
        self.places: dict[_Place, None] = {}

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_FOLDER):
            return None
        if event == "line":
            # Nothing can fail on a line of `try:`, and what were raised there would be outside of the block.
            if self.at is None and linecache.getline(code.co_filename, frame.f_lineno).strip() == "try:":
                return self.trace
            if self.at is None:
                self.places[_Place(self.phase, code.co_filename, frame.f_lineno, code.co_name)] = None
            elif frame.f_lineno == self.at.line and self.phase == self.at.phase and code.co_filename == self.at.file:
                sys.settrace(None)
                raise self.error("on purpose")
        return self.trace


def _live(at: _Place | None, error: type[BaseException]) -> tuple[list[str], list[_Place]]:
    """Live a life that is disturbed at one place. Return what went wrong, and all places where it can be disturbed."""
    disturbance = _Disturbance(at, error)
    was_disturbed = False
    with make_world() as world:
        life = Life(world)
        for number, phase in enumerate(life.phases):
            disturbance.phase = number
            if not was_disturbed:
                sys.settrace(disturbance.trace)
            try:
                phase()
            except BaseException as caught:
                sys.settrace(None)
                if caught.args != ("on purpose",) and not isinstance(caught, BoardReset):
                    raise
                # It has reached the application: from `post`, from `start` or, if it is Ctrl-C, from anywhere.
                if issubclass(error, Exception) and _came_through(caught, "_cycle"):
                    return ["it has left the loop"], []
                world.node.stop()
                world.node.start()
                life.turns(20, world.connected)
            finally:
                was_disturbed = at is not None and sys.gettrace() is None
                sys.settrace(None)
        if at is not None and not was_disturbed:
            raise _Undisturbed
        life.settle()
        faults = life.faults()
    if at is not None and at.function in _STREAM_CHANGES_HANDS:
        faults = [fault for fault in faults if "sockets are open" not in fault]
    if at is not None and at.function in _HANDLER_HAS_BEGUN:
        faults = [fault for fault in faults if "lost in silence" not in fault and "nobody was told" not in fault]
    return faults, list(disturbance.places)


def _came_through(error: BaseException, function: str) -> bool:
    """Tell whether an exception has passed a function. Where it was raised does not count."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        if traceback.tb_frame.f_code.co_name == function:
            return True
        traceback = traceback.tb_next
    return False


# Each of the three takes the same ways. One of them takes all of them.
@pytest.mark.parametrize(("error", "every"), [(MemoryError, 1), (OSError, 5), (KeyboardInterrupt, 5)])
def test_a_node_that_is_disturbed_at_any_line_recovers(
    error: type[BaseException], every: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    # The pauses between two attempts to connect are always the same, so that each life takes the same way.
    monkeypatch.setattr("firmware.connection.os", _NoRandom)
    monkeypatch.setattr(builtins, "print", lambda *_, **__: None)
    faults, places = _live(None, error)
    assert faults == [] and len(places) > 1000
    found = []
    missed = 0
    for place in places[::every]:
        try:
            faults, _ = _live(place, error)
        except _Undisturbed:
            missed += 1
            continue
        if faults:
            found.append(f"{place}: {'; '.join(faults)}")
    assert not found, "\n".join(found)
    assert missed < 10
