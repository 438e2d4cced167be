"""Brokers that send what nobody asked for, or what is no MQTT: `e4 listen` must go on, say so, and keep its memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e4_tools.errors import BrokerError
from e4_tools.fleet.messages import protect_for_topic
from e4_tools.keys.files import read_key
from e4_tools.keystore import open_store
from e4_tools.mqtt import bounded_client, incoming
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.incoming import IncomingMessages
from helpers.e4_process import E4
from helpers.hostile_mqtt import HostileMqtt, packet, publish

_TOPIC = b"sensors/lab"
_Send = Callable[[bytes], None]


@pytest.fixture
def tool(tmp_path: Path) -> E4:
    key = tmp_path / "store.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    tool = E4(tmp_path / "e4", E4_STORE=str(tmp_path / "fleet.db"), E4_KEYFILE=str(key))
    tool.run("topic", "add", _TOPIC.decode())
    return tool


def _protected(folder: Path, message: bytes) -> bytes:
    store = open_store(str(folder / "fleet.db"), lambda kind: read_key(folder / "store.key"))
    return protect_for_topic(store, message, _TOPIC.decode())


def _listen(tool: E4, broker: HostileMqtt, *options: str) -> subprocess.Popen[str]:
    where = ("--broker", f"127.0.0.1:{broker.port}", "--timeout", "40")
    return tool.start("listen", _TOPIC.decode(), *where, *options)


# What the broker sends before the one message that counts, and the entry of the answer that must count it.
_NUISANCES = {
    "a topic nobody asked for": (publish(b"other/topic", b"x" * 40), "unasked"),
    "the same with QoS 1": (publish(b"other/topic", b"x" * 40, 0x02, b"\0\1"), "unasked"),
    "a topic that steers terminals": (publish(b"\x1b]52;c;eA==\x07", b"x" * 40), "unasked"),
    "a topic that is no UTF-8": (publish(b"\xff\xfe", b"x" * 40), "unasked"),
    "the same, retained": (publish(b"\xff\xfe", b"x" * 40, 0x01), "unasked"),
    "a topic of half a surrogate pair": (publish(b"\xed\xa0\x80", b"x" * 40), "unasked"),
    "a topic of many levels": (publish(b"/" * 65535, b"x" * 40), "unasked"),
    "no topic": (publish(b"", b"x" * 40), "violations"),
    "a topic longer than its packet": (packet(0x30, b"\xff\xffx"), "violations"),
    "an empty PUBLISH": (packet(0x30, b""), "violations"),
    "a PUBLISH of QoS 1 without its number": (packet(0x32, b"\0\x01a"), "violations"),
    "a PUBLISH of QoS 3": (publish(_TOPIC, b"x" * 40, 0x06, b"\0\1"), "violations"),
    "an empty CONNACK": (packet(0x20, b""), "violations"),
    "an empty SUBACK": (packet(0x90, b""), "violations"),
    "a SUBACK with a code that is none": (packet(0x90, b"\0\1\x77"), "violations"),
    "an empty PUBACK": (packet(0x40, b""), "violations"),
    "a packet type that is none": (packet(0xF0, b"x"), "violations"),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x01", "violations"),
    "a packet of 256 MB": (b"\x30\xff\xff\xff\x7f" + b"x" * 100_000, "violations"),
    "many of QoS 2 without an end": (
        b"".join(publish(_TOPIC, b"x" * 40, 0x04, number.to_bytes(2, "big")) for number in range(1, 60)),
        "violations",
    ),
}


@pytest.mark.parametrize("name", _NUISANCES)
def test_listen_hears_what_comes_after(tool: E4, tmp_path: Path, name: str) -> None:
    nuisance, counted = _NUISANCES[name]

    def script(send: _Send, number: int) -> bool:
        if number == 0:
            send(nuisance)
        if number == 0 and counted == "violations":
            return False
        send(publish(_TOPIC, _protected(tmp_path, b"21.5 C"), 0x02, b"\0\7"))
        return False

    with HostileMqtt(script) as broker:
        out, error = _listen(tool, broker, "--count", "1", "--json").communicate(timeout=60)
        lines = [json.loads(line) for line in out.splitlines()]
        assert lines[-1]["messages"] == 1 and lines[-1]["ok"], out + error
        assert [line["message"] for line in lines if "message" in line] == ["21.5 C"]
        assert lines[-1][counted] >= 1
        assert "Traceback" not in error and "\x1b" not in out + error
        assert broker.connections == (2 if counted == "violations" else 1)


def test_a_person_is_told_what_was_ignored(tool: E4, tmp_path: Path) -> None:
    def script(send: _Send, number: int) -> bool:
        for _ in range(3):
            send(publish(b"\x1b[2J", b"x" * 40))
        time.sleep(2)
        send(publish(_TOPIC, _protected(tmp_path, b"\x1b[2Jstill here")))
        return False

    with HostileMqtt(script) as broker:
        out, error = _listen(tool, broker, "--count", "1").communicate(timeout=60)
    assert "\\x1b[2Jstill here" in out and "\x1b" not in out + error
    assert "not asked for were ignored: 3 so far" in error


def test_a_person_is_told_that_the_connection_is_lost_and_stands_again(tool: E4, tmp_path: Path) -> None:
    def script(send: _Send, number: int) -> bool:
        if number < 2:
            return True
        time.sleep(2)
        send(publish(_TOPIC, _protected(tmp_path, b"back")))
        return False

    with HostileMqtt(script) as broker:
        out, error = _listen(tool, broker, "--count", "1").communicate(timeout=60)
    assert "back" in out
    assert "is lost; it is being made again" in error and "the connection stands again" in error


def test_a_subscription_that_is_refused_is_an_error(tool: E4) -> None:
    with HostileMqtt(lambda send, number: False, granted=0x80) as broker:
        _out, error = _listen(tool, broker).communicate(timeout=60)
    assert "refuses our subscription to sensors/lab" in error


def test_a_flood_does_not_fill_the_memory(tool: E4, tmp_path: Path) -> None:
    small = publish(_TOPIC, b"x" * 10) * 200
    large = publish(_TOPIC, b"x" * 3_000_000)

    def script(send: _Send, number: int) -> bool:
        for _ in range(100):
            send(large)
            send(small)
        honest = publish(_TOPIC, _protected(tmp_path, b"21.5 C"))
        for _ in range(300):  # A slow machine is still dropping what came before.
            time.sleep(0.3)
            send(honest)
        return False

    with HostileMqtt(script) as broker:
        process = _listen(tool, broker, "--count", "1", "--json")
        out, error = process.communicate(timeout=100)
        answer = json.loads(out.splitlines()[-1])
        assert answer["messages"] == 1, error
    # In KiB on Linux. The broker has sent 300 MB; the command itself takes about 100 MB.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 400_000


def test_the_queue_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_MOST", 3)
    monkeypatch.setattr(incoming, "_LARGEST", 100)
    waiting = IncomingMessages()
    for payload in (b"a", b"b", b"c", b"d"):
        waiting.add("t", payload)
    assert waiting.dropped == 1 and waiting.get(0) == ("t", b"a")
    waiting.add("t", b"x" * 99)
    assert waiting.dropped == 2
    waiting.add("t", b"x" * 98)
    assert [waiting.get(0) for _ in range(4)] == [("t", b"b"), ("t", b"c"), ("t", b"x" * 98), None]


def test_answers_that_the_broker_does_not_read_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_client, "_MOST_ANSWERS", 50)
    demands = publish(_TOPIC, b"x", 0x02, b"\0\1") * 100_000

    def script(send: _Send, number: int) -> bool:
        send(demands)  # Nothing is read any more, so that acknowledgements pile up.
        send(demands)
        send(demands)
        return False

    with HostileMqtt(script) as broker, BrokerConnection("127.0.0.1", broker.port) as connection:
        heard: list[bytes] = []
        connection.listen([_TOPIC.decode()], lambda topic, payload: heard.append(payload))
        deadline = time.monotonic() + 60
        while connection.violations == 0 and len(heard) < 300_000 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert connection.violations or len(connection._client._out_packet) <= 60


def test_a_thread_that_has_ended_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with HostileMqtt(lambda send, number: False) as broker, BrokerConnection("127.0.0.1", broker.port) as connection:
        connection.listen(["a"], lambda topic, payload: None)
        assert connection.trouble() is None
        monkeypatch.setattr(connection._client, "_loop", fail)
        deadline = time.monotonic() + 10
        with pytest.raises(BrokerError, match="is not made again"):
            while time.monotonic() < deadline:
                connection.trouble()
                time.sleep(0.1)
