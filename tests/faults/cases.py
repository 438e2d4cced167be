"""What a hostile broker does. Each case is a function that gets a `Peer`, and `CASES` has them all by name.

Sections are those of MQTT 3.1.1.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from faults import wire
from faults.hostile import Peer
from faults.partner import Failure

CASES: dict[str, Callable[[Peer], None]] = {}
# The largest remaining length that MQTT allows: 268,435,455 bytes (section 2.2.3).
_HUGE = b"\xff\xff\xff\x7f"
# A remaining length that has one byte more than MQTT allows.
_ENDLESS = b"\xff\xff\xff\xff\x7f"
# The number of packets in a flood.
_FLOOD = 2000
# A whole packet that is hidden in the body of another one. The board must not take it for a packet of the stream.
_SMUGGLED = wire.publish("smuggled", b"x" * 40)


def _case(name: str) -> Callable[[Callable[[Peer], None]], Callable[[Peer], None]]:
    def register(script: Callable[[Peer], None]) -> Callable[[Peer], None]:
        CASES[name] = script
        return script

    return register


def _garbage(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 (no secret)


# In these cases the broker answers CONNECT with something else than a good CONNACK.

_REFUSALS = (1, 2, 3, 4, 5, 6, 255)
_NO_CONNACK = {
    "empty": b"\x20\x00",
    "short": b"\x20\x01\x00",
    "long": b"\x20\x04\x00\x00\x00\x00",
    "flags that are reserved": b"\x20\x02\xfe\x00",
    "length of five bytes": b"\x20" + _ENDLESS,
    "huge": b"\x20" + _HUGE + bytes(64),
    "a PINGRESP": b"\xd0\x00",
    "a SUBACK": b"\x90\x03\x00\x01\x01",
    "a PUBLISH": wire.publish("early", b"bird"),
    "garbage": _garbage(1, 200),
    "a web server": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
}


def _refuse(code: int, peer: Peer) -> None:
    peer.connect(bytes([0x20, 2, 0, code]))
    peer.silence()


def _misconnect(answer: bytes, peer: Peer) -> None:
    peer.connect(answer)
    peer.serve(lambda: peer.pings > 0, 1)
    peer.silence()


for _code in _REFUSALS:
    CASES[f"CONNACK refuses: {_code}"] = partial(_refuse, _code)
for _name, _answer in _NO_CONNACK.items():
    CASES[f"CONNACK: {_name}"] = partial(_misconnect, _answer)


@_case("CONNACK missing")
def _(peer: Peer) -> None:
    peer.connect(b"")
    peer.silence()


@_case("CONNACK half")
def _(peer: Peer) -> None:
    peer.connect(b"\x20\x02\x00")
    peer.silence()


@_case("CONNACK in single bytes")
def _(peer: Peer) -> None:
    peer.connect(b"")
    peer.send(b"\x20", b"\x02", b"\x00", b"\x00", pause=0.3)
    peer.subscribe()
    peer.in_step()


@_case("CONNACK behind a flood of PINGRESP")
def _(peer: Peer) -> None:
    peer.connect(b"")
    peer.drip(b"\xd0\x00" * 500, pause=0.3)


@_case("closed before CONNACK")
def _(peer: Peer) -> None:
    peer.connect(b"")


@_case("session present: a lie")
def _(peer: Peer) -> None:
    # This fails if the board trusts the broker's claim and does not subscribe.
    peer.session(b"\x20\x02\x01\x00")
    peer.in_step()


@_case("session present, and refused")
def _(peer: Peer) -> None:
    peer.connect(b"\x20\x02\x01\x05")
    peer.silence()


# In these cases the broker answers SUBSCRIBE with something else than a good SUBACK. `#` stands for the packet
# identifier.

_NO_SUBACK = {
    "missing": b"",
    "half": b"\x90\x03#",
    "empty": b"\x90\x00",
    "one byte": b"\x90\x01\x00",
    "without a return code": b"\x90\x02#",
    "for another packet": b"\x90\x03\x55\xaa\x01",
    "return code that is reserved": b"\x90\x03#\x7f",
    "length of five bytes": b"\x90" + _ENDLESS + b"#\x01",
    "huge": b"\x90" + _HUGE + b"#\x01",
    "a PUBACK": b"\x40\x02#",
    "an UNSUBACK": b"\xb0\x02#",
    "a second CONNACK": wire.ACCEPTED,
}


def _missubscribe(answer: bytes, peer: Peer) -> None:
    peer.connect()
    packet_id = peer.subscription()[:2]
    peer.send(answer.replace(b"#", packet_id))
    peer.silence()


for _name, _answer in _NO_SUBACK.items():
    CASES[f"SUBACK: {_name}"] = partial(_missubscribe, _answer)


@_case("SUBACK with more return codes than topic filters")
def _(peer: Peer) -> None:
    peer.connect()
    body = peer.subscription()
    peer.grant(body, b"\x90\x13" + body[:2] + b"\x01" * 17)
    peer.subscribe()
    peer.in_step()


@_case("SUBACK twice")
def _(peer: Peer) -> None:
    peer.connect()
    body = peer.subscription()
    suback = wire.packet(wire.SUBACK, body[:2], b"\x01" * len(wire.topic_filters(body)))
    peer.grant(body, suback + suback)
    peer.subscribe()
    peer.in_step()


@_case("SUBACK behind messages")
def _(peer: Peer) -> None:
    peer.connect()
    body = peer.subscription()
    number, _, publish = peer.message()
    suback = wire.packet(wire.SUBACK, body[:2], b"\x01" * len(wire.topic_filters(body)))
    peer.grant(body, publish + suback)
    peer.subscribe()
    peer.in_step()
    if not peer.rig.until(lambda: peer.rig.got[number] > 0, 5):
        raise Failure("the message before the SUBACK is lost")


@_case("SUBACK behind messages without end")
def _(peer: Peer) -> None:
    peer.connect()
    peer.subscription()
    deadline = time.monotonic() + 90
    # The board may go on without the SUBACK, or close the connection, but it must not wait for ever.
    while time.monotonic() < deadline:
        peer.send(wire.publish("a", b"x"), pause=0.3)
    raise Failure("the board waits for a SUBACK as long as anything comes")


# In these cases the broker sends nonsense within a session. Afterwards the board must still read the stream correctly,
# or have closed the connection.

_NONSENSE = {
    "PUBLISH: empty": b"\x30\x00",
    "PUBLISH: one byte": b"\x30\x01\x00",
    "PUBLISH: only a topic length": b"\x30\x02\x00\x00",
    "PUBLISH: no topic": wire.publish("", b"payload"),
    "PUBLISH: topic length beyond the packet": b"\x30\x05\xff\xffabc",
    "PUBLISH: topic one byte beyond the packet": b"\x30\x05\x00\x04abc",
    "PUBLISH: no room for the packet identifier": b"\x32\x03\x00\x01a",
    "PUBLISH: half a packet identifier": b"\x32\x04\x00\x01a\x00",
    "PUBLISH: packet identifier 0": wire.publish("a", b"x", 1, 0),
    "PUBLISH: QoS 2": wire.publish("a", b"x", 2, 9),
    "PUBLISH: QoS 3": wire.publish("a", b"x", 3, 9),
    "PUBLISH: duplicate with QoS 0": wire.publish("a", b"x", 0, 0, 8),
    "PUBLISH: topic with wildcards": wire.publish("a/+/#", b"x", 1, 9),
    "PUBLISH: topic that is not UTF-8": wire.publish(b"\xff\xfe\xc0\x80", b"x" * 40, 1, 9),
    "PUBLISH: topic with a surrogate": wire.publish(b"a\xed\xa0\x80", b"x" * 40, 1, 9),
    "PUBLISH: topic with NUL": wire.publish(b"a\0b", b"x" * 40, 1, 9),
    "PUBLISH: topic with control characters": wire.publish(b"a\x1b[2J\r\nstarted", b"x" * 40, 1, 9),
    "PUBLISH: topic of 65,535 bytes": wire.publish(b"a" * 65535, b"x" * 40, 1, 9),
    "PUBLISH: 1 MB": wire.publish("a", bytes(1_000_000), 1, 9),
    "PUBLISH: empty payload": wire.publish("a", b"", 1, 9),
    "PUBLISH: length in more bytes than needed": b"\x30\x85\x80\x80\x00\x00\x01a" + b"xy",
    "length of five bytes": b"\x30" + _ENDLESS + b"\x00\x01a",
    "reserved type 0": wire.packet(0x00, _SMUGGLED),
    "reserved type 15": wire.packet(0xF0, _SMUGGLED),
    "a CONNECT": wire.packet(wire.CONNECT, _SMUGGLED),
    "a second CONNACK": wire.ACCEPTED,
    "a second CONNACK, refusing": b"\x20\x02\x00\x05",
    "a CONNACK with a packet in it": wire.packet(wire.CONNACK, _SMUGGLED),
    "a SUBSCRIBE": wire.packet(wire.SUBSCRIBE, _SMUGGLED),
    "an UNSUBSCRIBE": wire.packet(wire.UNSUBSCRIBE, _SMUGGLED),
    "an UNSUBACK": b"\xb0\x02\x00\x09",
    "a PINGREQ": b"\xc0\x00",
    "a PINGRESP with a packet in it": wire.packet(wire.PINGRESP, _SMUGGLED),
    "a DISCONNECT": b"\xe0\x00",
    "a SUBACK for nobody": b"\x90\x03\x00\x09\x01",
    "a SUBACK that is empty": b"\x90\x00",
    "a PUBACK for nobody": b"\x40\x02\x00\x09",
    "a PUBACK that is empty": b"\x40\x00",
    "a PUBACK with a packet in it": wire.packet(wire.PUBACK, _SMUGGLED),
    "a PUBACK with flags": b"\x4f\x02\x00\x09",
    "a PUBREC": b"\x50\x02\x00\x09",
    "a PUBREL": b"\x62\x02\x00\x09",
    "a PUBCOMP": b"\x70\x02\x00\x09",
    "a flood of PINGRESP": b"\xd0\x00" * _FLOOD,
    "a flood of QoS 0": wire.publish("a", b"x" * 30) * _FLOOD,
    "garbage 1": _garbage(2, 500),
    "garbage 2": _garbage(3, 500),
    "garbage 3": _garbage(4, 5000),
}


def _nonsense(data: bytes, peer: Peer) -> None:
    peer.session()
    peer.send(data)
    peer.in_step()


for _name, _data in _NONSENSE.items():
    CASES[_name] = partial(_nonsense, _data)

# In these cases the rest of a packet never comes. The board must give up the connection after a while.

_HALF = {
    "one byte of a packet": b"\x30",
    "half a length": b"\x30\x80",
    "a length and no more": b"\x30\x40",
    "half a topic": b"\x30\x40\x00\x20abc",
    "half a payload": b"\x32\x40\x00\x01a\x00\x09xyz",
    "half a PUBACK": b"\x40\x02\x00",
    "half a packet to skip": b"\xd0\x40xyz",
    "a PUBLISH of 268 MB": b"\x30" + _HUGE + b"\x00\x01a" + bytes(200_000),
    "a PUBLISH of 268 MB, QoS 1": b"\x32" + _HUGE + b"\x00\x01a\x00\x09" + bytes(5000),
    "a PUBLISH of 268 MB that is all topic": b"\x30" + _HUGE + b"\xff\xffabc",
}


def _half(data: bytes, peer: Peer) -> None:
    peer.session()
    peer.send(data)
    peer.silence()


for _name, _data in _HALF.items():
    CASES[f"{_name}, then silence"] = partial(_half, _data)


@_case("half a payload, then the end")
def _(peer: Peer) -> None:
    peer.session()
    peer.send(_HALF["half a payload"])


@_case("a PUBLISH in drops, without end")
def _(peer: Peer) -> None:
    peer.session()
    peer.drip(wire.publish("a", b"x" * 2000))


@_case("a PUBLISH that is too large in drops, without end")
def _(peer: Peer) -> None:
    peer.session()
    peer.drip(b"\x30" + _HUGE + b"\x00\x01a" + b"x" * 2000)


@_case("a good PUBLISH in single bytes")
def _(peer: Peer) -> None:
    peer.session()
    number, _, publish = peer.message()
    peer.send(*(publish[at : at + 1] for at in range(len(publish))), pause=0.01)
    if not peer.serve(lambda: peer.rig.got[number] > 0):
        raise Failure("the message does not arrive")


@_case("a flood of QoS 1")
def _(peer: Peer) -> None:
    peer.session()
    for identifier in range(1, _FLOOD // 4):
        peer.send(wire.publish("a", b"x" * 30, 1, identifier))
        peer.serve(seconds=0)
    peer.in_step()


@_case("PINGRESP missing")
def _(peer: Peer) -> None:
    peer.session()
    peer.silence()


# In these cases the broker does not confirm properly what the board publishes.


def _ask(peer: Peer) -> None:
    peer.session()
    peer.acknowledges = False
    peer.send(peer.message("ask")[2])
    if not peer.serve(lambda: bool(peer.published)):
        raise Failure("the board does not publish")


# Here too, `#` stands for the packet identifier.
_NO_PUBACK = {
    "for another packet": b"\x40\x02\x55\xaa",
    "empty": b"\x40\x00",
    "short": b"\x40\x01\x00",
    "length of five bytes": b"\x40" + _ENDLESS + b"\x00\x01",
    "a SUBACK": b"\x90\x03#\x01",
    "a PUBREC": b"\x50\x02#",
}


def _mispublish(answer: bytes, peer: Peer) -> None:
    _ask(peer)
    peer.send(answer.replace(b"#", peer.published[0][:2]))
    peer.patience()


for _name, _answer in _NO_PUBACK.items():
    CASES[f"PUBACK: {_name}"] = partial(_mispublish, _answer)


@_case("PUBACK missing, pings answered")
def _(peer: Peer) -> None:
    _ask(peer)
    peer.patience()


@_case("PUBACK missing, silence")
def _(peer: Peer) -> None:
    _ask(peer)
    peer.silence()


@_case("PUBACK missing, messages without end")
def _(peer: Peer) -> None:
    _ask(peer)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        peer.send(wire.publish("a", b"x"))
        peer.serve(seconds=0.3)
    raise Failure("the board waits for a PUBACK as long as anything comes")


@_case("PUBACK twice")
def _(peer: Peer) -> None:
    peer.session()
    peer.acknowledges = False
    peer.send(peer.message("ask")[2])
    peer.serve(lambda: bool(peer.published))
    peer.acknowledge(peer.published[0], times=2)
    peer.in_step()


@_case("closed instead of PUBACK")
def _(peer: Peer) -> None:
    _ask(peer)
