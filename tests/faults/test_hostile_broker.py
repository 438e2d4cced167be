"""A broker that sends every kind of malformed packet, or does not send what it should.

After each case the board must still read the stream correctly, or it must have closed the connection. Then it must
connect to the good broker again and work. It must have lost nothing, and it must not have restarted.
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
    """Connect the board to the hostile broker, then to the good one. Raises Failure if it does not survive that."""
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
