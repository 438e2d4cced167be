"""The cases of a failing network, by name, and a function that puts a board through one of them."""

from __future__ import annotations

from collections.abc import Callable

from faults import kinds
from faults.partner import Failure
from faults.proxy import TO_BOARD, TO_BROKER, Fault
from faults.rig import Rig

# Each fault is made anew for each connection, because it counts bytes.
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
# Faults that change bytes may lose a message: changed bytes can acknowledge anything, and a broker that gets a second
# CONNECT forgets the session.
_ALTERING = ("drop 1 byte", "drop 50 bytes", "duplicate bytes", "garbage")
CASES = {
    f"{name}, {when}, {direction}": (name, when, direction)
    for name in _FAULTS
    for when in ("in a session", "from the start")
    for direction in (TO_BOARD, TO_BROKER)
}


def survives(case: str, rig: Rig) -> None:
    """Send messages in both directions during a fault. Raises Failure if the board does not survive it."""
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
    rig.proxy.reset(count=False)  # Some faults do not end a connection by themselves.
    if not lossless:
        rig.forgive()
    rig.check()
    if rig.starts != starts:
        raise Failure(f"the board restarted; it said last: {rig.last_words()}")
