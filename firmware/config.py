"""The configuration of a board, which it is given when it is provisioned: `/e4.json`. Its keys are in `/e4.keys`.

    {"name": "alice",
     "wifi": {"ssid": "...", "password": "..."},
     "broker": {"host": "192.0.2.1", "port": 1883, "user": null, "password": null, "ca": null,
                "keepalive": 60, "patience": 10},
     "topics": ["/e4go/demo/messages"],
     "receiving_topic": null,
     "time_servers": ["0.pool.ntp.org", "time.cloudflare.com", "1.pool.ntp.org"],
     "time_from_commands": false, "max_command_age": 600, "future_tolerance": 60, "key_transition": 3600,
     "status_topic": null, "max_message": 4096, "queue": {"messages": 32, "bytes": 8192}, "watchdog": 60}

`name`, `wifi.ssid`, `broker.host` and `topics` are needed. Every other entry may be left out and then has the value
above; an open network has no `wifi.password`. The limits of each entry are in `firmware.entries`.

`topics`              MQTT topic filters to subscribe to. The default `main.py` publishes on the first one.
`receiving_topic`     The topic of the commands for this board. null: the one that E4 derives from the name.
`broker.ca`           The path of the certificate (DER or PEM) of the CA that has signed the certificate of the broker.
                      With it there is TLS, and the default port is 8883.
`broker.keepalive`    After a third of this time (s) without a packet, the broker is asked whether it is there.
`broker.patience`     The time (s) that the broker has for any answer.
`status_topic`        A topic on which a retained "online" or "offline" is kept. It is not protected, so that anyone
                      can forge it.
`max_message`         Messages of more bytes than this are skipped.
`queue`               The messages and bytes that may wait to be sent while there is no connection.
`watchdog`            The seconds without progress after which the board is reset. 0: never.
`time_servers`        Time servers, as "host" or "host:port", that are asked in this order until two agree. A single one
                      is trusted alone; "time_server": "host" is an older way to name a single one. An empty list needs
                      `time_from_commands`, and no `broker.ca`.
`time_from_commands`  Where the time servers were asked in vain, the last authentic command sets the clock.
`max_command_age`     How many seconds late a command may be. null: no limit.
`future_tolerance`    How many seconds ahead of the clock a message or command may be.
`key_transition`      How many seconds a replaced topic key still unprotects. 0: not at all.
"""

import json

from e4.unload import unload

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"


class Config:
    """A configuration. `problems` has a line for everything that is missing or wrong.

    The attributes are the entries of `/e4.json`. They have these types if there are no problems.
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
    topics: list[str]
    receiving_topic: str | None
    status_topic: str | None
    time_servers: list[str]
    time_from_commands: bool
    max_command_age: int | None
    future_tolerance: int
    key_transition: int
    max_message: int
    queue_messages: int
    queue_bytes: int
    watchdog: int

    def __init__(self, entries) -> None:
        from firmware import entries as reading  # noqa: PLC0415 (it is unloaded again below)

        self.problems: list[str] = []
        if not isinstance(entries, dict):
            self.problems.append("{} is not a JSON object".format(CONFIG_PATH))
            entries = {}
        reading.fill(self, entries)
        unload(reading)  # It is needed once, and would hold 2 KB of heap while the board runs.


def load() -> Config:
    """Return the configuration in flash. Nothing is raised: what is wrong with it is in its `problems`."""
    try:
        with open(CONFIG_PATH) as file:
            return Config(json.load(file))
    except OSError:
        problem = "there is no {}: the board is not provisioned".format(CONFIG_PATH)
    except (ValueError, UnicodeError, RuntimeError):  # RuntimeError means that it is nested too deeply.
        problem = "{} is not JSON".format(CONFIG_PATH)
    config = Config({})
    config.problems = [problem]
    return config
