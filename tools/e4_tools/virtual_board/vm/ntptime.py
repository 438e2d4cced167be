"""Stand-in for `ntptime`: the host's clock is the time server, reachable while the board has WiFi."""

import time as _clock

import machine as _machine
import network as _network
from host import link as _link

host = "pool.ntp.org"
timeout = 1

_EAI_FAIL = -202
_ETIMEDOUT = 116


def time():
    """Seconds since the epoch, from the server. OSError: -202 without WiFi, ETIMEDOUT without a server."""
    if not _network.WLAN(_network.STA_IF).isconnected():
        raise OSError(_EAI_FAIL)
    if not _link.config["ntp"]:
        _clock.sleep(timeout)
        raise OSError(_ETIMEDOUT)
    return _clock.time()


def settime():
    """Set the board's clock to UTC. Raises like `time`."""
    now = _clock.gmtime(time())
    _machine.RTC().datetime((now[0], now[1], now[2], now[6] + 1, now[3], now[4], now[5], 0))
