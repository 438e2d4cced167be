"""The errors of the board application, and the text that a person reads when something has failed.

    OSError
        LinkDown                 There is no connection: no WiFi, no name server, no broker, or it has ended.
        sntp.TimeServerError     A time server did not answer, or its answer does not tell the time.
            sntp.KissOfDeath     The time server does not want to be asked.
            clock.TimeRefused    The time servers agree on a time that the clock does not believe.

All of them say in their text what went wrong. The last three stay in the modules that raise them. What is wrong with
a message, a command or a key is an `e4.E4Error` (see `e4.errors`).
"""

from e4 import E4Error
from e4._const import const

# The error numbers by which a socket that never blocks says that it can do nothing yet: EAGAIN, EINPROGRESS and
# ETIMEDOUT, as an ESP32, a PC, and sockets that are written in Python number them.
_WOULD_BLOCK = const((11, 110, 115, 116, 119, -11, -110, -116))


class LinkDown(OSError):
    """There is no connection to the broker, or it has ended: WiFi and name servers included. The text says why."""


def try_once(call, argument):
    """Return what one call of a method of a non-blocking socket returns, or None if it could do nothing yet.

    Raises OSError for any other failure.
    """
    try:
        return call(argument)
    except OSError as error:
        if error.errno not in _WOULD_BLOCK:
            raise
        return None


def describe(error: BaseException | None) -> str:
    """Return a text that tells a person what an exception means.

    Errors of this project and those of the operating system with a text of their own explain themselves. All other
    exceptions are named by their class as well, because many of them have no text or only a number.
    """
    text = str(error)
    if isinstance(error, E4Error) or (text and type(error) is not OSError and isinstance(error, OSError)):
        return text or type(error).__name__
    return "{} {}".format(type(error).__name__, text)


def close_quietly(stream) -> None:
    """Close a stream or socket. Nothing is raised, because that would hide the result or the error that comes first."""
    try:
        stream.close()
    except Exception:  # noqa: S110 (nobody uses the stream any more)
        pass
