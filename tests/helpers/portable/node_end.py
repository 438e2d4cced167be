"""A whole node in a world of Python objects: sockets that cannot be polled, a broker, and time that tests move.

An application that carries its connections over something other than WiFi writes such sockets itself. They have the
methods that `umqtt` calls and few others.
"""

# ruff: noqa: E402
import json
import select
import sys

import e4
from helpers.portable.board_end import Time as _Time
from helpers.portable.time_and_network import Machine, Ticks


class _WLAN:
    up = True

    def __init__(self, interface=0):
        pass

    def active(self, on=True):
        return on

    def isconnected(self):
        return _WLAN.up

    def connect(self, ssid, password):
        pass

    def disconnect(self):
        pass

    def status(self):
        return 0

    def ifconfig(self):
        return ("192.0.2.2", "", "", "192.0.2.3")


class _Network:
    STA_IF = 0
    WLAN = _WLAN


class WatchdogTimer:
    """The watchdog of the board. `timeouts` has every time in ms with which it was started, the latest last."""

    timeouts = []  # noqa: RUF012 (MicroPython has no typing.ClassVar)

    def __init__(self, timeout):
        WatchdogTimer.timeouts.append(timeout)

    def feed(self):
        pass


class BoardReset(BaseException):
    """Raised where the board is reset."""


class _Board(Machine):
    WDT = WatchdogTimer

    def reset(self):
        raise BoardReset


class _Poll:
    """The poller of a node on CPython, whose own one lacks `ipoll`. The sockets here cannot be polled anyway."""

    def register(self, stream, event):
        pass

    unregister = register

    def ipoll(self, milliseconds):
        return ()


class _Select:
    POLLIN = POLLOUT = 1
    poll = _Poll


sys.modules["network"] = _Network  # type: ignore[assignment]
sys.modules["machine"] = _Board(Ticks())  # type: ignore[assignment]
if not hasattr(sys, "print_exception"):  # CPython
    sys.print_exception = lambda error: print(type(error).__name__, error)  # type: ignore[attr-defined]

from firmware import config, dns, handlers, node, transport, watchdog
from firmware.clock import Clock
from firmware.sntp import Answer

KEY = b"k" * 32
TOPIC_KEY = b"t" * 32
NOW = 1774894944


class PlainSocket:
    """A socket to the broker of a `World`. It has no `ioctl`, so it cannot be polled, and no `setsockopt`."""

    def __init__(self, world, *_):
        self._world = world
        self._arrived = bytearray()
        self.ended = self.closed = False

    def setblocking(self, flag):
        pass

    def settimeout(self, seconds):
        pass

    def connect(self, address):
        self.broker = self._world.broker(self)
        self._world.brokers.append(self.broker)

    def say(self, data):
        """Let the board receive some bytes."""
        self._arrived.extend(data)

    def readinto(self, buffer):
        n = min(len(buffer), len(self._arrived))
        if not n:
            return 0 if self.ended else self._nothing()
        buffer[:n] = self._arrived[:n]
        self._arrived = self._arrived[n:]
        return n

    def write(self, data):
        n = min(len(data), self._world.room)
        self.broker.take(bytes(data[:n]))
        return n

    def close(self):
        self.closed = True

    def _nothing(self):
        if self._world.nothing is not None:
            raise OSError(self._world.nothing, "nothing yet")


class Broker:
    """A good broker for one connection.

    `published` has the first byte and the packet identifier of each PUBLISH of the board. `confirmed` has the packet
    identifiers that the board has acknowledged.
    """

    def __init__(self, socket):
        self.socket = socket
        self.published = []
        self.confirmed = []
        self._begun = bytearray()

    def take(self, data):
        """Answer all whole packets. It knows lengths of one and two bytes only; the node sends no larger packets."""
        self._begun.extend(data)
        while len(self._begun) > 1:
            at = 2 if self._begun[1] < 0x80 else 3
            if len(self._begun) < at:
                return
            size = self._begun[1] & 0x7F | (self._begun[2] << 7 if at == 3 else 0)
            if len(self._begun) < at + size:
                return
            first, body = self._begun[0], bytes(self._begun[at : at + size])
            self._begun = self._begun[at + size :]
            self.answer(first, body)

    def answer(self, first, body):
        kind = first & 0xF0
        if kind == 0x10:
            self.socket.say(b"\x20\x02\x00\x00")
        elif kind == 0x80:
            self.socket.say(b"\x90\x03" + body[:2] + b"\x01")
        elif kind == 0xC0:
            self.socket.say(b"\xd0\x00")
        elif kind == 0x40:
            self.confirmed.append(body)
        elif kind == 0x30:
            at = 2 + (body[0] << 8 | body[1])
            self.published.append((first, body[at : at + 2]))
            self.confirm(body[at : at + 2])

    def confirm(self, packet_id):
        self.socket.say(b"\x40\x02" + packet_id)

    def publish(self, message, topic=b"in"):
        """Publish a message, protected, with QoS 1 and packet identifier 7."""
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x07" + e4.protect(message, TOPIC_KEY, NOW)
        self.socket.say(bytes((0x32, len(body))) + body)


class Deaf(Broker):
    """A broker that never confirms a message."""

    def confirm(self, packet_id):
        pass


class Mute(Broker):
    """A broker that accepts connections and answers nothing."""

    def answer(self, first, body):
        pass


class _Servers:
    """Time servers that always tell the time `NOW`."""

    def __init__(self, world):
        self._world = world

    def ask(self):
        yield
        return Answer(NOW * 1000, NOW * 1000 + 1, self._world.ticks_ms(), None)


class World(_Time):
    """Everything around a node. Use it in a `with`; `node` is then ready to be started.

    `kind` is the class of the brokers, of which there is one for each connection. `entries` change the configuration of
    the node. `got` has the messages that the node's handler was given. If `nothing` is set, sockets raise this error
    number when no data has arrived; otherwise they return None.
    """

    def __init__(self, kind=Broker, **entries):
        self.broker = kind
        self.brokers = []
        self.nothing = None
        # A socket accepts so many bytes at once.
        self.room = 100000
        self.got = []
        self._entries = {
            "name": "alice",
            "wifi": {"ssid": "x"},
            "broker": {"host": "192.0.2.9"},
            "topics": ["in"],
            "watchdog": 0,
        }
        self._entries.update(entries)

    def __enter__(self):
        super().__enter__()
        self._kept = config.CONFIG_PATH, config.KEYS_PATH, transport.socket, handlers.ticks_ms, node.Clock
        self._modules = node.time, watchdog.time, node.select
        node.time = watchdog.time = self  # type: ignore[assignment]
        if not hasattr(select.poll(), "ipoll"):
            node.select = _Select  # type: ignore[assignment]
        self.sockets = []
        config.CONFIG_PATH, config.KEYS_PATH = "e4.json", "e4.keys"
        transport.socket = dns.socket = self  # type: ignore[assignment]
        handlers.ticks_ms = self.ticks_ms
        node.Clock = lambda config: Clock(config, _Servers(self), None, self)  # type: ignore[assignment, misc]
        _WLAN.up = True
        with open(config.CONFIG_PATH, "w") as file:
            json.dump(self._entries, file)
        client = e4.Client(e4.id_of("alice"), KEY, e4.FileStore(config.KEYS_PATH, True), lambda: NOW)
        for topic in ("in", "out"):
            client.unprotect(e4.protect(e4.commands.set_topic_key(TOPIC_KEY, topic), KEY, NOW), client.receiving_topic)
        self.node = node.Node()
        self.node._editor.has_ended = True
        self.node.on("in")(lambda topic, message: self.got.append(message))
        return self

    def __exit__(self, *_):
        self.node.stop()
        config.CONFIG_PATH, config.KEYS_PATH, transport.socket, handlers.ticks_ms, node.Clock = self._kept
        node.time, watchdog.time, node.select = self._modules
        dns.socket = transport.socket
        super().__exit__()

    # The node uses this object as the module `socket`. These are its functions.

    def socket(self, *kind):
        self.sockets.append(PlainSocket(self, *kind))
        return self.sockets[-1]

    def getaddrinfo(self, host, port, *_):
        return [(2, 1, 0, "", (host, port))]

    # Clock, node and watchdog use this object as the module `time`. These are its functions.

    def sleep(self, seconds):
        self.pass_ms(1000 * seconds)

    def sleep_ms(self, milliseconds):
        self.pass_ms(milliseconds)

    def ticks_ms(self):
        return self._now

    def ticks_diff(self, end, start):
        return end - start

    # These methods are for tests.

    def wifi(self, up):
        """Take WiFi away (False) or give it back (True)."""
        _WLAN.up = up

    def until(self, true, seconds=120):
        """Let the node run until `true()` holds, for so many seconds of its time at most. Return whether it holds."""
        for _ in range(seconds * 50):
            self.node._cycle(0)
            if true():
                return True
            self.pass_ms(20)
        return False

    def connected(self):
        return self.node._link is not None and self.node._link.is_up

    def works(self):
        """Tell whether messages reach the node, and answers reach the broker."""
        if not self.until(self.connected):
            return False
        before = len(self.got)
        self.brokers[-1].publish(b"message %d" % before)
        outgoing = self.node.post("out", "answer")
        return (
            self.until(lambda: len(self.got) > before and outgoing.done) and b"\x00\x07" in self.brokers[-1].confirmed
        )
