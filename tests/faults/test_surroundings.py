"""Everything on which a board depends goes away and comes back: the broker, WiFi, the name server, power."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e4_tools.mqtt.embedded_broker import EmbeddedBroker
from e4_tools.mqtt.mosquitto import find_mosquitto
from faults.partner import Failure
from faults.rig import Rig
from helpers.mosquitto import Mosquitto

_NAME = "broker.test"
_PERSISTENT = """persistence true
persistence_location {}/
autosave_on_changes true
autosave_interval 1
"""


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that can be killed without losing messages, because it saves them on disk."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path_factory.mktemp("persistent")
    broker = Mosquitto(folder)
    broker.configure(_PERSISTENT.format(folder))
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def rig(image: Path, forgetful: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig("away", image, tmp_path_factory.mktemp("away"), forgetful.port) as rig:
        yield rig


@pytest.fixture(autouse=True)
def _restore(request: pytest.FixtureRequest) -> Iterator[None]:
    """Restore the board after each test. Otherwise a test that fails would let the next ones fail as well."""
    yield
    if "rig" in request.fixturenames:
        rig: Rig = request.getfixturevalue("rig")
        rig.board.name_server(True)
        rig.board.wifi(True)
        rig.restart()


def test_a_broker_that_is_killed(rig: Rig, forgetful: Mosquitto) -> None:
    rig.check()
    rig.proxy.half_open()
    for _ in range(5):
        rig.ask()
    rig.command("given/before")
    # The broker writes to its disk every second. Killed before that, it would forget the command.
    time.sleep(1.5)
    forgetful.stop()
    for _ in range(3):
        rig.send()
    forgetful.start()
    rig.check()
    assert rig.holds("given/before")
    assert rig.starts == 1


def test_a_broker_that_is_killed_while_messages_travel(rig: Rig, forgetful: Mosquitto) -> None:
    rig.check()
    for _ in range(10):
        rig.send()
    forgetful.stop()
    time.sleep(2)
    # The broker may have confirmed messages just before its end without writing them. They do not count as lost.
    rig.sent.clear()
    forgetful.start()
    rig.check()


def test_wifi_that_goes_and_comes_back(rig: Rig) -> None:
    rig.check()
    rig.board.wifi(False)
    rig.console.expect("WiFi")
    rig.command("given/without/wifi")
    for _ in range(5):
        rig.ask()
        rig.send()
    rig.board.wifi(True)
    rig.check()
    assert rig.holds("given/without/wifi")


def test_an_outage_longer_than_the_queue_costs_the_oldest_messages_and_no_others(rig: Rig) -> None:
    rig.check()
    rig.forgive()
    rig.board.wifi(False)
    rig.console.expect("WiFi is gone")
    for _ in range(40):
        rig.send()
    rig.console.expect("gave way so far: 8$")
    rig.board.wifi(True)
    rig.check()
    missing = [number for number in sorted(rig.waits) if not rig.arrived[number]]
    # Afterwards, answers to messages that arrive while the queue is still full may cost a few more.
    assert missing[:8] == sorted(rig.waits)[:8] and 8 <= len(missing) <= rig.gave_way < 16


def test_power_that_is_cut_at_any_moment(rig: Rig) -> None:
    """A power cut loses what is in RAM. A command that the broker no longer keeps must then be in flash."""
    moments = random.Random(11)  # noqa: S311 (no secret)
    for i in range(6):
        rig.check()
        rig.command(f"given/{i}")
        time.sleep(moments.uniform(0, 0.06))
        rig.board.cut_power()
        rig.forgive()
        asked = [rig.ask() for _ in range(3)]
        rig.board.power_on()
        rig.check()
        assert all(rig.got[number] for number in asked)
        assert rig.holds(f"given/{i}")


@pytest.fixture
def named(image: Path, forgetful: Mosquitto, tmp_path: Path) -> Iterator[Rig]:
    """A board whose configuration has the name of its broker instead of an address."""
    with Rig("named", image, tmp_path, forgetful.port, host=_NAME) as rig:
        yield rig


def test_names_that_do_not_resolve(named: Rig) -> None:
    named.check()
    named.board.name_server(False)
    named.restart()
    named.ask()
    named.console.expect("connection lost or not made", 60)
    named.console.type("holds nothing/at/all")
    # The console must work although the board cannot connect.
    named.console.expect("^holds nothing/at/all False$")
    named.board.name_server(True)
    named.check()


def test_another_broker(image: Path, tmp_path: Path) -> None:
    with EmbeddedBroker() as amqtt, Rig("other", image, tmp_path, amqtt.port) as rig:
        rig.check()
        for break_it in (rig.proxy.reset, rig.proxy.half_open):
            break_it()
            rig.send()
            # This broker forgets the messages on their way when a session moves to another connection.
            rig.check(lossless=False)
        if rig.starts != 1:
            raise Failure("the board restarted")
