"""The kinds of faults.

Each function makes one fault for one direction of one connection. Connections cannot share one, because a fault may
count bytes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from faults.proxy import Fault, Flow


def delay(seconds: float) -> Fault:
    """All bytes arrive late."""

    def fault(flow: Flow, data: bytes) -> None:
        time.sleep(seconds)
        flow.forward(data)

    return fault


def drop(n: int) -> Fault:
    """The next `n` bytes are lost, and the bytes after them arrive."""
    left = n

    def fault(flow: Flow, data: bytes) -> None:
        nonlocal left
        lost = min(left, len(data))
        left -= lost
        flow.forward(data[lost:])

    return fault


def _end(after: int, how: Callable[[Flow], None]) -> Fault:
    left = after

    def fault(flow: Flow, data: bytes) -> None:
        nonlocal left
        flow.forward(data[:left])
        left -= min(left, len(data))
        if not left:
            how(flow)

    return fault


def stall(after: int) -> Fault:
    """After `after` bytes nothing arrives any more, and the connection stays open."""
    return _end(after, Flow.fall_silent)


def truncate(after: int) -> Fault:
    """After `after` bytes the connection is closed."""
    return _end(after, Flow.close)


def duplicate() -> Fault:
    """Every whole packet arrives twice."""
    begun = b""
    # The fault may begin in the middle of a packet. Nothing is doubled before that packet has ended.
    aligned = False

    def fault(flow: Flow, data: bytes) -> None:
        nonlocal begun, aligned
        at = 0
        for end in flow.ends:
            whole = begun + data[at:end]
            flow.forward(whole + whole if aligned else whole)
            begun, at, aligned = b"", end, True
        if aligned:
            begun += data[at:]
        else:
            flow.forward(data[at:])

    return fault


def stutter(flow: Flow, data: bytes) -> None:
    """One byte of each piece of data arrives twice. This function is itself a fault, because it counts nothing."""
    middle = len(data) // 2
    flow.forward(data[: middle + 1] + data[middle:])


def garbage(seed: int) -> Fault:
    """Random bytes arrive instead of those that were sent."""
    source = random.Random(seed)  # noqa: S311 (no secret)

    def fault(flow: Flow, data: bytes) -> None:
        flow.forward(source.randbytes(len(data)))

    return fault


def trickle(seconds: float) -> Fault:
    """The bytes arrive one at a time, and each of them late.

    A receiver whose timeout starts again with every byte would wait for ever.
    """

    def fault(flow: Flow, data: bytes) -> None:
        for at in range(len(data)):
            flow.forward(data[at : at + 1])
            time.sleep(seconds)
            if flow.ended:
                return

    return fault
