"""Several boards side by side: most faults are waiting, and one board after the other would take long."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from faults.rig import Rig


class Lanes:
    """Runs `work(rig)` on whatever rig is free. A board that fails is restarted, and its account begins anew."""

    def __init__(self, rigs: list[Rig]) -> None:
        self._free: queue.SimpleQueue[Rig] = queue.SimpleQueue()
        for rig in rigs:
            self._free.put(rig)
        self._pool = ThreadPoolExecutor(len(rigs), thread_name_prefix="lane")

    def submit(self, work: Callable[[Rig], None]) -> Future[None]:
        """Have work done; the result raises what it raised."""
        return self._pool.submit(self._run, work)

    def _run(self, work: Callable[[Rig], None]) -> None:
        rig = self._free.get()
        try:
            work(rig)
        except BaseException:
            rig.restart()
            raise
        finally:
            self._free.put(rig)

    @contextmanager
    def borrow(self) -> Iterator[Rig]:
        """A rig for a test of its own."""
        rig = self._free.get()
        try:
            yield rig
        finally:
            self._free.put(rig)

    def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._pool.shutdown(cancel_futures=True)


def submit_chosen(
    request: pytest.FixtureRequest, lanes: Lanes, work: Callable[[str, Rig], None]
) -> dict[str, Future[None]]:
    """Begin `work(case, rig)` for all parametrised tests of the module that are to be run, at once on all boards."""
    chosen = [
        str(next(iter(item.callspec.params.values())))
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    return {case: lanes.submit(partial(work, case)) for case in chosen}
