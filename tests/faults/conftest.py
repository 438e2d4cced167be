"""Brokers and boards for all tests of faults.

A test with the fixture `outcome` is carried out by one of several boards in a pool. Its module has the function
`survives(case, rig)`, and in `LANES` the name of the fixture that is the pool. All of these cases begin before the
first test, and they go on while other tests run. The test itself only takes the result of its case.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from e4_tools.mqtt.mosquitto import find_mosquitto
from faults.lanes import Lanes
from faults.rig import Rig
from faults.tls_broker import TLSBroker
from helpers.authority import Authority
from helpers.fixtures import deployed_image
from helpers.mosquitto import Mosquitto

__all__ = ["deployed_image"]

_LANES = 10
_TLS_LANES = 4
_ASYNCHRONOUS_LANES = 3


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that only take results at the end, when most results are there."""
    items.sort(key=lambda item: "outcome" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def image(deployed_image: Path) -> Path:
    """The flash image of a board with nothing but our deployed files."""
    return deployed_image


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def tls_broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TLSBroker]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = TLSBroker(tmp_path_factory.mktemp("broker-tls"), authority)
    yield broker
    broker.plain.stop()


@pytest.fixture(scope="session")
def lanes(image: Path, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    folder = tmp_path_factory.mktemp("lanes")
    lanes = Lanes([Rig(f"lane{i}", image, folder, broker.port) for i in range(_LANES)])
    yield lanes
    lanes.close()


@pytest.fixture(scope="session")
def asynchronous_lanes(image: Path, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    folder = tmp_path_factory.mktemp("asynchronous-lanes")
    rigs = [Rig(f"async{i}", image, folder, broker.port) for i in range(_ASYNCHRONOUS_LANES)]
    for rig in rigs:
        rig.asynchronous = True
        rig.status_topic = f"faults/{rig.name}/status"
    lanes = Lanes(rigs)
    yield lanes
    lanes.close()


@pytest.fixture(scope="session")
def tls_lanes(
    image: Path, tls_broker: TLSBroker, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lanes]:
    folder = tmp_path_factory.mktemp("tls-lanes")
    lanes = Lanes([tls_broker.rig(f"secret{i}", image, folder, authority.der) for i in range(_TLS_LANES)])
    yield lanes
    lanes.close()


@pytest.fixture(scope="session", autouse=True)
def outcomes(request: pytest.FixtureRequest) -> dict[str, Future[None]]:
    """The result of each test that a pool carries out, by test. All of them begin here, in the order of the tests."""
    begun = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and "outcome" in item.fixturenames:
            pool: Lanes = request.getfixturevalue(item.module.LANES)
            begun[item.nodeid] = pool.submit(partial(item.module.survives, item.callspec.params["case"]))
    return begun


@pytest.fixture
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, Future[None]]) -> Future[None]:
    return outcomes[request.node.nodeid]
