"""The handlers that an application registers with its node, and how they are called."""

import sys

import e4
from e4._const import const

from . import console, filters
from .errors import LinkDown, describe
from .ticks import ticks_diff, ticks_ms

# Only those who check types read the names below. A board neither evaluates annotations nor compiles this block.
_FOR_TYPES = const(0)
if _FOR_TYPES:
    from collections.abc import Callable
    from typing import TypeVar

    _Every = TypeVar("_Every", bound=Callable[[], object])
    _OnCommand = TypeVar("_OnCommand", bound=Callable[[], object])
    _OnLine = TypeVar("_OnLine", bound=Callable[[str], object])
    _OnMessage = TypeVar("_OnMessage", bound=Callable[[str, bytes], object])
    _OnRefused = TypeVar("_OnRefused", bound=Callable[[str, Exception], object])

# The number of calls after which everything else has its turn: handlers may cause each other without an end.
_CALLS_PER_TURN = const(32)


class Handlers:
    """The functions of the application for what arrives, what is typed and what is due.

    What a handler raises is printed on the console. It does not stop the node.
    """

    def __init__(self, inbox) -> None:
        self._inbox = inbox
        self._editor = console.LineEditor()
        # The handler for typed lines, or None; `on_line` sets it.
        self._on_line: Callable[[str], object] | None = None
        # For each handler that is called periodically: [handler, period in ms, ms left until the next call].
        self._periodic: list[list] = []
        # The ticks at which `_call_periodic` last ran.
        self._last_tick = ticks_ms()

    def on(self, topic_filter: str | None = None) -> "Callable[[_OnMessage], _OnMessage]":
        """Register `handler(topic, message)` for unprotected messages, and subscribe to `topic_filter`.

        Without a topic filter, the handler is called for the messages of all topics that the node subscribes to.
        `topic` is str, `message` is bytes. Raises ValueError if `topic_filter` is not valid.
        """
        if topic_filter is not None and not filters.is_valid(topic_filter):
            raise ValueError('"{}" is no topic filter'.format(topic_filter))

        def register(handler: "_OnMessage") -> "_OnMessage":
            self._inbox.handlers.append((topic_filter, handler))
            return handler

        return register

    def on_raw(self, handler: "_OnMessage") -> "_OnMessage":
        """Register `handler(topic, payload)` for everything that arrives, as it arrives."""
        self._inbox.on_raw = handler
        return handler

    def on_command(self, handler: "_OnCommand") -> "_OnCommand":
        """Register `handler()`, called when a command has been applied."""
        self._inbox.on_command = handler
        return handler

    def on_refused(self, handler: "_OnRefused") -> "_OnRefused":
        """Register `handler(topic, error)` for what could not be unprotected."""
        self._inbox.on_refused = handler
        return handler

    def on_line(self, handler: "_OnLine") -> "_OnLine":
        """Register `handler(line)` for lines typed on the serial console."""
        self._on_line = handler
        return handler

    def every(self, seconds: int) -> "Callable[[_Every], _Every]":
        """Register `handler()`, called every so many seconds while the node is connected."""

        def register(handler: "_Every") -> "_Every":
            self._periodic.append([handler, seconds * 1000, seconds * 1000])
            return handler

        return register

    def _call_periodic(self, connected: bool) -> None:
        """Call the handlers that are due, if the node is connected.

        Each period is counted down by the time since the last call of this method, because a period may be longer than
        the ticks of a board can measure.
        """
        now = ticks_ms()
        passed = ticks_diff(now, self._last_tick)
        self._last_tick = now
        for entry in self._periodic:
            entry[2] = max(0, entry[2] - passed)
            if entry[2] == 0 and connected:
                entry[2] = entry[1]
                self._call(entry[0])

    def _call_waiting(self) -> None:
        """Call the handlers that wait, in order, and those of what arrives meanwhile."""
        for _ in range(_CALLS_PER_TURN):
            if not self._has_room():
                return
            call = self._inbox.next_call()
            if call is None:
                return
            self._call(call[0], call[1])

    def _has_room(self) -> bool:
        """Tell whether the application can take another message."""
        return True

    def _call(self, handler, arguments=()) -> None:
        """Call a handler with these arguments, and report what it raises."""
        try:
            result = handler(*arguments)
            if hasattr(result, "send"):
                self._begin(result)
        except Exception as error:
            report(error)

    def _begin(self, coroutine) -> None:
        """Start the coroutine of an `async def` handler. Only `firmware.aio` can; here TypeError is raised."""
        raise TypeError("an `async def` handler needs the Node of firmware.aio")


def report(error: Exception) -> None:
    """Print what a handler has raised: an error of E4 or of the connection in one line, others with a traceback."""
    if isinstance(error, (e4.E4Error, LinkDown)):
        print("* not done:", describe(error))
    else:
        print("* a handler failed:")
        sys.print_exception(error)
