"""A short soak test. `make soak MINUTES=n` runs a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from e4_tools.dev.bench.__main__ import print_last_soak
from faults.soak import print_curve, soak, write
from helpers.mosquitto import Mosquitto


def test_nothing_is_lost_and_the_heap_stays(
    image: Path, broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = soak(minutes=0.5, seed=1, boards=2)
    print_curve(result)
    assert result.passed, (result.line(), result.failures, result.lost, result.restarts)
    assert result.messages > 100
    assert result.faults.total() > 10
    assert result.reconnects > 5
    write(result, tmp_path / "soak.json")
    print_last_soak(tmp_path / "soak.json")
    assert result.line() in capsys.readouterr().out


def test_a_leak_is_noticed(image: Path, broker: Mosquitto) -> None:
    result = soak(minutes=0.1, seed=2, boards=1, leak=32)
    assert not result.lost
    assert not result.passed, result.line()
