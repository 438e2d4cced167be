"""What an application registers with its node, and how it is called."""

import sys

import e4
from e4._const import const

from . import console, filters, inbox
from .errors import LinkDown, describe
from .ticks import ticks_diff, ticks_ms

_MAX_CALLS = const(32)  # until everything else has its turn


class Handlers:
    """Functions of the application for what arrives, is typed, or is due. One that raises is reported, no more."""

    def __init__(self, inbox: inbox.Inbox) -> None:
        self._inbox = inbox
        self._editor = console.LineEditor()
        self._on_line = None
        self._periodic: list = []  # [handler, period in ms, ms left until the next call]
        self._last_tick = ticks_ms()

    def on(self, topic_filter: str | None = None):
        """Register `handler(topic, message)` for unprotected messages, and subscribe to `topic_filter`.

        Without a topic filter the handler gets what arrives on every topic subscribed to. `topic` is text,
        `message` bytes. Raises ValueError for what is no topic filter.
        """
        if topic_filter is not None and not filters.is_valid(topic_filter):
            raise ValueError('"{}" is no topic filter'.format(topic_filter))

        def register(handler):
            self._inbox.handlers.append((topic_filter, handler))
            return handler

        return register

    def on_raw(self, handler):
        """Register `handler(topic, payload)` for everything that arrives, as it arrives."""
        self._inbox.on_raw = handler
        return handler

    def on_command(self, handler):
        """Register `handler()`, called when a command has been applied."""
        self._inbox.on_command = handler
        return handler

    def on_refused(self, handler):
        """Register `handler(topic, error)` for what could not be unprotected."""
        self._inbox.on_refused = handler
        return handler

    def on_line(self, handler):
        """Register `handler(line)` for lines typed on the serial console."""
        self._on_line = handler
        return handler

    def every(self, seconds: int):
        """Register `handler()`, called every so many seconds while the node is connected."""

        def register(handler):
            self._periodic.append([handler, seconds * 1000, seconds * 1000])
            return handler

        return register

    def _call_periodic(self, connected: bool) -> None:
        """Count the time since the last call off all periods (one may be longer than ticks can tell) and call."""
        now = ticks_ms()
        passed = ticks_diff(now, self._last_tick)
        self._last_tick = now
        for entry in self._periodic:
            entry[2] = max(0, entry[2] - passed)
            if entry[2] == 0 and connected:
                entry[2] = entry[1]
                self._call(entry[0])

    def _call_waiting(self) -> None:
        """Call the handlers of what has arrived, in order; some of what arrives meanwhile as well."""
        for _ in range(_MAX_CALLS):
            if not self._has_room():
                return
            call = self._inbox.next_call()
            if call is None:
                return
            handler, arguments = call
            self._call(handler, *arguments)

    def _has_room(self) -> bool:
        """Tell whether the application can take another message."""
        return True

    def _call(self, handler, *arguments) -> None:
        """Call a handler of the application; report what it raises."""
        try:
            result = handler(*arguments)
            if hasattr(result, "send"):
                self._begin(result)
        except Exception as error:
            report(error)

    def _begin(self, coroutine) -> None:
        """Run what an `async def` handler returns, if that is possible here."""
        raise TypeError("an `async def` handler needs the Node of firmware.aio")


def report(error) -> None:
    if isinstance(error, (e4.E4Error, LinkDown)):
        print("* not done:", describe(error))
    else:
        print("* a handler failed:")
        sys.print_exception(error)
