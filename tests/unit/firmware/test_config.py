"""How a board reads its configuration, and what it says about mistakes in it."""

import json
import os
import sys

import e4
import firmware
from firmware import config

_GOOD = {
    "name": "alice",
    "wifi": {"ssid": "net", "password": "secret-of-the-net"},
    "broker": {"host": "192.0.2.1", "port": 8883, "user": "u", "password": "secret-of-the-broker"},
    "topics": ["a/b", "c/#"],
}


class At:
    """Makes the firmware use a configuration file of the test, while it is used in a `with`."""

    def __enter__(self):
        self._before, config.CONFIG_PATH = config.CONFIG_PATH, "e4-test-config"

    def __exit__(self, *error):
        config.CONFIG_PATH = self._before
        try:
            os.remove("e4-test-config")
        except OSError:
            pass


def _write(text):
    with open(config.CONFIG_PATH, "w") as file:
        file.write(text)


def test_what_is_in_flash_is_loaded():
    with At():
        _write(json.dumps(_GOOD))
        loaded = config.load()
    assert loaded.problems == []
    assert (loaded.name, loaded.host, loaded.port, loaded.topics) == ("alice", "192.0.2.1", 8883, ["a/b", "c/#"])


def test_optional_entries_have_defaults():
    loaded = config.Config({"name": "a", "wifi": {"ssid": "net"}, "broker": {"host": "h"}, "topics": []})
    assert loaded.problems == []
    assert (loaded.port, loaded.user, loaded.wifi_password, loaded.receiving_topic) == (1883, None, None, None)


def test_settings_of_time():
    loaded = config.Config(_GOOD)
    assert len(set(loaded.time_servers)) == 3
    assert (loaded.time_from_commands, loaded.max_command_age, loaded.future_tolerance) == (False, 600, 60)
    for servers in (["192.0.2.1"], ["a", "b:1123"], ["a:1", "a:2"]):
        loaded = config.Config(dict(_GOOD, time_servers=servers, max_command_age=315360000, future_tolerance=0))
        assert loaded.problems == []
        assert (loaded.time_servers, loaded.max_command_age, loaded.future_tolerance) == (servers, 315360000, 0)
    assert config.Config(dict(_GOOD, max_command_age=None)).max_command_age is None
    loaded = config.Config(dict(_GOOD, time_servers=[], time_from_commands=True))
    assert loaded.problems == [] and loaded.time_servers == [] and loaded.time_from_commands is True


def test_tls_needs_a_time_server():
    # With TLS, the certificate of the broker cannot be checked before the time is known, and no command can arrive.
    broker = {"host": "h", "ca": "/ca.crt"}
    wrong = config.Config(dict(_GOOD, broker=broker, time_servers=[], time_from_commands=True))
    assert len(wrong.problems) == 1 and '"time_servers" is empty: TLS needs one' in wrong.problems[0]
    assert config.Config(dict(_GOOD, broker=broker, time_from_commands=True)).problems == []


def test_settings_of_the_link():
    loaded = config.Config(_GOOD)
    assert (loaded.ca, loaded.keepalive, loaded.patience, loaded.status_topic) == (None, 60, 10, None)
    assert (loaded.max_message, loaded.queue_messages, loaded.queue_bytes, loaded.watchdog) == (4096, 32, 8192, 60)
    broker = {"host": "h", "ca": "/ca.crt", "keepalive": 3600, "patience": 3}
    loaded = config.Config(
        dict(_GOOD, broker=broker, status_topic="s/t", max_message=73, queue={"messages": 1}, watchdog=0)
    )
    assert loaded.problems == []
    assert (loaded.ca, loaded.port, loaded.keepalive, loaded.patience) == ("/ca.crt", 8883, 3600, 3)
    assert (loaded.status_topic, loaded.max_message, loaded.watchdog) == ("s/t", 73, 0)
    assert (loaded.queue_messages, loaded.queue_bytes) == (1, 8192)


def test_wrong_settings_of_the_link_are_named():
    for change, problem in (
        ({"broker": {"host": "h", "keepalive": 0}}, '"broker.keepalive" is not a number from 3 to 3600'),
        ({"broker": {"host": "h", "patience": "10"}}, '"broker.patience" is not a number from 1 to 300'),
        ({"broker": {"host": "h", "ca": True}}, '"broker.ca" is not text'),
        ({"status_topic": "a/#"}, '"status_topic" is no topic'),
        ({"status_topic": "a/+/b"}, '"status_topic" is no topic'),
        ({"broker": {"host": "h", "ca": "/ca", "patience": 2}}, '"broker.patience" is not a number from 3 to 300'),
        ({"receiving_topic": "a/#"}, '"receiving_topic" is no topic'),
        ({"max_message": 72}, '"max_message" is not a number from 73 to 65536'),
        ({"queue": 5}, '"queue" is not an object'),
        ({"queue": {"messages": 0}}, '"queue.messages" is not a number from 1 to 1000'),
        ({"queue": {"size": 1}}, '"queue.size" is not a known entry'),
        ({"watchdog": True}, '"watchdog" is not a number from 10 to 3600'),
        ({"watchdog": 1}, '"watchdog" is not a number from 10 to 3600'),
        ({"watchdog": 9}, '"watchdog" is not a number from 10 to 3600'),
        ({"watchdog": 3601}, '"watchdog" is not a number from 10 to 3600'),
        ({"watchdog": None}, '"watchdog" is not a number from 10 to 3600'),
    ):
        assert config.Config(dict(_GOOD, **change)).problems == [problem]


def test_the_longest_command_is_never_too_large():
    command = e4.protect(e4.commands.set_topic_key(b"k" * 32, "t"), b"i" * 32, 1774894944)
    assert config.Config(dict(_GOOD, max_message=len(command))).problems == []
    assert config.Config(dict(_GOOD, max_message=len(command) - 1)).problems != []


def test_the_older_entry_names_a_single_time_server():
    assert config.Config(dict(_GOOD, time_server="192.0.2.1")).time_servers == ["192.0.2.1"]
    assert len(config.Config(dict(_GOOD, time_server=None)).time_servers) == 3
    both = config.Config(dict(_GOOD, time_server="a", time_servers=["a", "b"]))
    assert "exclude each other" in both.problems[0]


def test_every_missing_entry_is_named():
    problems = "\n".join(config.Config({}).problems)
    for entry in ("name", "wifi", "wifi.ssid", "broker", "broker.host", "topics"):
        assert '"{}" is missing'.format(entry) in problems


def test_every_wrong_entry_is_named():
    for entry, value in (
        ("name", 7),
        ("wifi", "net"),
        ("broker", {"host": "h", "port": 0}),
        ("broker", {"host": "h", "port": "1883"}),
        ("broker", {"host": "h", "port": True}),
        ("topics", "a/b"),
        ("topics", [""]),
        ("topics", [7]),
        ("topics", ["a/#/b"]),
        ("wifi", {"ssid": "x", "passwd": "y"}),
        ("broker", {"host": "h", "user": "u"}),
        ("topic", ["a/b"]),
        ("time_server", 7),
        ("time_servers", "a"),
        ("time_servers", []),
        ("time_servers", ["a", "b", "a"]),
        ("time_servers", ["a", "b c"]),
        ("time_servers", ["a", ""]),
        ("time_servers", [7]),
        ("time_servers", ["a:"]),
        ("time_servers", ["a:0"]),
        ("time_servers", ["a:65536"]),
        ("time_servers", ["2001:db8::1"]),
        ("time_servers", ["a", "b", "c", "d", "e", "f", "g", "h", "i"]),
        ("time_from_commands", 1),
        ("time_from_commands", "true"),
        ("time_from_commands", None),
        ("max_command_age", 0),
        ("max_command_age", "600"),
        ("max_command_age", True),
        ("max_command_age", 315360001),
        ("future_tolerance", -1),
        ("future_tolerance", 3601),
        ("future_tolerance", None),
        ("future_tolerance", 2**70),
        ("key_transition", -1),
        ("key_transition", 86401),
        ("key_transition", None),
        ("key_transition", True),
    ):
        wrong = dict(_GOOD)
        wrong[entry] = value
        problems = config.Config(wrong).problems
        assert problems and entry in problems[0], (entry, problems)


def test_what_reads_it_does_not_stay_in_memory():
    assert config.Config(_GOOD).problems == []
    assert "firmware.config" in sys.modules and "firmware.entries" not in sys.modules
    assert not hasattr(firmware, "entries")


def test_no_problem_repeats_a_secret():
    wrong = dict(_GOOD)
    wrong["broker"] = {"host": 7, "password": ["secret-of-the-broker"]}
    assert "secret" not in "\n".join(config.Config(wrong).problems)


def test_text_that_json_can_express_and_nobody_else_is_a_problem():
    # Half of a character has no bytes in UTF-8.
    for entries in ({"topics": ["a", "\ud800"]}, {"status_topic": "a/\udfff"}):
        problems = config.Config(dict(_GOOD, **json.loads(json.dumps(entries)))).problems
        if sys.implementation.name == "cpython":  # MicroPython makes bytes of it, and a broker refuses them.
            assert problems, entries
    # These are digits, and no number of a port.
    for server in ("host:\u00b2", "host:12\u0663", "host:" + "9" * 5000):
        assert config.Config(dict(_GOOD, time_servers=[server])).problems, server


def test_a_file_that_is_missing_or_no_json_is_a_problem_and_no_exception():
    with At():
        assert "not provisioned" in config.load().problems[0]
        for text in ("", "{", "[1, 2]", '"name"', "nul", "[" * 1500, "[" * 1500 + "]" * 1500):
            _write(text)
            assert config.load().problems, text
