"""What a board is told when it is provisioned: `/e4.json`. Its keys are elsewhere, in the store `/e4.keys`.

    {"name": "alice",
     "wifi": {"ssid": "...", "password": "..."},
     "broker": {"host": "192.0.2.1", "port": 1883, "user": null, "password": null},
     "topics": ["/e4go/demo/messages"],
     "receiving_topic": null, "time_server": null}

`topics` are MQTT topic filters to subscribe to; the first one is where the default `main.py` publishes. The last
three entries, and `port`, `user` and `password` of the broker, may be left out.
"""

import json
import os

from firmware.filters import is_valid

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"

_KNOWN = ("name", "wifi", "broker", "topics", "receiving_topic", "time_server")
_KNOWN_WIFI = ("ssid", "password")
_KNOWN_BROKER = ("host", "port", "user", "password")
_MAX_PORT = 65535


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
        self.time_server = self._text(entries, "time_server", "", optional=True)

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

    def _topics(self, entries: dict) -> list:
        topics = entries.get("topics")
        if not isinstance(topics, list):
            self.problems.append('"topics" is {}'.format("missing" if topics is None else "not a list of topics"))
            return []
        for topic in topics:
            if not isinstance(topic, str) or not is_valid(topic):
                self.problems.append('"topics" has an entry that is no topic filter')
        return topics


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
