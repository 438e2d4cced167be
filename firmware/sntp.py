"""Asking one time server: an SNTP client (RFC 4330; the packet is that of RFC 5905 section 7.3).

An answer counts if it comes from the address and port that were asked and repeats the 64 random bits that we sent
as our time: who does not see the question cannot answer it. Whoever does see it can: SNTP is not authenticated.
"""

import os
import socket
import time

PORT = 123
TIMEOUT_MS = 2000  # for one answer, whatever else arrives meanwhile

_SIZE = 48
_REQUEST = 0x23  # leap indicator 0, version 4, mode 3: client
_ANSWER = 0x24  # version 4, mode 4: server
_UNSYNCHRONISED = 3  # leap indicator
_MAX_STRATUM = 15
_MAX_DISTANCE_MS = 1000  # RFC 5905 MAXDIST: further from its reference clock a server is of no use
_UNIX_IN_NTP = 2208988800  # 1970-01-01 in NTP seconds, which count from 1900 and wrap in 2036
_EARLIEST = 1767225600  # 2026-01-01: no server's time is earlier than this program
_SHIFT = (1 << 32) - _UNIX_IN_NTP - _EARLIEST  # from NTP seconds to seconds since then, in whichever era


class TimeServerError(OSError):
    """A time server did not answer, or not with a time; the text says which."""


class KissOfDeath(TimeServerError):
    """The server does not want to be asked; `code` says why, such as b"DENY" or b"RATE" (RFC 5905 section 7.4)."""

    def __init__(self, code: bytes) -> None:
        super().__init__("it wants no questions ({})".format("".join(chr(c) if 32 < c < 127 else "?" for c in code)))
        self.code = code


class Answer:
    """At `ticks` the time was between `lower` and `upper` (Unix time in ms), if the server at `address` is right."""

    def __init__(self, lower: int, upper: int, ticks: int, address) -> None:
        self.lower = lower
        self.upper = upper
        self.ticks = ticks
        self.address = address


def look_up(server: str, network=socket):
    """Return the address of "host" or "host:port" for `ask`. A name blocks for as long as DNS does.

    Raises TimeServerError.
    """
    host, colon, port = server.partition(":")
    try:
        found = network.getaddrinfo(host, int(port) if colon else PORT, network.AF_INET, network.SOCK_DGRAM)
    except OSError as error:
        raise TimeServerError("its name was not found ({})".format(error)) from None
    if not found:
        raise TimeServerError("its name was not found")
    return found[0][-1]


def ask(address, network=socket, ticks=time) -> Answer:
    """Ask the server at `address`. Returns or raises TimeServerError within TIMEOUT_MS."""
    cookie = os.urandom(8)
    client = network.socket(network.AF_INET, network.SOCK_DGRAM)
    try:
        asked = ticks.ticks_ms()
        client.sendto(bytes((_REQUEST,)) + bytes(39) + cookie, address)
        packet = _receive(client, address, cookie, asked, ticks)
        arrived = ticks.ticks_ms()
    except TimeServerError:
        raise
    except OSError as error:
        raise TimeServerError("it cannot be asked ({})".format(error)) from None
    finally:
        client.close()
    sent, distance = _read(packet)
    # It was sent between our question and now.
    return Answer(sent - distance, sent + distance + ticks.ticks_diff(arrived, asked) + 1, arrived, address)


def _receive(client, address, cookie: bytes, asked: int, ticks) -> bytes:
    """Return the answer to our question; ignore everything else until the time is up."""
    ignored = 0
    while True:
        left = TIMEOUT_MS - ticks.ticks_diff(ticks.ticks_ms(), asked)
        if left <= 0:
            break
        client.settimeout(left / 1000)
        try:
            packet, source = client.recvfrom(_SIZE)
        except OSError:  # its number differs between ports; nothing but time passing makes a receiver fail
            break
        if len(packet) >= _SIZE and source == address and packet[24:32] == cookie and packet[0] & 0x3F == _ANSWER:
            return packet
        ignored += 1
    strays = "; packets that do not answer us and were ignored: {}".format(ignored) if ignored else ""
    raise TimeServerError("no answer within {} s{}".format(TIMEOUT_MS // 1000, strays))


def _read(packet: bytes) -> tuple:
    """Return when an answer was sent (Unix time in ms) and how far off that may be (ms). Raises TimeServerError."""
    stratum = packet[1]
    if stratum == 0:
        raise KissOfDeath(packet[12:16])
    if packet[0] >> 6 == _UNSYNCHRONISED or stratum > _MAX_STRATUM:
        raise TimeServerError("it does not know the time itself")
    # Both are seconds with 16 bits of fraction; half the delay to the reference clock counts (RFC 5905 section 10).
    distance = (_number(packet, 4) // 2 + _number(packet, 8)) * 1000 >> 16
    if distance > _MAX_DISTANCE_MS:
        raise TimeServerError("it is unsure of the time by {} ms".format(distance))
    seconds = _number(packet, 40)
    if seconds == 0:
        raise TimeServerError("it says no time")
    since = (seconds + _SHIFT) & 0xFFFFFFFF
    if since >> 30:  # 34 of the 136 years of an era are believed
        raise TimeServerError("it shows a time before 2026 or after 2059")
    return (_EARLIEST + since) * 1000 + (_number(packet, 44) * 1000 >> 32), distance + 1


def _number(packet: bytes, at: int) -> int:
    return int.from_bytes(packet[at : at + 4], "big")
