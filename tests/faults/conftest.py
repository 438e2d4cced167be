"""A broker and boards for all tests of faults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))  # `fleet`

from fleet import Mosquitto, find_mosquitto

from e4_tools.virtual_board import VirtualBoardError, find_micropython
from faults.lanes import Lanes
from faults.rig import Rig, make_image

_LANES = 10
Begin = Callable[[str, Callable[[Rig], None]], Future[None]]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flash image of a board that has our files and nothing else."""
    try:
        find_micropython()
    except VirtualBoardError as error:
        pytest.skip(f"no virtual board: {error}")
    return make_image(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def lanes(image: Path, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    folder = tmp_path_factory.mktemp("lanes")
    with ExitStack() as stack:
        rigs = [stack.enter_context(Rig(f"lane{i}", image, folder, broker.port)) for i in range(_LANES)]
        lanes = Lanes(rigs)
        yield lanes
        lanes.close()
