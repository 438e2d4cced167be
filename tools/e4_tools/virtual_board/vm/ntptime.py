"""A stand-in for the module `ntptime`. The clock of the host is the time server, which needs WiFi."""

import time as _clock

import machine as _machine
import network as _network
from host import link as _link

host = "pool.ntp.org"
timeout = 1  # seconds

_EAI_FAIL = -202
_ETIMEDOUT = 116


def time():
    """Return the Unix time of the server. Raises OSError -202 without WiFi, and ETIMEDOUT if no server answers."""
    if not _network.WLAN(_network.STA_IF).isconnected():
        raise OSError(_EAI_FAIL)
    if not _link.config["ntp"]:
        _clock.sleep(timeout)
        raise OSError(_ETIMEDOUT)
    return _clock.time()


def settime():
    """Set the board's clock to UTC. Raises OSError as `time` does."""
    now = _clock.gmtime(time())
    _machine.RTC().datetime((now[0], now[1], now[2], now[6] + 1, now[3], now[4], now[5], 0))
