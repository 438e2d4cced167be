"""Several boards side by side: most faults are waiting, and one board after the other would take long."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from faults.rig import Rig


class Lanes:
    """Runs `work(rig)` on whatever rig is free. A board that fails is restarted, and its account begins anew."""

    def __init__(self, rigs: list[Rig]) -> None:
        """`rigs` are entered here, and left by `close`."""
        self._stack = ExitStack()
        self._free: queue.SimpleQueue[Rig] = queue.SimpleQueue()
        for rig in rigs:
            self._free.put(self._stack.enter_context(rig))
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

    def close(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._pool.shutdown(cancel_futures=True)
        self._stack.close()
