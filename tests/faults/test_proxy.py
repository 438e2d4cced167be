"""A real broker behind a network that fails in every way: the board must work again and lose no QoS 1 message."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from faults.network_cases import CASES, survives
from faults.partner import Failure
from faults.rig import Rig
from helpers.mosquitto import Mosquitto

__all__ = ["survives"]  # The fixture `outcome` finds it in this module.

LANES = "lanes"


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(outcome: Future[None], case: str) -> None:
    outcome.result()


@pytest.fixture(scope="module")
def rig(image: Path, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig("alone", image, tmp_path_factory.mktemp("alone"), broker.port) as rig:
        yield rig


def test_a_connection_that_is_dead_and_does_not_know_it(rig: Rig) -> None:
    rig.proxy.half_open()
    for _ in range(3):
        rig.ask()
        rig.send()
    rig.check()


def test_a_broker_that_refuses_connections_for_a_while(rig: Rig) -> None:
    rig.proxy.refuse()
    rig.proxy.reset()
    rig.ask()
    rig.console.expect("trying again", 20)
    rig.console.expect("trying again", 20)
    rig.proxy.listen()
    rig.check()


def test_one_reset_after_the_other(rig: Rig) -> None:
    for _ in range(4):
        rig.ask()
        rig.proxy.reset()
        rig.ask()
        connections = rig.proxy.connections
        if not rig.until_true(lambda connections=connections: rig.proxy.connections > connections):  # type: ignore[misc]
            raise Failure("the board does not connect again")
    rig.check()
