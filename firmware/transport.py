"""A connection to the broker's machine, over TCP or TLS, that never waits.

`open_stream` is a generator, as is all here that takes time: it yields while there is nothing to do, and returns.
"""

import select
import socket

from e4._const import const

from . import dns
from .errors import LinkDown, try_once
from .ticks import Deadline

_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)


def open_stream(host: str, port: int, ca: str | None, patience_ms: int):
    """Return a stream connected to `host`, through TLS if there is the path of a CA certificate.

    The TLS handshake takes place with the first bytes sent and received. Raises LinkDown, OSError.
    """
    address = yield from dns.address(host, patience_ms)
    stream = yield from _connect(address, port, patience_ms)
    if ca is None:
        return stream
    from . import secure  # noqa: PLC0415 (most boards do without, and have no memory to spare)

    try:
        return secure.wrap(stream, host, ca)
    except Exception:
        stream.close()
        raise


def _connect(address: str, port: int, patience_ms: int):
    stream = socket.socket()
    try:
        stream.setblocking(False)
        try:  # small packets would wait until earlier ones are acknowledged: up to 0.2 s for each message
            stream.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        except (OSError, ValueError, AttributeError):  # not every port can, nor every socket
            pass
        try_once(stream.connect, socket.getaddrinfo(address, port)[0][-1])
        deadline = Deadline(patience_ms)
        while is_ready(stream, select.POLLOUT) is False:  # where it failed, the first use says why
            if deadline.is_over():
                raise LinkDown("the broker's machine does not answer")
            yield
    except BaseException:
        stream.close()
        raise
    return stream


def is_ready(stream, event: int) -> bool | None:
    """Tell whether a stream is ready; None if it cannot be polled, as a socket written in Python may be."""
    poller = select.poll()  # of its own: one that has once refused a stream crashes
    try:
        poller.register(stream, event)
        return bool(poller.poll(0))
    except Exception:
        return None
