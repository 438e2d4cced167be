"""The broker's side of a connection, controlled by a test. `Peer` is a good broker until the test wants a bad one."""

from __future__ import annotations

import contextlib
import queue
import socket
import time
from collections.abc import Callable

import e4
from faults import wire
from faults.partner import Failure
from faults.rig import BOUND, Rig
from helpers.boards import TOPIC_KEY

# The number of topic filters to which the board of a rig subscribes: its receiving topic and one more.
_FILTERS = 2


class Peer:
    """A broker that serves one connection of a board.

    All methods raise wire.Gone when the board closes the connection. That is a good answer to nonsense.
    """

    def __init__(self, connection: socket.socket, rig: Rig) -> None:
        self.rig = rig
        self.pings = 0
        # Whether it sends a PUBACK for what the board publishes.
        self.acknowledges = True
        # The packet identifiers of the messages that the board has acknowledged.
        self.confirmed: set[int] = set()
        # What the board has published with QoS 1: packet identifiers, each with its payload.
        self.published: list[bytes] = []
        self._subscribed: list[bytes] = []
        self._connection = connection
        self._packet_id = 0x700
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self, answer: bytes = wire.ACCEPTED) -> None:
        """Read the CONNECT and send `answer`."""
        self._connection.settimeout(BOUND)
        first, _ = wire.read_packet(self._connection)
        if first != wire.CONNECT:
            raise Failure(f"the board begins with packet type {first:#x}")
        self.send(answer)

    def session(self, answer: bytes = wire.ACCEPTED) -> None:
        """Read the CONNECT, send `answer`, and grant all subscriptions."""
        self.connect(answer)
        self.subscribe()

    def subscribe(self) -> None:
        """Grant all subscriptions that the board has not made yet."""
        if not self.serve(lambda: len(self._subscribed) >= _FILTERS):
            raise Failure(f"the board subscribes only to {self._subscribed}")

    def grant(self, body: bytes, suback: bytes) -> None:
        """Send `suback` as the answer to the SUBSCRIBE with this body, and count its topics as granted."""
        self._subscribed += wire.topic_filters(body)
        self.send(suback)

    def subscription(self) -> bytes:
        """Wait for the first SUBSCRIBE and return its body."""
        while True:
            first, body = wire.read_packet(self._connection)
            if first == wire.SUBSCRIBE:
                return body

    def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Send pieces of packets or of nonsense, with a pause of some seconds after each."""
        self._connection.settimeout(BOUND)
        for piece in pieces:
            try:
                self._connection.sendall(piece)
            except TimeoutError:
                raise Failure("the board has stopped to read, and keeps the connection") from None
            except OSError:
                raise wire.Gone from None
            time.sleep(pause)

    def serve(self, true: Callable[[], bool] = lambda: False, seconds: float = BOUND) -> bool:
        """Be a good broker until `true()` holds, for some seconds at most. Return whether it holds."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            self._connection.settimeout(0.1)
            try:
                more = self._connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                continue
            except OSError:
                raise wire.Gone from None
            if not more:
                raise wire.Gone
            self._connection.settimeout(BOUND)
            self._answer(*wire.read_packet(self._connection))
        return True

    def _answer(self, first: int, body: bytes) -> None:
        if first == wire.PINGREQ:
            self.pings += 1
            self.send(b"\xd0\x00")
        elif first == wire.SUBSCRIBE:
            filters = wire.topic_filters(body)
            self._subscribed += filters
            self.send(wire.packet(wire.SUBACK, body[:2], b"\x01" * len(filters)))
        elif first == wire.PUBACK:
            self.confirmed.add(int.from_bytes(body, "big"))
        elif first & 0xF0 == wire.PUBLISH and first >> 1 & 3:
            at = 2 + int.from_bytes(body[:2], "big")
            self.published.append(body[at:])
            if self.acknowledges:
                self.acknowledge(body[at:])

    def acknowledge(self, published: bytes, times: int = 1) -> None:
        """Take a message that the board has published, and send `times` PUBACKs for it."""
        self.rig.take_answer(published[2:])
        self.send(wire.packet(wire.PUBACK, published[:2]) * times)

    def message(self, verb: str = "hear", size: int = 0) -> tuple[int, bytes, bytes]:
        """Return a good message to the board: its number, its packet identifier, and the PUBLISH with QoS 1."""
        number, text = self.rig.message(verb, size)
        self._packet_id += 1
        payload = e4.protect(text, TOPIC_KEY, int(time.time()))
        return number, self._packet_id.to_bytes(2, "big"), wire.publish(self.rig.topic_in, payload, 1, self._packet_id)

    def in_step(self) -> None:
        """Raise Failure unless the board still reads the stream correctly: it takes and acknowledges a message."""
        number, packet_id, publish = self.message()
        self.send(publish)
        if not self.serve(lambda: int.from_bytes(packet_id, "big") in self.confirmed and self.rig.got[number] > 0):
            raise Failure(
                f"the board keeps the connection and takes nothing from it after {BOUND:.0f} s; it said last: "
                + self.rig.last_words()
            )

    def silence(self) -> None:
        """Send nothing more until the board closes the connection. Raises Gone then, and Failure if it never does."""
        deadline = time.monotonic() + BOUND
        self._connection.settimeout(1)
        while time.monotonic() < deadline:
            try:
                if not self._connection.recv(4096):
                    raise wire.Gone
            except TimeoutError:
                continue
            except OSError:
                raise wire.Gone from None
        raise Failure(f"the board still waits after {BOUND:.0f} s; it said last: {self.rig.last_words()}")

    def patience(self) -> None:
        """Answer everything but a PUBLISH until the board closes the connection.

        Raises Gone then, and Failure if the board never does it.
        """
        self.acknowledges = False
        self.serve()
        raise Failure(f"the board waits for ever; it said last: {self.rig.last_words()}")

    def drip(self, data: bytes, pause: float = 0.9) -> None:
        """Send the data one byte at a time until the board closes the connection.

        Raises Gone then, and Failure if the board goes on to the end.
        """
        deadline = time.monotonic() + BOUND
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.serve(seconds=pause) or time.monotonic() > deadline:
                break
        raise Failure(f"the board waits for one byte after the other; it said last: {self.rig.last_words()}")


def meet(rig: Rig, script: Callable[[Peer], None]) -> None:
    """End the board's connection, and let a script be the broker of the next one.

    The connections after that one go to the good broker again.
    """
    arrivals: queue.Queue[socket.socket] = queue.Queue()
    rig.proxy.divert(arrivals.put)
    rig.proxy.reset(count=False)
    try:
        connection = arrivals.get(timeout=BOUND)
    except queue.Empty:
        raise Failure(f"the board does not connect again; it said last: {rig.last_words()}") from None
    rig.proxy.faults["hostile"] += 1
    with connection, contextlib.suppress(wire.Gone):
        script(Peer(connection, rig))
