"""The stream to the machine of the broker, over TCP or TLS. Neither connecting nor using it blocks.

There is one exception: for a name that is not in the DNS (without a dot, or `.local`), `open_stream` calls the
`getaddrinfo` of the system, which blocks the board until it has an answer or gives up.
"""

import select
import socket

from e4._const import const

from . import dns, ticks
from .errors import LinkDown, close_quietly, try_once

_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)


def open_stream(host: str, port: int, ca: str | None, patience_ms: int):
    """A generator: it returns a non-blocking stream to `host`, and yields while it waits. Raises LinkDown, OSError.

    With `ca`, the path of the certificate of a CA, the stream is a TLS stream. The TLS handshake takes place with the
    first bytes sent and received.
    """
    address = yield from dns.resolve(host, patience_ms)
    stream = yield from _connect(address, port, patience_ms)
    try:
        if ca is None:
            return stream
        from . import secure  # noqa: PLC0415 (without TLS the module would only take heap)

        return secure.wrap(stream, host, ca)
    except BaseException:
        close_quietly(stream)
        raise


def _connect(address: str, port: int, patience_ms: int):
    """A generator: it returns a stream that is connected over TCP, and yields while it waits."""
    stream = socket.socket()
    try:
        stream.setblocking(False)
        # Without TCP_NODELAY small packets wait until earlier ones are acknowledged: up to 0.2 s for each message.
        try:
            stream.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        except (OSError, ValueError, AttributeError):  # Some ports of MicroPython and some sockets cannot.
            pass
        try_once(stream.connect, socket.getaddrinfo(address, port)[0][-1])
        deadline = ticks.Deadline(patience_ms)
        # A failed connect counts as ready: the first read or write raises the reason.
        while is_ready(stream, select.POLLOUT) is False:
            if deadline.is_over():
                raise LinkDown("the broker's machine does not answer")
            yield
    except BaseException:
        close_quietly(stream)
        raise
    return stream


def is_ready(stream, event: int) -> bool | None:
    """Tell whether a stream is ready, or return None if it cannot be polled, such as a socket written in Python."""
    # A new poller each time: MicroPython's crashes after `register` has refused a stream.
    poller = select.poll()
    try:
        poller.register(stream, event)
        return bool(poller.poll(0))
    except Exception:
        return None
