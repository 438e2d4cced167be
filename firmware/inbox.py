"""What arrives: commands are applied and messages unprotected at once; the application hears of it in its turn."""

import gc

import e4
from e4._const import const

from . import console, filters
from .errors import describe
from .ticks import Deadline

_AGAIN_MS = const(60000)  # until the broker is asked for a command again
_MAX_WAITING = const(32)  # calls of handlers; more than brokers usually have in flight
_MAX_COMMAND = const(128)  # bytes, more than any has


class Inbox:
    """Calls of the application's handlers that wait for their turn: a handler may itself want to send something.

    Their number and the bytes they hold are bounded. What finds no room is left as it is: unless it came with QoS 0,
    the broker delivers it again after the next connection, and `wants_more` says when to have one.
    """

    def __init__(self, client, clock, max_bytes: int) -> None:
        self._client = client
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._calls: list = []  # (handler, size, arguments)
        self._is_behind = False  # a message was left to the broker
        self._redelivery: Deadline | None = None  # when it is to send a command again
        self._receiving_topic = client.receiving_topic.encode() if client is not None else b""
        self._topic = b""  # of the last message
        self._name = ""  # the same as text for a person
        self.handlers: list = []  # (topic filter or None, handler)
        self.on_raw = self.on_command = self.on_refused = None

    def receive(self, topic: bytes, payload, size: int, qos: int, again: bool) -> bool:
        """Take what has arrived, and return whether it is safe: a command is safe once it is in flash.

        Nothing is raised, because the link that calls this could not go on.
        """
        if topic != self._topic:  # messages of one topic often follow each other
            self._name = console.text(topic)
            self._topic = topic
        name = self._name
        if payload is None:
            print("* skipped on {}: {} bytes are too much for this board (max_message)".format(name, size))
            return True
        # A command needs hardly any room, and must not stay outside for as long as messages fill it.
        command = size <= _MAX_COMMAND and topic == self._receiving_topic
        if (self._bytes and self._bytes + size > self._max_bytes and not command) or (
            len(self._calls) >= (2 * _MAX_WAITING if command else _MAX_WAITING)
        ):
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
            if not again or isinstance(error, e4.PerhapsReplayed):  # a copy is what the broker has announced
                self._refuse(name, error)
        except Exception as error:
            # An authentic command that comes before its time, or that we cannot take, must not be lost.
            if topic == self._receiving_topic and isinstance(
                error, (e4.StoreError, e4.TimestampInFuture, e4.ClockNotSet, MemoryError)
            ):
                print("* left to the broker, which will send it again:", describe(error))
                self._redelivery = Deadline(_AGAIN_MS)
                return False
            self._refuse(name, error)
        return True

    def _unprotect(self, name: str, topic: bytes, payload) -> None:
        applied = self._client.applied
        try:
            message = self._client.unprotect(payload, topic)
        except MemoryError:
            gc.collect()
            message = self._client.unprotect(payload, topic)
        if message is None and self._client.applied == applied:
            return  # a command that was applied before, which tells nothing of the time
        self._clock.confirm(int.from_bytes(payload[:8], "little"))
        if message is not None:
            for topic_filter, handler in self.handlers:
                if topic_filter is None or filters.matches(topic_filter, name):
                    self.call_later(handler, name, message)
        else:
            self._clock.raise_floor(self._client.floor)
            if self.on_command is not None:
                self.call_later(self.on_command)

    def _refuse(self, name: str, error: Exception) -> None:
        self.call_later(self.on_refused or _print_refused, name, error)

    def call_later(self, handler, *arguments) -> None:
        """Have a handler called in its turn."""
        size = 0
        for argument in arguments:
            if isinstance(argument, (bytes, str)):
                size += len(argument)
        self._bytes += size
        self._calls.append((handler, size, arguments))

    def wants_more(self) -> bool:
        """Tell, once, that what was left to the broker may find room now, or a command what it lacked."""
        if self._redelivery is not None and self._redelivery.is_over():
            self._redelivery = None
            return True
        if not self._is_behind or self._calls:
            return False
        self._is_behind = False
        return True

    def next_call(self) -> tuple | None:
        """Return the next handler to call, with its arguments, or None."""
        if not self._calls:
            return None
        handler, size, arguments = self._calls.pop(0)
        self._bytes -= size
        return handler, arguments


def _print_refused(name: str, error: Exception) -> None:
    print("* refused on {}: {}".format(name, describe(error)))
