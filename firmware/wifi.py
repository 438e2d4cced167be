"""Joining a WiFi network, without waiting for it."""

import network

from e4._const import const

from .errors import LinkDown
from .ticks import Deadline

_PATIENCE_MS = const(15000)
_ATTEMPTS = const(5)  # that fail before the radio is switched off and on: it can get stuck

_failures = 0


def is_connected() -> bool:
    return network.WLAN(network.STA_IF).isconnected()


def join(ssid: str, password: str | None):
    """Join the network and return our address: a generator that yields meanwhile. Raises LinkDown, OSError."""
    global _failures  # noqa: PLW0603 (there is one radio)
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
        except OSError:  # it is trying already
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
