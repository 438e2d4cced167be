"""An SNTP client (RFC 4330; packets as in RFC 5905 section 7.3) that asks time servers until two of them agree.

An answer counts if it comes from the address and port that were asked, and repeats the 64 random bits that the question
has in place of our time. Whoever does not see the question cannot answer it. Whoever sees it can forge an answer,
because SNTP is not authenticated.
"""

import os
import socket
import time

from e4._const import const

from . import dns
from .errors import close_quietly

# The time that one server has for its answer, whatever else arrives meanwhile.
TIMEOUT_MS = const(2000)
# Two honest servers may differ by this much beyond what they state: some smear a leap second over a day, up to 1 s.
TOLERANCE_MS = const(2000)

# The time to look up a name: long enough for more than one question, because some are lost.
_LOOK_UP_MS = const(5000)
# The time in seconds that the board is blocked for an answer before others have their turn; most answers are quicker.
_TURN_S = const(0.1)
_PORT = const(123)
_SIZE = const(48)  # the bytes of a packet that count
_REQUEST = const(0x23)  # leap indicator 0, version 4, mode 3: client
_ANSWER = const(0x24)  # version 4, mode 4: server
_UNSYNCHRONISED = const(3)  # leap indicator
_MAX_STRATUM = const(15)
# A server that is further than this from its reference clock is of no use (RFC 5905 MAXDIST).
_MAX_DISTANCE_MS = const(1000)
# The number of servers that want no questions and are remembered.
_MAX_DENIED = const(8)
# The time for which such a server is not asked. RFC 4330 section 8 wants it never to be asked again. But SNTP is not
# authenticated, and one forged packet could then leave a board without the time until its next reset.
_DENIED_MS = const(3600000)
# The codes of a kiss of death after which a server is not asked for that time (RFC 5905 section 7.4).
_FINAL = const((b"DENY", b"RSTR"))
# 1970-01-01 in NTP seconds, which count from 1900 and wrap in 2036.
_UNIX_IN_NTP = const(2208988800)
# 2026-01-01 in Unix seconds. No true time is earlier than this program.
_EARLIEST = const(1767225600)
# This added to NTP seconds modulo 2^32 gives the seconds since 2026, before and after the wrap.
_SHIFT = const((1 << 32) - _UNIX_IN_NTP - _EARLIEST)


class TimeServerError(OSError):
    """A time server did not answer, or its answer does not tell the time. The text says which, and why."""


class KissOfDeath(TimeServerError):
    """The server does not want to be asked; `code` says why, such as b"DENY" or b"RATE" (RFC 5905 section 7.4)."""

    def __init__(self, code: bytes) -> None:
        # `repr` escapes bytes that are no text.
        super().__init__("it wants no questions ({})".format(repr(code)[2:-1]))
        self.code = code


class Answer:
    """If the server at `address` is right, the time at the tick `ticks` was between `lower` and `upper` (Unix ms)."""

    def __init__(self, lower: int, upper: int, ticks: int, address) -> None:
        self.lower = lower
        self.upper = upper
        self.ticks = ticks
        self.address = address


class TimeServers:
    """The servers to ask in this order, as "host" or "host:port". A single one is trusted alone."""

    def __init__(self, servers, network=socket, timer=time) -> None:
        self._servers = servers
        self._network = network
        self._timer = timer
        # The addresses that want no questions, each with the KissOfDeath and the tick at which it arrived. One name may
        # stand for many addresses.
        self._refusals: list[tuple[tuple, KissOfDeath, int]] = []

    def ask(self):
        """A generator: it asks until two servers agree, returns the Answer that covers both, and yields while it waits.

        No more servers are asked than that takes. Raises TimeServerError.
        """
        if not self._servers:
            raise TimeServerError("no time server is configured")
        answers: list[Answer] = []
        said: list[str] = []
        for server in self._servers:
            try:
                answer = yield from self._ask_one(server)
            except TimeServerError as error:
                said.append("{}: {}".format(server, error))
                continue
            if len(self._servers) == 1:
                return answer
            for other in answers:
                agreed = self._agree(other, answer)
                if agreed is not None:
                    return agreed
            answers.append(answer)
            said.append("{}: says {}".format(server, answer.lower // 1000))
        reason = "no two time servers agree" if len(self._servers) > 1 else "the time server does not help"
        raise TimeServerError("{} ({})".format(reason, "; ".join(said)))

    def _ask_one(self, server: str):
        """A generator: it returns the Answer of one server, and yields while it waits. Raises TimeServerError.

        The name is looked up each time: the DNS is not authenticated either, and an address that is kept for as long as
        it answers would turn one forged reply into a time server for good.
        """
        address = yield from look_up(server, self._network)
        timer = self._timer
        now = timer.ticks_ms()
        self._refusals = [refusal for refusal in self._refusals if 0 <= timer.ticks_diff(now, refusal[2]) < _DENIED_MS]
        for denied, kiss, _ in self._refusals:
            if denied == address:
                raise TimeServerError("{}; not asked for an hour".format(kiss))
        try:
            return (yield from ask(address, self._network, timer))
        except KissOfDeath as kiss:
            if kiss.code in _FINAL:
                self._refusals = self._refusals[1 - _MAX_DENIED :] + [(address, kiss, now)]
            raise

    def _agree(self, earlier: Answer, later: Answer) -> Answer | None:
        """Return the span that covers both answers, or None if they are too far apart or from one server."""
        passed = self._timer.ticks_diff(later.ticks, earlier.ticks)
        lower, upper = earlier.lower + passed, earlier.upper + passed
        if earlier.address == later.address or max(lower - later.upper, later.lower - upper) > TOLERANCE_MS:
            return None
        return Answer(min(lower, later.lower), max(upper, later.upper), later.ticks, None)


def look_up(server: str, network=socket):
    """A generator: it looks up "host" or "host:port", and yields while it waits. Raises TimeServerError."""
    host, _, port = server.partition(":")
    try:
        dns.forget(host)  # The address that is known may be the one that did not answer.
        host = yield from dns.resolve(host, _LOOK_UP_MS)
        return network.getaddrinfo(host, int(port or _PORT), network.AF_INET, network.SOCK_DGRAM)[0][-1]
    except (OSError, IndexError) as error:  # IndexError means that the name has no address.
        raise TimeServerError("its name was not found ({})".format(error)) from None


def ask(address, network=socket, timer=time):
    """A generator: it returns the Answer of the server at `address`, and yields while it waits.

    Raises TimeServerError after TIMEOUT_MS and one turn at the latest.
    """
    cookie = os.urandom(8)
    client = network.socket(network.AF_INET, network.SOCK_DGRAM)
    try:
        client.settimeout(_TURN_S)
        asked = timer.ticks_ms()
        client.sendto(bytes((_REQUEST,)) + bytes(39) + cookie, address)
        packet = yield from _receive(client, address, cookie, asked, timer)
        arrived = timer.ticks_ms()
    except TimeServerError:
        raise
    except OSError as error:
        raise TimeServerError("it cannot be asked ({})".format(error)) from None
    finally:
        close_quietly(client)
    sent, distance = _parse(packet)
    # The server has sent its answer between our question and now, so the span is as wide as the round trip.
    return Answer(sent - distance, sent + distance + timer.ticks_diff(arrived, asked) + 1, arrived, address)


def _receive(client, address, cookie: bytes, asked: int, timer):
    """A generator: it returns the answer to our question and ignores all other packets. It yields while it waits."""
    ignored = 0
    while timer.ticks_diff(timer.ticks_ms(), asked) < TIMEOUT_MS:
        try:
            packet, source = client.recvfrom(_SIZE)
            if len(packet) >= _SIZE and source == address and packet[24:32] == cookie and packet[0] & 0x3F == _ANSWER:
                return packet
            ignored += 1
        except OSError:  # Nothing has arrived in this turn; the error number differs between ports.
            pass
        yield
    strays = "; packets that do not answer us and were ignored: {}".format(ignored) if ignored else ""
    raise TimeServerError("no answer within {} s{}".format(TIMEOUT_MS // 1000, strays))


def _parse(packet: bytes) -> tuple[int, int]:
    """Return when an answer was sent (Unix ms), and by how many ms that may be wrong. Raises TimeServerError."""
    stratum = packet[1]
    if stratum == 0:
        raise KissOfDeath(packet[12:16])
    if packet[0] >> 6 == _UNSYNCHRONISED or stratum > _MAX_STRATUM:
        raise TimeServerError("it does not know the time itself")
    # Root delay and root dispersion are seconds with 16 bits of fraction. Half of the delay counts (RFC 5905 section
    # 10).
    distance = (_number(packet, 4) // 2 + _number(packet, 8)) * 1000 >> 16
    if distance > _MAX_DISTANCE_MS:
        raise TimeServerError("it is unsure of the time by {} ms".format(distance))
    seconds = _number(packet, 40)
    if seconds == 0:
        raise TimeServerError("it says no time")
    since = (seconds + _SHIFT) & 0xFFFFFFFF
    if since >> 30:  # An NTP era has 136 years. The 34 years from 2026 on are believed.
        raise TimeServerError("it shows a time before 2026 or after 2059")
    return (_EARLIEST + since) * 1000 + (_number(packet, 44) * 1000 >> 32), distance + 1


def _number(packet: bytes, at: int) -> int:
    """Return the 4 bytes at `at` as a number."""
    return int.from_bytes(packet[at : at + 4], "big")
