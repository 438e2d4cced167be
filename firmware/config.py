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

from e4._const import const
from firmware.filters import is_valid

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"

_MAX_PORT = const(65535)
_MAX_TIME_SERVERS = const(8)
_MAX_COMMAND_AGE = const(315360000)  # s: ten years; beyond, null says it more clearly


class _Entries:
    """The entries of a JSON object. Each is taken out once; whatever is wrong goes to `problems`."""

    def __init__(self, entries: dict, where: str, problems: list) -> None:
        self._left = dict(entries)
        self._where = where
        self._problems = problems

    def problem(self, entry: str, text: str) -> None:
        self._problems.append('"{}{}" {}'.format(self._where, entry, text))

    def take(self, entry: str):
        return self._left.pop(entry, None)

    def text(self, entry: str, needed: bool = False):
        value = self.take(entry)
        if isinstance(value, str) and value:
            return value
        if needed or value is not None:
            self.problem(entry, "is not text" if value else "is missing")
        return None

    def number(self, entry: str, default: int, least: int, most: int, nullable: bool = False):
        value = self._left.pop(entry, default)
        if value is None and nullable:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.problem(entry, "is not a number from {} to {}".format(least, most))
        return default

    def flag(self, entry: str) -> bool:
        value = self._left.pop(entry, False)
        if not isinstance(value, bool):
            self.problem(entry, "is neither true nor false")
        return value is True

    def part(self, entry: str, default: dict | None = None) -> "_Entries":
        """Return the entries of an object in this one; it is needed unless there is a default."""
        value = self._left.pop(entry, default)
        if not isinstance(value, dict):
            self.problem(entry, "is missing" if value is None else "is not an object")
            value = {}
        return _Entries(value, entry + ".", self._problems)

    def end(self) -> None:
        """Name what nobody took."""
        for entry in self._left:
            self.problem(entry, "is not a known entry")


class Config:
    """A configuration, and in `problems` a line for everything that is missing or wrong with it."""

    def __init__(self, entries) -> None:
        self.problems: list = []
        if not isinstance(entries, dict):
            self.problems.append("{} is not a JSON object".format(CONFIG_PATH))
            entries = {}
        whole = _Entries(entries, "", self.problems)
        self.name = whole.text("name", True)
        wifi = whole.part("wifi")
        self.ssid = wifi.text("ssid", True)
        self.wifi_password = wifi.text("password")
        wifi.end()
        self._read_broker(whole.part("broker"))
        self._read_topics(whole)
        self._read_time(whole)
        self.max_message = whole.number("max_message", 4096, 64, 65536)
        self.watchdog = whole.number("watchdog", 60, 0, 3600)
        queue = whole.part("queue", {})
        self.queue_messages = queue.number("messages", 32, 1, 1000)
        self.queue_bytes = queue.number("bytes", 8192, 64, 65536)
        queue.end()
        whole.end()

    def _read_broker(self, broker: _Entries) -> None:
        self.host = broker.text("host", True)
        self.ca = broker.text("ca")
        self.port = broker.number("port", 8883 if self.ca else 1883, 1, _MAX_PORT)
        self.keepalive = broker.number("keepalive", 60, 3, 3600)
        self.patience = broker.number("patience", 10, 1, 300)
        self.user = broker.text("user")
        self.password = broker.text("password")
        if (self.user is None) != (self.password is None):
            broker.problem("user", 'and "broker.password" go together')
        broker.end()

    def _read_topics(self, whole: _Entries) -> None:
        self.topics = topics = whole.take("topics")
        if not isinstance(topics, list):
            whole.problem("topics", "is missing" if topics is None else "is not a list of topics")
            self.topics = []
        for topic in self.topics:
            if not isinstance(topic, str) or not is_valid(topic):
                whole.problem("topics", "has an entry that is no topic filter")
        self.receiving_topic = whole.text("receiving_topic")
        self.status_topic = topic = whole.text("status_topic")
        if topic is not None and (not is_valid(topic) or "#" in topic or "+" in topic):
            whole.problem("status_topic", "is no topic")

    def _read_time(self, whole: _Entries) -> None:
        self.time_from_commands = whole.flag("time_from_commands")
        self.time_servers = self._read_time_servers(whole)
        self.future_tolerance = whole.number("future_tolerance", 60, 0, 3600)
        self.max_command_age = whole.number("max_command_age", 600, 1, _MAX_COMMAND_AGE, True)

    def _read_time_servers(self, whole: _Entries) -> list:
        single = whole.text("time_server")
        servers = whole.take("time_servers")
        if servers is None:
            # Of two operators, and of two parts of the pool: none alone can set a board's clock.
            default = ["0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org"]
            servers = default if single is None else [single]
        elif single is not None:
            whole.problem("time_server", 'and "time_servers" exclude each other')
        if not isinstance(servers, list) or len(servers) > _MAX_TIME_SERVERS:
            whole.problem("time_servers", "is not a list of up to {} servers".format(_MAX_TIME_SERVERS))
            return []
        for i, server in enumerate(servers):
            if not _is_server(server):
                whole.problem("time_servers", 'has an entry that is neither "host" nor "host:port"')
            elif server in servers[:i]:
                whole.problem("time_servers", "names {} twice: two must agree".format(server))
        if not servers and not self.time_from_commands:
            whole.problem("time_servers", 'is empty, and "time_from_commands" is not set')
        return servers


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
