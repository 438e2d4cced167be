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
import sys

import firmware

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"


class Config:
    """A configuration, and in `problems` a line for everything that is missing or wrong with it.

    Its attributes have these types if there are no problems.
    """

    name: str
    ssid: str
    wifi_password: str | None
    host: str
    port: int
    ca: str | None
    keepalive: int
    patience: int
    user: str | None
    password: str | None
    topics: list
    receiving_topic: str | None
    status_topic: str | None
    time_servers: list
    time_from_commands: bool
    max_command_age: int | None
    future_tolerance: int
    max_message: int
    queue_messages: int
    queue_bytes: int
    watchdog: int

    def __init__(self, entries) -> None:
        from firmware import entries as reading  # noqa: PLC0415 (for now only, see below)

        self.problems: list = []
        if not isinstance(entries, dict):
            self.problems.append("{} is not a JSON object".format(CONFIG_PATH))
            entries = {}
        reading.fill(self, entries)
        # It is needed once, while it would hold 2 KB of memory for as long as the board runs.
        del sys.modules[reading.__name__], firmware.entries


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
