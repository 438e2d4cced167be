"""Finding out why a serial port cannot be opened, without disturbing another program that uses it."""

from __future__ import annotations

import errno
import os
import sys

from filelock import lock_descriptor

from e4_tools.errors import NoSuchPort, PortError, PortInUse

# What pyserial quotes of Windows, whatever the language of the system is.
_WINDOWS_HAS_NO_SUCH_PORT = "FileNotFoundError(2,"
_WINDOWS_PORT_IN_USE = "PermissionError(13,"


def port_error(port: str, reason: str) -> PortError:
    """Return the error for a port that could not be opened. `reason` is named if nothing better can be found out."""
    if "://" not in port:
        if _is_missing(port, reason):
            return NoSuchPort(f"there is no such port: {port}; nothing was changed. e4 ports lists those with a board")
        if _is_in_use(port, reason):
            return PortInUse(
                f"{port} is in use by another program, such as an open e4 console; nothing was changed. "
                "End that program, and run the command again"
            )
        if sys.platform != "win32" and not os.access(port, os.R_OK | os.W_OK):
            return PortError(
                f"you may not use {port}; nothing was changed. On Linux be in the group that owns it, often dialout"
            )
    return PortError(f"{port} cannot be opened ({reason}); nothing was changed. Is the board plugged in?")


def _is_missing(port: str, reason: str) -> bool:
    if sys.platform == "win32":  # Serial ports have no path there.
        return _WINDOWS_HAS_NO_SUCH_PORT in reason
    return not os.path.exists(port)  # `Path.exists` raises an exception for a name that is too long


def _is_in_use(port: str, reason: str) -> bool:
    """Tell whether another program has locked a port, or opened it for itself alone (TIOCEXCL)."""
    if sys.platform == "win32":  # One program has a port there, and no permission keeps a user from it.
        return _WINDOWS_PORT_IN_USE in reason
    try:
        handle = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return error.errno == errno.EBUSY
    try:
        return not lock_descriptor(handle, blocking=False)
    except OSError:
        return False
    finally:
        os.close(handle)
