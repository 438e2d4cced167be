"""What a board is told when it is provisioned: `/e4.json`. Its keys are elsewhere, in the store `/e4.keys`.

    {"name": "alice",
     "wifi": {"ssid": "...", "password": "..."},
     "broker": {"host": "192.0.2.1", "port": 1883, "user": null, "password": null},
     "topics": ["/e4go/demo/messages"],
     "receiving_topic": null,
     "time_servers": ["0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org"],
     "time_from_commands": false, "max_command_age": 600, "future_tolerance": 60}

`topics` are MQTT topic filters to subscribe to; the first one is where the default `main.py` publishes. What follows
them, and `port`, `user` and `password` of the broker, may be left out and is then as above.

`time_servers` are asked in this order ("host" or "host:port") until two agree. A single one is trusted alone.
"time_server": "host" is an older way to name a single one. None at all needs `time_from_commands`: where time servers
are asked in vain, an authentic command sets the clock. `max_command_age` (s; null: no limit) is how late a command
may be; `future_tolerance` (s) how far ahead of the clock what arrives may be.
"""

import json
import os

from firmware.filters import is_valid

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"

# Of two operators, and of two parts of the pool: none alone can set a board's clock.
DEFAULT_TIME_SERVERS = ("0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org")

_KNOWN = (
    "name", "wifi", "broker", "topics", "receiving_topic",
    "time_servers", "time_server", "time_from_commands", "max_command_age", "future_tolerance",
)  # fmt: skip
_KNOWN_WIFI = ("ssid", "password")
_KNOWN_BROKER = ("host", "port", "user", "password")
_MAX_PORT = 65535
_MAX_TIME_SERVERS = 8
_MAX_COMMAND_AGE = 315360000  # ten years; beyond, null says it more clearly
_MAX_FUTURE = 3600


class Config:
    """A configuration, and in `problems` a line for everything that is missing or wrong with it."""

    def __init__(self, entries) -> None:
        self.problems = []
        if not isinstance(entries, dict):
            self.problems.append("{} is not a JSON object".format(CONFIG_PATH))
            entries = {}
        self._check_known(entries, _KNOWN, "")
        self.name = self._text(entries, "name", "")
        wifi = self._object(entries, "wifi")
        self._check_known(wifi, _KNOWN_WIFI, "wifi.")
        self.ssid = self._text(wifi, "ssid", "wifi.")
        self.wifi_password = self._text(wifi, "password", "wifi.", optional=True)
        broker = self._object(entries, "broker")
        self._check_known(broker, _KNOWN_BROKER, "broker.")
        self.host = self._text(broker, "host", "broker.")
        self.port = self._port(broker)
        self.user = self._text(broker, "user", "broker.", optional=True)
        self.password = self._text(broker, "password", "broker.", optional=True)
        if (self.user is None) != (self.password is None):
            self.problems.append('"broker.user" and "broker.password" go together')
        self.topics = self._topics(entries)
        self.receiving_topic = self._text(entries, "receiving_topic", "", optional=True)
        self.time_from_commands = self._flag(entries, "time_from_commands")
        self.time_servers = self._time_servers(entries)
        self.max_command_age = None
        if entries.get("max_command_age", 600) is not None:
            self.max_command_age = self._seconds(entries, "max_command_age", 600, (1, _MAX_COMMAND_AGE))
        self.future_tolerance = self._seconds(entries, "future_tolerance", 60, (0, _MAX_FUTURE))

    def _check_known(self, entries: dict, known: tuple, where: str) -> None:
        for entry in entries:
            if entry not in known:
                self.problems.append('"{}{}" is not a known entry'.format(where, entry))

    def _object(self, entries: dict, entry: str) -> dict:
        value = entries.get(entry)
        if isinstance(value, dict):
            return value
        self.problems.append('"{}" is {}'.format(entry, "missing" if value is None else "not an object"))
        return {}

    def _text(self, entries: dict, entry: str, where: str, optional: bool = False):
        value = entries.get(entry)
        if value is None and optional:
            return None
        if isinstance(value, str) and value:
            return value
        self.problems.append('"{}{}" is {}'.format(where, entry, "missing" if not value else "not text"))
        return None

    def _port(self, broker: dict) -> int:
        port = broker.get("port", 1883)
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= _MAX_PORT:
            self.problems.append('"broker.port" is not a number from 1 to 65535')
        return port

    def _flag(self, entries: dict, entry: str) -> bool:
        value = entries.get(entry, False)
        if not isinstance(value, bool):
            self.problems.append('"{}" is neither true nor false'.format(entry))
        return value is True

    def _seconds(self, entries: dict, entry: str, default: int, limits: tuple) -> int:
        value = entries.get(entry, default)
        if not isinstance(value, int) or isinstance(value, bool) or not limits[0] <= value <= limits[1]:
            self.problems.append('"{}" is not a number of seconds from {} to {}'.format(entry, *limits))
            return default
        return value

    def _time_servers(self, entries: dict) -> list:
        single = self._text(entries, "time_server", "", optional=True)
        servers = entries.get("time_servers")
        if single is not None and servers is not None:
            self.problems.append('"time_server" and "time_servers" exclude each other')
        if servers is None:
            servers = list(DEFAULT_TIME_SERVERS) if single is None else [single]
        if not isinstance(servers, list) or len(servers) > _MAX_TIME_SERVERS:
            self.problems.append('"time_servers" is not a list of up to {} servers'.format(_MAX_TIME_SERVERS))
            return []
        for i, server in enumerate(servers):
            if not _is_server(server):
                self.problems.append('"time_servers" has an entry that is neither "host" nor "host:port"')
            elif server in servers[:i]:
                self.problems.append('"time_servers" names {} twice: two must agree'.format(server))
        if not servers and not self.time_from_commands:
            self.problems.append('"time_servers" is empty, and "time_from_commands" is not set')
        return servers

    def _topics(self, entries: dict) -> list:
        topics = entries.get("topics")
        if not isinstance(topics, list):
            self.problems.append('"topics" is {}'.format("missing" if topics is None else "not a list of topics"))
            return []
        for topic in topics:
            if not isinstance(topic, str) or not is_valid(topic):
                self.problems.append('"topics" has an entry that is no topic filter')
        return topics


def _is_server(server) -> bool:
    """Tell whether this can be a time server: "host" or "host:port"; no IPv6, which a board may not have."""
    host, colon, port = server.partition(":") if isinstance(server, str) else ("", "", "")
    if not host or " " in host:
        return False
    return not colon or (port.isdigit() and len(port) <= 5 and 1 <= int(port) <= _MAX_PORT)


def load() -> Config:
    """Return the configuration in flash. Whatever is wrong with it is in its `problems`; nothing is raised."""
    try:
        with open(CONFIG_PATH) as file:
            return Config(json.load(file))
    except OSError:
        problem = "there is no {}: the board is not provisioned".format(CONFIG_PATH)
    except (ValueError, UnicodeError):
        problem = "{} is not JSON".format(CONFIG_PATH)
    config = Config({})
    config.problems = [problem]
    return config


def save(entries: dict) -> Config:
    """Write a configuration, if there is nothing wrong with it, in one step. Raises ValueError, OSError."""
    config = Config(entries)
    if config.problems:
        raise ValueError("not written: " + "; ".join(config.problems))
    following = CONFIG_PATH + ".new"
    with open(following, "w") as file:
        json.dump(entries, file)
    os.rename(following, CONFIG_PATH)
    return config
