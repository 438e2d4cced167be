"""What a board is told when it is provisioned: `/e4.json`. Its keys are elsewhere, in the store `/e4.keys`.

    {"name": "alice",
     "wifi": {"ssid": "...", "password": "..."},
     "broker": {"host": "192.0.2.1", "port": 1883, "user": null, "password": null, "ca": null,
                "keepalive": 60, "patience": 10},
     "topics": ["/e4go/demo/messages"],
     "receiving_topic": null,
     "time_servers": ["0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org"],
     "time_from_commands": false, "max_command_age": 600, "future_tolerance": 60,
     "status_topic": null, "max_message": 4096, "queue": {"messages": 32, "bytes": 8192}, "watchdog": 60}

`topics` are MQTT topic filters to subscribe to; the first one is where the default `main.py` publishes. What follows
them, and all of the broker but `host`, may be left out and is then as above.

`ca` is the path of the CA certificate (DER or PEM) that the broker's is signed with: TLS, and port 8883. After a third
of `keepalive` (s) without a word, the broker is asked whether it is there; it has `patience` (s) for any answer.
On `status_topic` a retained "online" or "offline" is kept, not protected: a hint that anyone can forge. Messages of
more than `max_message` bytes are skipped. What is to be sent waits in the `queue` while there is no connection.
`watchdog`: seconds without progress until the board is reset; 0: none.

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
    "status_topic", "max_message", "queue", "watchdog",
)  # fmt: skip
_KNOWN_WIFI = ("ssid", "password")
_KNOWN_BROKER = ("host", "port", "user", "password", "ca", "keepalive", "patience")
_KNOWN_QUEUE = ("messages", "bytes")
_PORTS = (1, 65535)
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
        self.ca = self._text(broker, "ca", "broker.", optional=True)
        self.port = self._number(broker, "port", "broker.", 1883 if self.ca is None else 8883, _PORTS)
        self.keepalive = self._number(broker, "keepalive", "broker.", 60, (3, 3600))
        self.patience = self._number(broker, "patience", "broker.", 10, (1, 300))
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
            self.max_command_age = self._number(entries, "max_command_age", "", 600, (1, _MAX_COMMAND_AGE))
        self.future_tolerance = self._number(entries, "future_tolerance", "", 60, (0, _MAX_FUTURE))
        self._read_limits(entries)

    def _read_limits(self, entries: dict) -> None:
        self.status_topic = self._text(entries, "status_topic", "", optional=True)
        if self.status_topic is not None and (
            not is_valid(self.status_topic) or self.status_topic[-1] == "#" or "+" in self.status_topic
        ):
            self.problems.append('"status_topic" is no topic')
        self.max_message = self._number(entries, "max_message", "", 4096, (64, 65536))
        self.watchdog = self._number(entries, "watchdog", "", 60, (0, 3600))
        queue = self._object(entries, "queue") if "queue" in entries else {}
        self._check_known(queue, _KNOWN_QUEUE, "queue.")
        self.queue_messages = self._number(queue, "messages", "queue.", 32, (1, 1000))
        self.queue_bytes = self._number(queue, "bytes", "queue.", 8192, (64, 65536))

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

    def _flag(self, entries: dict, entry: str) -> bool:
        value = entries.get(entry, False)
        if not isinstance(value, bool):
            self.problems.append('"{}" is neither true nor false'.format(entry))
        return value is True

    def _number(self, entries: dict, entry: str, where: str, default: int, limits: tuple) -> int:
        value = entries.get(entry, default)
        if not isinstance(value, int) or isinstance(value, bool) or not limits[0] <= value <= limits[1]:
            self.problems.append('"{}{}" is not a number from {} to {}'.format(where, entry, *limits))
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
    return not colon or (port.isdigit() and len(port) <= 5 and 1 <= int(port) <= _PORTS[1])


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
