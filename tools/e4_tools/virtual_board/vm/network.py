"""A stand-in for the module `network`. Its station joins a virtual access point that the supervisor switches."""

import time

from host import link as _link
from micropython import const

STA_IF = 0
AP_IF = 1
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
AUTH_OPEN = 0
AUTH_WEP = 1
AUTH_WPA_PSK = 2
AUTH_WPA2_PSK = 3
AUTH_WPA_WPA2_PSK = 4

_JOIN_MS = const(200)  # how long an attempt takes that succeeds
_FAIL_MS = const(400)  # how long an attempt takes that fails
_RSSI = -50  # dBm
_COUNTRY_LENGTH = const(2)
_HOSTNAME_MAX = const(32)
_MAC_LENGTH = const(6)  # bytes
_CHANNEL = const(6)
_NO_ADDRESS = ("0.0.0.0",) * 4  # noqa: S104 (this is what a board without an address returns)
_HOST_ADDRESS = ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")

_settings = {"hostname": "mpy-esp32", "country": "XX"}


def hostname(name=None):
    """Return the name that DHCP announces, or set it to a name of at most 32 characters."""
    return _setting("hostname", name, _HOSTNAME_MAX)


def country(code=None):
    """Return the country code, or set it to a code of two letters."""
    if code is not None and len(code) != _COUNTRY_LENGTH:
        raise ValueError
    return _setting("country", code, _COUNTRY_LENGTH)


def _setting(name, value, limit):
    """Return a setting, or set it. Raises ValueError for a value that is too long."""
    if value is None:
        return _settings[name]
    if len(value) > limit:
        raise ValueError
    _settings[name] = value
    return None


class WLAN:
    """The station interface (STA_IF), or an access point interface (AP_IF) that no station ever joins."""

    IF_STA = STA_IF
    IF_AP = AP_IF
    SEC_OPEN = AUTH_OPEN
    SEC_WPA_WPA2 = AUTH_WPA_WPA2_PSK
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    _interfaces = {}  # noqa: RUF012 (one object for each interface)

    def __new__(cls, interface=STA_IF):
        if interface not in (STA_IF, AP_IF):
            raise ValueError("invalid WLAN interface identifier")
        if interface not in cls._interfaces:
            cls._interfaces[interface] = super().__new__(cls)
            cls._interfaces[interface]._power_up(interface)
        return cls._interfaces[interface]

    def _power_up(self, interface):
        """Begin with the state of an interface after a reset."""
        self._interface = interface
        self._active = False
        # The SSID and the key with which `connect` was last called.
        self._credentials = ("", "")
        # The SSID and the key of the access point to join, or None if no connection is wanted.
        self._wanted = None
        # The ticks at which the present attempt ends.
        self._due = 0
        # True while the station has joined the access point.
        self._connected = False
        # The reason why there is no connection: a STAT_ value below 1000, or 0 if there is none.
        self._reason = 0
        # The number of attempts that have ended since `connect` or the loss of a connection.
        self._attempts = 0
        self._config = {"reconnects": 0, "pm": WLAN.PM_PERFORMANCE, "txpower": 20.0, "protocol": 7}

    def active(self, on=None):
        """Return whether the interface is on, or switch it on or off."""
        if on is not None:
            self._active = bool(on)
            if not on:
                self._wanted = None
                self._connected = False
        return self._active

    def connect(self, ssid=None, key=None, *, bssid=None):
        """Begin to connect. Raises OSError if the interface is off, or while an attempt is under way.

        Without `ssid`, this connects with the SSID and key of the last call.
        """
        self._require_station()
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._wanted and not self._connected and self.status() == STAT_CONNECTING:
            raise OSError("Wifi Internal State Error")
        if bssid is not None and len(bssid) != _MAC_LENGTH:
            raise ValueError
        if ssid is not None:
            self._credentials = (_text(ssid), _text(key) if key is not None else "")
        self._wanted = self._credentials
        self._connected = False
        self._attempts = 0
        self._attempt()

    def disconnect(self):
        """Leave the access point. Raises OSError if the interface is off."""
        self._require_station()
        if not self._active:
            raise OSError("Wifi Not Started")
        self._wanted = None
        self._connected = False
        self._reason = 0

    def isconnected(self):
        """Tell whether the station is connected and has an address."""
        self._update()
        return self._connected

    def status(self, param=None):
        """Return STAT_GOT_IP, STAT_CONNECTING, STAT_IDLE or the reason of the last failure.

        With 'rssi', return the strength of the signal in dBm. With 'stations', return the stations that have joined an
        access point interface.
        """
        self._update()
        if param == "rssi":
            if not self._connected:
                raise OSError("Wifi Not Connected")
            return _RSSI
        if param == "stations" and self._interface == AP_IF:
            return []
        if param is not None:
            raise ValueError("unknown status param")
        if self._interface == AP_IF:
            return None
        if self._connected:
            return STAT_GOT_IP
        if self._reason:
            return self._reason
        return STAT_CONNECTING if self._wanted else STAT_IDLE

    def ifconfig(self, config=None):
        """Return address, netmask, gateway and name server. Setting them, or 'dhcp', changes nothing."""
        if config is None:
            return _HOST_ADDRESS if self.isconnected() else _NO_ADDRESS
        if config != "dhcp" and (not isinstance(config, (tuple, list)) or len(config) != len(_HOST_ADDRESS)):
            raise ValueError("invalid arguments")
        return None

    def scan(self):
        """Return a list with (ssid, bssid, channel, rssi, security, hidden) of each access point that is on."""
        if not self._active:
            raise OSError("STA must be active")
        if not _link.access_point_is_on():
            return []
        ssid = _link.config["ssid"].encode()
        security = AUTH_WPA2_PSK if _link.config["password"] else AUTH_OPEN
        return [(ssid, b"\x02\x00\x00\x00\x00\x01", _CHANNEL, _RSSI, security, False)]

    def config(self, *args, **settings):
        """Return one setting by its name, or set some by keyword. Raises ValueError for unknown settings."""
        if (args and settings) or len(args) > 1:
            raise TypeError("either pos or kw args are allowed")
        for name, value in settings.items():
            if name not in self._config:
                raise ValueError("unknown config param")
            self._config[name] = value
        if not args:
            return None
        fixed = {
            "mac": bytes.fromhex(_link.config["unique_id"]),
            "ssid": self._wanted[0] if self._wanted else "",
            "essid": self._wanted[0] if self._wanted else "",
            "channel": _CHANNEL if self._connected else 0,
            "hostname": _settings["hostname"],
        }
        if args[0] not in fixed and args[0] not in self._config:
            raise ValueError("unknown config param")
        return fixed.get(args[0], self._config.get(args[0]))

    def _require_station(self):
        """Raise OSError, as a board does, if this is the access point interface."""
        if self._interface != STA_IF:
            raise OSError("STA required")

    def _attempt(self):
        """Begin an attempt to join. How long it takes depends on whether it will succeed."""
        joins = self._refusal() == 0
        self._due = time.ticks_add(time.ticks_ms(), _JOIN_MS if joins else _FAIL_MS)

    def _refusal(self):
        """Return why this station cannot join the access point, a STAT_ value, or 0 if it can."""
        ssid, key = self._wanted
        if not _link.access_point_is_on() or ssid != _link.config["ssid"]:
            return STAT_NO_AP_FOUND
        return 0 if key == _link.config["password"] else STAT_WRONG_PASSWORD

    def _update(self):
        """Bring the state up to date, after an attempt has ended or the connection was lost."""
        if not self._wanted:
            return
        if self._connected:
            if not _link.access_point_is_on():
                self._connected = False
                self._reason = STAT_BEACON_TIMEOUT
                self._attempts = 0
                self._attempt()
            return
        limit = self._config["reconnects"]
        if time.ticks_diff(time.ticks_ms(), self._due) < 0 or (limit > 0 and self._attempts >= limit):
            return
        self._attempts += 1
        self._reason = self._refusal()
        self._connected = self._reason == 0
        if not self._connected:
            self._attempt()


def _text(value):
    """Return a string or bytes as a string."""
    return value if isinstance(value, str) else str(value, "utf-8")
