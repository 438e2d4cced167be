"""Joining a WiFi network."""

import time

import network

_STEP_MS = 100


class WiFiError(OSError):
    """The board could not join; the text says why, as far as the radio knows."""


def connected() -> bool:
    return network.WLAN(network.STA_IF).isconnected()


def join(ssid: str, password: str | None, timeout_ms: int = 15000) -> str:
    """Join the network and return our address. Raises WiFiError when that has not worked in time."""
    station = network.WLAN(network.STA_IF)
    station.active(True)
    if not station.isconnected():
        try:
            station.connect(ssid, password)
        except OSError:  # it is trying already
            station.disconnect()
            raise WiFiError('WiFi "{}": the radio was busy'.format(ssid)) from None
        started = time.ticks_ms()
        while not station.isconnected():
            if time.ticks_diff(time.ticks_ms(), started) > timeout_ms:
                reason = _reason(station.status())
                station.disconnect()
                raise WiFiError('WiFi "{}": {}'.format(ssid, reason))
            time.sleep_ms(_STEP_MS)
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
