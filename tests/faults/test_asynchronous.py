"""Boards with an `asyncio` application behind a failing network, and what their status topic says."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from faults.network_cases import CASES, survives
from faults.rig import Rig
from helpers.mosquitto import Mosquitto

__all__ = ["survives"]  # The fixture `outcome` finds it in this module.

LANES = "asynchronous_lanes"


@pytest.mark.parametrize("case", [case for case in CASES if "in a session" in case])
def test_nothing_is_lost(outcome: Future[None], case: str) -> None:
    outcome.result()


def test_a_board_without_power_is_said_to_be_offline(image: Path, broker: Mosquitto, tmp_path: Path) -> None:
    rig = Rig("mortal", image, tmp_path, broker.port)
    rig.status_topic = "faults/mortal/status"
    with rig:
        rig.check()
        rig.board.cut_power()
        assert rig.until(lambda: rig.status[-1:] == [b"offline"], 60)
        rig.restart()
        rig.check()
