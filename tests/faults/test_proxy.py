"""A real broker behind a network that fails in every way: the board comes back, and nothing promised is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from faults import kinds
from faults.partner import Failure
from faults.proxy import TO_BOARD, TO_BROKER, Fault
from faults.rig import Rig
from helpers.boards import Mosquitto

LANES = "lanes"

# Each made anew for each connection, as it counts bytes.
_FAULTS: dict[str, Callable[[], Fault]] = {
    "delay": lambda: kinds.delay(0.7),
    "drop 1 byte": lambda: kinds.drop(1),
    "drop 50 bytes": lambda: kinds.drop(50),
    "stall at once": lambda: kinds.stall(0),
    "stall after 3 bytes": lambda: kinds.stall(3),
    "stall in a payload": lambda: kinds.stall(60),
    "truncate after 3 bytes": lambda: kinds.truncate(3),
    "truncate in a payload": lambda: kinds.truncate(60),
    "duplicate packets": kinds.duplicate,
    "duplicate bytes": lambda: kinds.stutter,
    "garbage": lambda: kinds.garbage(7),
    "trickle": lambda: kinds.trickle(0.9),
}
# Changed bytes can acknowledge anything, and a broker that gets a second CONNECT forgets the session.
_ALTERING = ("drop 1 byte", "drop 50 bytes", "duplicate bytes", "garbage")
CASES = {
    f"{name}, {when}, {direction}": (name, when, direction)
    for name in _FAULTS
    for when in ("in a session", "from the start")
    for direction in (TO_BOARD, TO_BROKER)
}


def survives(case: str, rig: Rig) -> None:
    """Have messages in both directions while a fault happens."""
    name, when, direction = CASES[case]
    lossless = name not in _ALTERING and (name, direction) != ("duplicate packets", TO_BROKER)
    starts = rig.starts
    rig.check()
    if when == "in a session":
        if not rig.proxy.apply(name, _FAULTS[name](), direction):
            raise Failure("the board is not connected")
    else:
        rig.proxy.with_next[direction] = _FAULTS[name]()
        rig.proxy.reset()
    for _ in range(3):
        rig.ask()
        rig.send()
    rig.check(lossless=lossless)
    rig.proxy.reset(count=False)  # some faults do not end a connection
    if not lossless:
        rig.forgive()
    rig.check()
    if rig.starts != starts:
        raise Failure(f"the board restarted; it said last: {rig.last_words()}")


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
