"""Replacements for the ticks, the calendar, the real-time clock and the UDP network of a board, with time servers."""

import time


class Ticks:
    """The functions of a board's module `time` for ticks, which wrap after 2^30 ms.

    Time passes only when a test calls `pass_ms`. `passed` is the sum of that, in ms.
    """

    def __init__(self, now=1000):
        self._now = now
        self.passed = 0

    def pass_ms(self, milliseconds):
        self._now += milliseconds
        self.passed += milliseconds

    def ticks_ms(self):
        return self._now & 0x3FFFFFFF

    def ticks_diff(self, end, start):
        return ((end - start + 0x20000000) & 0x3FFFFFFF) - 0x20000000


def answer_to(question, milliseconds):
    """Return a server's answer at a Unix time in ms (RFC 5905 section 7.3).

    It has version 4, stratum 2, a root delay of 10 ms and a root dispersion of 7 ms.
    """
    seconds = (milliseconds // 1000 + 2208988800) & 0xFFFFFFFF
    stamp = seconds.to_bytes(4, "big") + ((milliseconds % 1000 << 32) // 1000).to_bytes(4, "big")
    head = b"\x24\x02\x06\xec" + (655).to_bytes(4, "big") + (459).to_bytes(4, "big") + b"\xc0\x00\x02\x09"
    return head + stamp + question[40:48] + stamp + stamp


class UDPNetwork:
    """A replacement for the module `socket`, with UDP only.

    `arrivals(packet, address)` is called for each packet sent. It yields the packets that then arrive, each as a tuple
    (ms until it arrives, packet, source). `sent` has all packets sent, `looked_up` all names looked up, and `open`
    counts the open sockets. Names in `unknown` have no address. If `broken` is set, it is raised by every look-up and
    every sending.
    """

    AF_INET = 2
    SOCK_DGRAM = 2

    def __init__(self, ticks):
        self.ticks = ticks
        self.arrivals = lambda packet, address: ()
        self.sent = []
        self.open = 0
        self.looked_up = []
        self.unknown = ()
        self.broken = None
        # Whether closing a socket raises an exception, after it was closed.
        self.close_fails = False

    def getaddrinfo(self, host, port, family, kind):
        assert (family, kind) == (self.AF_INET, self.SOCK_DGRAM)
        self.looked_up.append(host)
        if self.broken is not None:
            raise self.broken
        return [] if host in self.unknown else [(family, kind, 0, "", (host, port))]

    def socket(self, family, kind):
        assert (family, kind) == (self.AF_INET, self.SOCK_DGRAM)
        self.open += 1
        return _UDPSocket(self)


class _UDPSocket:
    def __init__(self, network):
        self._network = network
        self._timeout = None
        self._received = 0
        # The packet that arrives next, as a tuple (ms from now, packet, source).
        self._next = None

    def sendto(self, packet, address):
        if self._network.broken is not None:
            raise self._network.broken
        self._network.sent.append((packet, address))
        self._arrivals = iter(self._network.arrivals(packet, address))

    def settimeout(self, seconds):
        assert seconds > 0
        self._timeout = round(seconds * 1000)

    def recvfrom(self, size):
        """Wait for a packet, at most for the timeout. As on a real system, bytes beyond `size` are lost."""
        assert self._timeout is not None, "it may wait for ever"
        self._received += 1
        assert self._received < 1000, "it goes on receiving"
        if self._next is None:
            self._next = next(self._arrivals, (1000000, b"", None))
        after, packet, source = self._next
        if after > self._timeout:
            self._network.ticks.pass_ms(self._timeout)
            self._next = (after - self._timeout, packet, source)
            raise OSError(110)
        self._network.ticks.pass_ms(after)
        self._next = None
        return packet[:size], source

    def close(self):
        self._network.open -= 1
        if self._network.close_fails:
            raise OSError(5)


class Network(UDPNetwork):
    """A network with time servers.

    `offsets` has a value for each server: the error of its clock in ms, None if it is silent, or the code of the kiss
    of death (RFC 5905 section 7.4) with which it answers. The ticks run ahead of the true time by `drift` millionths.
    """

    def __init__(self, drift=0, **offsets):
        super().__init__(Ticks())
        self.offsets = offsets
        self.aliases = {}
        self.broken_names = False
        self.delay = 40
        self.start = 1774894944000
        self.drift = drift
        self.asked = []
        self.arrivals = self._arrivals

    def now(self):
        """Return the true Unix time, in ms."""
        return self.start + self.ticks.passed - self.ticks.passed * self.drift // 1000000

    def getaddrinfo(self, host, port, family, kind):
        self.broken = OSError(-202) if self.broken_names else None
        try:
            return super().getaddrinfo(self.aliases.get(host, host), port, family, kind)
        finally:
            self.broken = None

    def _arrivals(self, packet, address):
        self.asked.append(address[0])
        offset = self.offsets[address[0]]
        if offset is None:
            return []
        if isinstance(offset, bytes):
            packet = b"\xe4\x00" + bytes(10) + offset + bytes(8) + packet[40:48] + bytes(16)
        else:
            packet = answer_to(packet, self.now() + self.delay // 2 + offset)
        return [(self.delay, packet, address)]


def unix_seconds(date):
    """Return the Unix time, in seconds, of a date in UTC: (year, month, day, hour, minute, second, ...)."""
    days = date[2] - 1
    for year in range(1970, date[0]):
        days += 366 if year % 4 == 0 else 365
    for length in (31, 29 if date[0] % 4 == 0 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[: date[1] - 1]:
        days += length
    return ((days * 24 + date[3]) * 60 + date[4]) * 60 + date[5]


class Calendar:
    """The functions of a board's module `time` for dates. The board counts seconds from `epoch`, a Unix time."""

    def __init__(self, epoch=946684800):
        self._epoch = epoch

    def gmtime(self, seconds):
        return time.gmtime(seconds + self._epoch)

    def mktime(self, date):
        return unix_seconds(date) - self._epoch


class Machine:
    """The module `machine` of a board that was just switched on.

    Its real-time clock runs with the ticks. `data` is the memory of that clock, and `cause` is the cause of the last
    reset.
    """

    DEEPSLEEP_RESET = 4

    def __init__(self, ticks):
        self._ticks = ticks
        self._offset = 946684800000000 - ticks.passed * 1000
        self.data = b""
        self.cause = 1

    def RTC(self):  # noqa: N802 (MicroPython's name for it)
        return self

    def datetime(self, date=None):
        if date is None:
            micros = self._offset + self._ticks.passed * 1000
            t = time.gmtime(micros // 1000000)
            return t[0], t[1], t[2], t[6], t[3], t[4], t[5], micros % 1000000
        assert 0 <= date[7] < 1000000 and len(date) == 8
        seconds = unix_seconds((date[0], date[1], date[2], date[4], date[5], date[6]))
        self._offset = seconds * 1000000 + date[7] - self._ticks.passed * 1000
        return None

    def memory(self, data=None):
        if data is None:
            return self.data
        self.data = bytes(data)
        return None

    def reset_cause(self):
        return self.cause
