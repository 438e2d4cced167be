"""Joining a WiFi network without blocking the board."""

import network

from e4._const import const

from .errors import LinkDown
from .ticks import Deadline

_PATIENCE_MS = const(15000)  # the time for one attempt
# The attempts that may fail before the radio is switched off and on, because it can get stuck.
_ATTEMPTS = const(5)

# The attempts that have failed since the last one that succeeded.
_failures = 0


def is_connected() -> bool:
    """Tell whether the board is in a WiFi network."""
    return network.WLAN(network.STA_IF).isconnected()


def join(ssid: str, password: str | None):
    """A generator: it joins the network, returns our address, and yields while it waits. Raises LinkDown, OSError."""
    global _failures  # noqa: PLW0603 (a board has one radio)
    station = network.WLAN(network.STA_IF)
    if _failures >= _ATTEMPTS:
        station.active(False)
        _failures = 0
        yield
    station.active(True)
    if not station.isconnected():
        _failures += 1
        try:
            station.connect(ssid, password)
        except OSError:  # The radio is still busy with another attempt.
            station.disconnect()
            raise LinkDown('WiFi "{}": the radio was busy'.format(ssid)) from None
        deadline = Deadline(_PATIENCE_MS)
        while not station.isconnected():
            if deadline.is_over():
                reason = _reason(station.status())
                station.disconnect()
                raise LinkDown('WiFi "{}": {}'.format(ssid, reason))
            yield
    _failures = 0
    return station.ifconfig()[0]


def _reason(status: int) -> str:
    """Return what the status of the radio after an attempt means. Not all ports define all of these names."""
    reasons = (
        ("STAT_NO_AP_FOUND", "no such network here"),
        ("STAT_WRONG_PASSWORD", "wrong password"),
        ("STAT_HANDSHAKE_TIMEOUT", "wrong password, or too far away"),
        ("STAT_ASSOC_FAIL", "the access point refuses us"),
    )
    for name, reason in reasons:
        if getattr(network, name, None) == status:
            return reason
    return "no answer (status {})".format(status)
