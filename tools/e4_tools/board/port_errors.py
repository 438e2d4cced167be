"""Finding out why a serial port cannot be opened, without disturbing another program that uses it."""

from __future__ import annotations

import errno
import fcntl
import os

from e4_tools.errors import NoSuchPort, PortError, PortInUse


def port_error(port: str, reason: str) -> PortError:
    """Return the error for a port that could not be opened. `reason` is named if nothing better can be found out."""
    if "://" not in port:
        if not os.path.exists(port):  # `Path.exists` raises an exception for a name that is too long
            return NoSuchPort(f"there is no such port: {port}; nothing was changed. e4 ports lists those with a board")
        if _in_use(port):
            return PortInUse(
                f"{port} is in use by another program, such as an open e4 console; nothing was changed. "
                "End that program, and run the command again"
            )
        if not os.access(port, os.R_OK | os.W_OK):
            return PortError(
                f"you may not use {port}; nothing was changed. On Linux be in the group that owns it, often dialout"
            )
    return PortError(f"{port} cannot be opened ({reason}); nothing was changed. Is the board plugged in?")


def _in_use(port: str) -> bool:
    """Tell whether another program has locked a port, or opened it for itself alone (TIOCEXCL)."""
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return error.errno == errno.EBUSY
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
