"""Reads the entries of `/e4.json`, and names everything that is wrong with them.

`fill` and the functions below it are the one place in the code for the default and the limits of each entry; what an
entry means is in `firmware.config`. Only `config.Config` imports this module, and deletes it from memory again, so that
it holds no heap while the board runs.
"""

from e4._const import const
from firmware.filters import is_valid

_MAX_PORT = const(65535)
_MAX_TIME_SERVERS = const(8)
_MIN_MESSAGE = const(73)  # bytes: the longest command, SetTopicKey; a smaller one would shut commands out
_MIN_WATCHDOG = const(10)  # s: a handshake of TLS, or a flash that makes room, can hold the loop up for some seconds
_MIN_PATIENCE_TLS = const(3)  # s: the TLS handshake of an ESP32 takes up to 2.5 s before the broker can answer
_MAX_COMMAND_AGE = const(315360000)  # s: ten years; for longer, null says more clearly what is meant


class _Entries:
    """The entries of a JSON object. Each is taken out once, and what is wrong with it is added to `problems`."""

    def __init__(self, entries: dict, where: str, problems: list[str]) -> None:
        # The entries that were not taken out yet.
        self._left = dict(entries)
        # What comes before the name of an entry where it is named, such as "broker.".
        self._where = where
        self._problems = problems

    def report(self, entry: str, text: str) -> None:
        """Add a line about an entry to the problems."""
        self._problems.append('"{}{}" {}'.format(self._where, entry, text))

    def take(self, entry: str):
        """Take out an entry as it is; None if it is missing."""
        return self._left.pop(entry, None)

    def text(self, entry: str, needed: bool = False):
        """Take out text that is not empty. The default is None, unless the entry is needed."""
        value = self.take(entry)
        if isinstance(value, str) and value:
            return value
        if needed or value is not None:
            self.report(entry, "is not text" if value else "is missing")
        return None

    def number(self, entry: str, default: int, least: int, most: int, nullable: bool = False):
        """Take out an integer from `least` to `most`; null stays None if the entry is nullable."""
        value = self._left.pop(entry, default)
        if value is None and nullable:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.report(entry, "is not a number from {} to {}".format(least, most))
        return default

    def topic(self, entry: str):
        """Take out a topic, which has no wildcards. The default is None."""
        value = self.text(entry)
        if value is not None and (not is_valid(value) or "#" in value or "+" in value):
            self.report(entry, "is no topic")
        return value

    def flag(self, entry: str) -> bool:
        """Take out true or false. The default is false."""
        value = self._left.pop(entry, False)
        if not isinstance(value, bool):
            self.report(entry, "is neither true nor false")
        return value is True

    def part(self, entry: str, default: dict | None = None) -> "_Entries":
        """Take out an object, and return its entries. It is needed unless there is a default."""
        value = self._left.pop(entry, default)
        if not isinstance(value, dict):
            self.report(entry, "is missing" if value is None else "is not an object")
            value = {}
        return _Entries(value, entry + ".", self._problems)

    def finish(self) -> None:
        """Report the entries that nobody took out: they are not known."""
        for entry in self._left:
            self.report(entry, "is not a known entry")


def fill(config, entries: dict) -> None:
    """Set the attributes of `config` from these entries or the defaults, and report to its `problems` what is wrong."""
    whole = _Entries(entries, "", config.problems)
    config.name = whole.text("name", True)
    wifi = whole.part("wifi")
    config.ssid = wifi.text("ssid", True)
    config.wifi_password = wifi.text("password")
    wifi.finish()
    _read_broker(config, whole.part("broker"))
    _read_topics(config, whole)
    _read_time(config, whole)
    config.max_message = whole.number("max_message", 4096, _MIN_MESSAGE, 65536)
    # 0 means that there is none.
    config.watchdog = whole.number("watchdog", 60, 0 if entries.get("watchdog") == 0 else _MIN_WATCHDOG, 3600)
    queue = whole.part("queue", {})
    config.queue_messages = queue.number("messages", 32, 1, 1000)
    config.queue_bytes = queue.number("bytes", 8192, 64, 65536)
    queue.finish()
    whole.finish()


def _read_broker(config, broker: _Entries) -> None:
    config.host = broker.text("host", True)
    config.ca = broker.text("ca")
    config.port = broker.number("port", 8883 if config.ca else 1883, 1, _MAX_PORT)
    config.keepalive = broker.number("keepalive", 60, 3, 3600)
    config.patience = broker.number("patience", 10, _MIN_PATIENCE_TLS if config.ca else 1, 300)
    config.user = broker.text("user")
    config.password = broker.text("password")
    if (config.user is None) != (config.password is None):
        broker.report("user", 'and "broker.password" go together')
    broker.finish()


def _read_topics(config, whole: _Entries) -> None:
    config.topics = topics = whole.take("topics")
    if not isinstance(topics, list):
        whole.report("topics", "is missing" if topics is None else "is not a list of topics")
        config.topics = []
    for topic in config.topics:
        if not isinstance(topic, str) or not is_valid(topic):
            whole.report("topics", "has an entry that is no topic filter")
    config.receiving_topic = whole.topic("receiving_topic")
    config.status_topic = whole.topic("status_topic")


def _read_time(config, whole: _Entries) -> None:
    config.time_from_commands = whole.flag("time_from_commands")
    # With TLS the first command cannot arrive before the time is known.
    config.time_servers = _time_servers(whole, config.ca or not config.time_from_commands)
    config.future_tolerance = whole.number("future_tolerance", 60, 0, 3600)
    config.max_command_age = whole.number("max_command_age", 600, 1, _MAX_COMMAND_AGE, True)
    config.key_transition = whole.number("key_transition", 3600, 0, 86400)


def _time_servers(whole: _Entries, needed) -> list[str]:
    """Return the time servers. At least one is needed, unless commands may set the clock and arrive without TLS."""
    single = whole.text("time_server")
    servers = whole.take("time_servers")
    if servers is None:
        # Two operators, and two parts of the pool: no one of them alone can set the clock of a board.
        default = ["0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org"]
        servers = default if single is None else [single]
    elif single is not None:
        whole.report("time_server", 'and "time_servers" exclude each other')
    if not isinstance(servers, list) or len(servers) > _MAX_TIME_SERVERS:
        whole.report("time_servers", "is not a list of up to {} servers".format(_MAX_TIME_SERVERS))
        return []
    for i, server in enumerate(servers):
        if not _is_server(server):
            whole.report("time_servers", 'has an entry that is neither "host" nor "host:port"')
        elif server in servers[:i]:
            whole.report("time_servers", "names {} twice: two must agree".format(server))
    if needed and not servers:
        whole.report("time_servers", 'is empty: TLS needs one, and so does a board without "time_from_commands"')
    return servers


def _is_server(server) -> bool:
    """Tell whether this is "host" or "host:port". An IPv6 address is neither, and a board may not have IPv6."""
    host, colon, port = server.partition(":") if isinstance(server, str) else ("", "", "")
    if not host or " " in host:
        return False
    # CPython takes more signs for digits than `int` does, and MicroPython has no `isdecimal`.
    return not colon or (port.isdigit() and max(port) <= "9" and len(port) <= 5 and 1 <= int(port) <= _MAX_PORT)
