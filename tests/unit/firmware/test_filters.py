"""MQTT topic filters, with the examples of MQTT 3.1.1 section 4.7."""

from firmware.filters import is_valid, matches


def test_the_standards_examples():
    for topic_filter, topic in (
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "anything/at/all"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/monitor/Clients"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a/b", "a/b"),
    ):
        assert matches(topic_filter, topic), (topic_filter, topic)


def test_what_the_standard_says_does_not_match():
    for topic_filter, topic in (
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/monitor"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("a/b", "a/B"),
        ("a/b", "a"),
        ("a", "a/b"),
        ("a/b/", "a/b"),
    ):
        assert not matches(topic_filter, topic), (topic_filter, topic)


def test_what_is_a_topic_filter():
    for topic_filter in ("a", "/", "a//b", "#", "+", "a/#", "+/b/+/#", "$SYS/#", "q" * 512):
        assert is_valid(topic_filter), topic_filter
    for topic_filter in ("", "a/#/b", "a#", "#/a", "a+/b", "a/b+", "q" * 513, "é" * 257, "a\0b"):
        assert not is_valid(topic_filter), topic_filter
