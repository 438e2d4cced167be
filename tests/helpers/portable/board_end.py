"""A board's end of a connection, for the tests of the link: a socket as on an ESP32, and a time that tests control."""

import firmware.ticks
from firmware.link import Link


class WouldHang(BaseException):
    """Raised where a board would wait for ever. It is no Exception, so that no `except Exception` hides it."""


class BoardSocket:
    """A socket that behaves as on an ESP32.

    There, `setblocking(True)` removes a timeout. MicroPython's Unix port keeps it, and would hide code that waits for
    ever on a board.
    """

    def __init__(self):
        self._arrived = bytearray()
        self._timeout = None
        # Whether the other side has ended the connection.
        self.ended = False
        # Whether the board has closed its socket.
        self.closed = False
        # All bytes that the board has sent.
        self.sent = bytearray()
        # How many more bytes the network accepts before the socket blocks.
        self.room = 100000
        # If set, a read without data raises OSError with this number. Otherwise it returns None.
        self.nothing: int | None = None

    def setblocking(self, blocking):
        self._timeout = None if blocking else 0

    def settimeout(self, seconds):
        self._timeout = seconds

    def arrive(self, data):
        self._arrived.extend(data)

    def readinto(self, buffer):
        n = min(len(buffer), len(self._arrived))
        if not n and len(buffer):
            return 0 if self.ended else self._nothing()
        buffer[:n] = self._arrived[:n]
        self._arrived = self._arrived[n:]
        return n

    def read(self, n):
        buffer = bytearray(n)
        got = self.readinto(buffer)
        return None if got is None else bytes(buffer[:got])

    def write(self, data, size=None):
        n = min(len(data) if size is None else size, self.room)
        if not n:
            return self._nothing()
        self.sent.extend(bytes(data[:n]))
        self.room -= n
        return n

    def _nothing(self):
        if self._timeout is None:
            raise WouldHang
        if self._timeout:
            raise OSError(110)  # ETIMEDOUT
        if self.nothing is not None:
            raise OSError(self.nothing, "nothing yet")

    def close(self):
        self.closed = True


class Time:
    """Stops the time of `firmware.ticks`, which then passes only when a test says so. Use it in a `with`."""

    def __enter__(self):
        self._now = 1000
        self._real = firmware.ticks.ticks_ms
        firmware.ticks.ticks_ms = lambda: self._now
        return self

    def __exit__(self, *_):
        firmware.ticks.ticks_ms = self._real

    def pass_ms(self, milliseconds):
        self._now += milliseconds


class Settings:
    """The part of a configuration that a link needs."""

    host = "192.0.2.1"
    port = 1883
    user = password = status_topic = None
    keepalive = 60
    patience = 10
    max_message = 256


class Peer:
    """A link on a board's socket. The test plays its broker.

    `messages` has what the link has received, and `answers` the answers to its subscriptions. If `takes` is false,
    messages are not accepted, and the link does not acknowledge them.
    """

    def __init__(self, settings=Settings, connected=True):
        # Each message is a tuple (topic, payload, size, again). The payload is None if the message was too large.
        self.messages = []
        self.takes = True
        self.answers = []
        self.settings = settings
        self.link = Link("e4test", settings, self._arrived, lambda *answer: self.answers.append(answer))
        self.connect(connected)

    def connect(self, accepted=True, session=False, nothing=None):
        self.socket = BoardSocket()
        self.socket.setblocking(False)
        self.socket.nothing = nothing
        self.link.open(self.socket)
        if accepted:
            self.say(bytes((0x20, 2, session, 0)))
            self.socket.sent = bytearray()

    def _arrived(self, topic, payload, size, qos, again):
        self.messages.append((topic, payload if payload is None else bytes(payload), size, again))
        return self.takes

    def say(self, data):
        """Let the link receive some bytes and handle them."""
        self.socket.arrive(data)
        for _ in range(len(data) + 1):
            self.link.step()

    def heard(self):
        """Let the link work once, and return what it has sent since the last call."""
        self.link.step()
        sent, self.socket.sent = bytes(self.socket.sent), bytearray()
        return sent
