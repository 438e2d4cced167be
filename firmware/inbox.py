"""What arrives from the broker: it is applied or unprotected at once, and handlers are called in their turn."""

import gc

import e4
from e4._const import const

from . import console, filters, ticks
from .errors import describe

# The board connects again to have a command delivered that it could not take. The first `_EACH_MINUTE` times it waits
# for a minute before that, because commands are usually valid for ten minutes (`max_command_age`); later it waits for
# ten.
_EACH_MINUTE = const(10)
_MINUTE_MS = const(60000)
# The number of calls of handlers that may wait: more messages than brokers usually have under way.
_MAX_WAITING = const(32)
# No command is longer than this, in bytes.
_MAX_COMMAND = const(128)


class Inbox:
    """The calls of handlers that wait for their turn. They wait because a handler may itself want to send something.

    Their number and the bytes that they hold are bounded. A message that finds no room is not acknowledged: unless it
    came with QoS 0, the broker delivers it again after the next connection. `wants_more` says when to make one.
    """

    def __init__(self, client, clock, max_bytes: int) -> None:
        self._client = client
        self._clock = clock
        # The bytes that the arguments of waiting calls may hold together.
        self.max_bytes = max_bytes
        # The calls that wait, as (handler, its arguments).
        self._calls: list[tuple] = []
        # True if a message found no room and was left to the broker; `receive` sets it, `wants_more` clears it.
        self._is_behind = False
        # The time after which a command that could not be taken is to be delivered again, or None; `receive` sets it.
        self._redelivery: ticks.Deadline | None = None
        # How often `_redelivery` was set since a command was last applied.
        self._attempts = 0
        # The number of commands that the client had applied when clock and application were last told of one. It is -1
        # after a failure, because a command may have been applied all the same.
        self._told = 0
        # The topic of commands, or b"" if the board is not ready.
        self.receiving_topic = client.receiving_topic.encode() if client is not None else b""
        # The topic of the last message, and the same as text for a person. They are kept because messages of one topic
        # often follow each other.
        self._topic = b"", ""
        # The handlers of the application for messages, as (topic filter or None, handler); `firmware.handlers` adds
        # them.
        self.handlers: list[tuple] = []
        # The handlers for everything as it arrives, for commands, and for what is refused. Each is a function or None;
        # `firmware.handlers` sets them.
        self.on_raw = self.on_command = self.on_refused = None

    def receive(self, topic: bytes, payload: memoryview | None, size: int, qos: int, may_repeat: bool) -> bool:
        """Take what has arrived, and return whether it is safe: a command is safe once it is in flash.

        What is raised, as for lack of memory, ends the connection, and the broker delivers again what was not safe.
        """
        if topic != self._topic[0]:
            self._topic = topic, console.text(topic)
        name = self._topic[1]
        if payload is None:
            print("* skipped on {}: {} bytes are too much for this board (max_message)".format(name, size))
            return True
        # A command takes hardly any room, and must not be shut out for as long as messages fill the room.
        command = size <= _MAX_COMMAND and topic == self.receiving_topic
        if not self._has_room(size, command):
            if qos:
                self._is_behind = True
            else:
                print("* lost on {}: there is no room, and QoS 0 does not bring it again".format(name))
            return False
        try:
            if self.on_raw is not None:
                self.call_later(self.on_raw, name, bytes(payload))
            self._unprotect(name, topic, payload)
        except e4.Replayed as error:
            # The broker has announced this copy, so it is not reported.
            if not may_repeat or isinstance(error, e4.PerhapsReplayed):
                self._refuse(name, error)
        except Exception as error:
            # An authentic command that the board cannot take now, or that is ahead of its clock, must not be lost.
            if topic == self.receiving_topic and isinstance(
                error, (e4.StoreError, e4.TimestampInFuture, e4.ClockNotSet, MemoryError, OSError)
            ):
                self._told = -1
                if self._redelivery is None:
                    self._redelivery = ticks.Deadline(_MINUTE_MS if self._attempts < _EACH_MINUTE else 10 * _MINUTE_MS)
                    self._attempts += 1
                print("* left to the broker, which will send it again:", describe(error))
                return False
            self._refuse(name, error)
        return True

    def _has_room(self, size: int, command: bool) -> bool:
        """Tell whether a message or command of so many bytes may wait for its handlers."""
        # What waits is counted anew each time: a sum that is kept beside the list could come to differ from it.
        if command:
            return len(self._calls) < 2 * _MAX_WAITING
        if len(self._calls) >= _MAX_WAITING:
            return False
        waiting = 0
        for _, arguments in self._calls:
            for argument in arguments:
                if isinstance(argument, (bytes, str)):
                    waiting += len(argument)
        return not waiting or waiting + size <= self.max_bytes

    def _unprotect(self, name: str, topic: bytes, payload: memoryview) -> None:
        """Unprotect a message or apply a command, tell the clock its time, and queue the calls of its handlers."""
        # The calls are queued before their message is known. Once a message is unprotected, a copy of it is refused. So
        # it would be lost if there were then no memory to queue its calls.
        arguments: list = [name, None]
        before = len(self._calls)
        try:
            for topic_filter, handler in self.handlers:
                if topic_filter is None or filters.matches(topic_filter, name):
                    self._calls.append((handler, arguments))
            try:
                arguments[1] = self._client.unprotect(payload, topic)
            except MemoryError:
                gc.collect()
                arguments[1] = self._client.unprotect(payload, topic)
        finally:
            while arguments[1] is None and len(self._calls) > before:
                self._calls.pop()
        applied = self._client.applied
        if arguments[1] is None and self._told == applied:
            return  # This command was applied before. An old one says nothing about the time now.
        self._clock.confirm(int.from_bytes(payload[:8], "little"))
        if arguments[1] is None:
            self._clock.raise_floor(self._client.floor)
            if self.on_command is not None:
                self.call_later(self.on_command)
            self._attempts = 0
            # This comes last. If anything above fails, the command is left to the broker. When it arrives again, clock
            # and application are told of it.
            self._told = applied

    def _refuse(self, name: str, error: Exception) -> None:
        self.call_later(self.on_refused or _print_refused, name, error)

    def call_later(self, handler, *arguments) -> None:
        """Queue a call of a handler."""
        self._calls.append((handler, arguments))

    def wants_more(self) -> bool:
        """Tell whether a new connection would bring messages that were left to the broker. Each case is told once."""
        if self._redelivery is not None and self._redelivery.is_over():
            self._redelivery = None
            return True
        if not self._is_behind or self._calls:
            return False
        self._is_behind = False
        return True

    def next_call(self) -> tuple | None:
        """Return the next handler to call, with its arguments, or None."""
        return self._calls.pop(0) if self._calls else None


def _print_refused(name: str, error: Exception) -> None:
    print("* refused on {}: {}".format(name, describe(error)))
