"""A broker that sends every malformed packet that MQTT 3.1.1 allows one to build, and leaves out what it should send.

After each, the board must be in step with the stream or have closed the connection, and then come back to the good
broker, work, and have lost nothing; and it must not have restarted.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from faults.cases import CASES
from faults.hostile import meet
from faults.partner import Failure
from faults.rig import Rig

LANES = "lanes"


def survives(case: str, rig: Rig) -> None:
    """Meet the hostile broker, then the good one."""
    starts, said = rig.starts, len(rig.console.lines)
    meet(rig, CASES[case])
    rig.check()
    if rig.starts != starts:
        raise Failure(f"the board restarted; it said last: {rig.last_words()}")
    if any("smuggled" in line for line in rig.console.lines[said:]):
        raise Failure("the board took the body of a packet for a packet")


@pytest.mark.parametrize("case", CASES)
def test_the_board_comes_back(outcome: Future[None], case: str) -> None:
    outcome.result()
