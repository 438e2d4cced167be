"""Looking up the addresses of hosts (RFC 1035).

The look-up of the system, `socket.getaddrinfo`, may block the whole board for a long time. This one takes turns with
the rest of the program, and ends after a given time.
"""

import os
import socket

from e4._const import const

from .errors import LinkDown, close_quietly, try_once
from .ticks import Deadline

_PORT = const(53)
_SIZE = const(512)  # the longest reply over UDP, in bytes
_TRY_MS = const(2000)  # the time that one server has for its answer
_TYPE_A = const(b"\x00\x01\x00\x01")  # type A, class IN
_POINTER = const(0xC0)  # the first byte of a compressed name is at least this (section 4.1.4)

# For each host, the address that was found last. `forget` removes it when nobody answers there.
_addresses: dict[str, str] = {}


def forget(host: str) -> None:
    """Look `host` up again next time, because nobody answers at the address that is known for it."""
    _addresses.pop(host, None)


def resolve(host: str, patience_ms: int, servers: list[tuple[str, int]] | None = None):
    """A generator: it returns the IPv4 address of `host`, and yields while it waits. Raises LinkDown.

    Names without a dot and names of the local link (`.local`) are not in the DNS. They are returned as they are, for
    the look-up of the system.
    """
    if host in _addresses:
        return _addresses[host]
    if is_address(host) or "." not in host or host.endswith(".local"):
        return host
    found = yield from _ask_all(host, servers or _servers(), patience_ms)
    _addresses[host] = found
    return found


def is_address(host: str) -> bool:
    """Tell whether `host` is an IPv4 address."""
    parts = host.split(".")
    for part in parts:
        # CPython takes more signs for digits than `int` does, and MicroPython has no `isdecimal`.
        if not part.isdigit() or max(part) > "9" or len(part) > 3 or int(part) > 255:
            return False
    return len(parts) == 4


def _servers() -> list[tuple[str, int]]:
    """Return the address of the name server that the WiFi network has named."""
    import network  # noqa: PLC0415 (only boards have this module, and tests run elsewhere as well)

    return [(network.WLAN(network.STA_IF).ifconfig()[3], _PORT)]


def _ask_all(host: str, servers: list[tuple[str, int]], patience_ms: int):
    """A generator: it asks the servers in turn, again and again, until one has answered or the time is over."""
    whole = Deadline(patience_ms)
    attempt = 0
    while not whole.is_over():
        server = servers[attempt % len(servers)]
        attempt += 1
        query = make_query(host, os.urandom(2))
        found = yield from _ask_one(query, server, min(_TRY_MS, patience_ms))
        if found is not None:
            return found
    raise LinkDown("no name server knows {} within {} s".format(host, patience_ms // 1000))


def _ask_one(query: bytes, server: tuple[str, int], patience_ms: int):
    """A generator: it returns the address that a server gives, or None, and yields while it waits."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        connection.setblocking(False)
        # A connected socket receives datagrams of this server only.
        connection.connect(socket.getaddrinfo(server[0], server[1])[0][-1])
        connection.send(query)
        deadline = Deadline(patience_ms)
        while not deadline.is_over():
            found = read_reply(try_once(connection.recv, _SIZE) or b"", query)
            if found is not None:
                return found
            yield
    except OSError:  # The server does not exist, or there is no way to it.
        yield
    finally:
        close_quietly(connection)
    return None


def make_query(host: str, number: bytes) -> bytes:
    """Return the query for the address of `host`, with an identifier of 2 bytes. Raises LinkDown for a bad name."""
    name = b""
    for label in host.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise LinkDown("{} is no name of a host".format(host))
        name += bytes((len(label),)) + label
    return number + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00" + _TYPE_A


def read_reply(reply: bytes, query: bytes) -> str | None:
    """Return the first address in a reply to `query`, or None if there is none or it is no reply to this query."""
    end = len(query)
    if reply[:2] != query[:2] or len(reply) < end or not reply[2] & 0x80 or reply[3] & 15:
        return None
    if reply[12:end].lower() != query[12:].lower():
        return None
    at = end
    for _ in range(int.from_bytes(reply[6:8], "big")):
        if at >= len(reply):
            break
        while at < len(reply) and reply[at] and reply[at] < _POINTER:
            at += 1 + reply[at]
        at += 2 if reply[at : at + 1] and reply[at] >= _POINTER else 1
        size = int.from_bytes(reply[at + 8 : at + 10], "big")
        data = reply[at + 10 : at + 10 + size]
        if reply[at : at + 4] == _TYPE_A and size == len(data) == 4:
            return "{}.{}.{}.{}".format(*data)
        at += 10 + size
    return None
