"""Addresses of hosts. The system's own look-up blocks for as long as it likes; this one takes turns and has an end."""

import os
import socket

from e4._const import const

from .errors import LinkDown, try_once
from .ticks import Deadline

_PORT = const(53)
_SIZE = const(512)  # of a reply over UDP
_TRY_MS = const(2000)
_TYPE_A = const(b"\x00\x01\x00\x01")  # and class IN
_POINTER = const(0xC0)

_addresses: dict = {}  # host: the last address that worked


def forget(host: str) -> None:
    """Do not use the address known for `host` again: nobody answers there."""
    _addresses.pop(host, None)


def address(host: str, patience_ms: int, servers=None):
    """Return the IPv4 address of `host`; a generator that yields while it waits. Raises LinkDown.

    Names without a dot and those of the local link (`.local`) are not in the DNS: they are returned as they are, for
    the system's own look-up.
    """
    if host in _addresses:
        return _addresses[host]
    if is_address(host) or "." not in host or host.endswith(".local"):
        return host
    found = yield from _ask_all(host, servers or _servers(), patience_ms)
    _addresses[host] = found
    return found


def is_address(host: str) -> bool:
    """Tell whether `host` is an IPv4 address already."""
    parts = host.split(".")
    for part in parts:
        if not part.isdigit() or int(part) > 255:
            return False
    return len(parts) == 4


def _servers() -> list:
    import network  # noqa: PLC0415 (only boards have it)

    return [(network.WLAN(network.STA_IF).ifconfig()[3], _PORT)]


def _ask_all(host: str, servers: list, patience_ms: int):
    """Ask the servers in turn, again and again, until one has answered or the time is over (RFC 1035)."""
    whole = Deadline(patience_ms)
    attempt = 0
    while not whole.is_over():
        server = servers[attempt % len(servers)]
        attempt += 1
        query = question(host, os.urandom(2))
        found = yield from _ask_one(query, server, min(_TRY_MS, patience_ms))
        if found is not None:
            return found
    raise LinkDown("no name server knows {} within {} s".format(host, patience_ms // 1000))


def _ask_one(query: bytes, server: tuple, patience_ms: int):
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        connection.setblocking(False)
        connection.connect(socket.getaddrinfo(server[0], server[1])[0][-1])  # only its datagrams are taken
        connection.send(query)
        deadline = Deadline(patience_ms)
        while not deadline.is_over():
            found = answer(try_once(connection.recv, _SIZE) or b"", query)
            if found is not None:
                return found
            yield
    except OSError:  # it is not there, or we have no way to it
        yield
    finally:
        connection.close()
    return None


def question(host: str, number: bytes) -> bytes:
    """Return a query for the address of `host`. Raises LinkDown if it cannot be a host's name."""
    name = b""
    for label in host.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise LinkDown("{} is no name of a host".format(host))
        name += bytes((len(label),)) + label
    return number + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00" + _TYPE_A


def answer(reply: bytes, query: bytes) -> str | None:
    """Return the first address in a reply to `query`; None if it has none, or is no reply to it."""
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
