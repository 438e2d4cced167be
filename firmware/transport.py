"""A connection to the broker's machine, over TCP or TLS, that never waits.

`opened` is a generator, as is all here that takes time: it yields while there is nothing to do, and returns.
"""

import select
import socket
from errno import EINPROGRESS

from firmware import dns
from firmware.packets import LinkDown
from firmware.ticks import Deadline

_IPPROTO_TCP = 6
_TCP_NODELAY = 1


def opened(host: str, port: int, ca: str | None, patience_ms: int):
    """Return a stream connected to `host`, through TLS if there is the path of a CA certificate.

    The TLS handshake takes place with the first bytes sent and received. Raises LinkDown, OSError.
    """
    address = yield from dns.address(host, patience_ms)
    try:
        stream = yield from _connected((address, port), patience_ms)
    except OSError:
        dns.forget(host)
        raise
    if ca is None:
        return stream
    from firmware import secure  # noqa: PLC0415 (most boards do without, and have no memory to spare)

    try:
        return secure.wrapped(stream, host, ca)
    except Exception:
        stream.close()
        raise


def _connected(address: tuple, patience_ms: int):
    stream = socket.socket()
    try:
        stream.setblocking(False)
        _send_at_once(stream)
        try:
            stream.connect(socket.getaddrinfo(address[0], address[1])[0][-1])
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        poller = select.poll()
        poller.register(stream, select.POLLOUT)
        deadline = Deadline(patience_ms)
        while not poller.poll(0):  # where it failed, the first use says why
            if deadline.passed():
                raise LinkDown("the broker's machine does not answer")
            yield
    except BaseException:
        stream.close()
        raise
    return stream


def _send_at_once(stream) -> None:
    """Have small packets not wait until earlier ones are acknowledged: it costs up to 0.2 s for each message."""
    try:
        stream.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
    except (OSError, ValueError):  # not every port can
        pass
