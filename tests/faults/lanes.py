"""Several boards side by side. Most faults make a board wait, so one case after the other would take long."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from faults.rig import Rig


class Lanes:
    """Calls `work(rig)` with any rig that is free.

    After a failure the board is restarted, and the messages it has lost are forgotten.
    """

    def __init__(self, rigs: list[Rig]) -> None:
        """Enter all rigs, that is, start their boards. `close` leaves them."""
        self._stack = ExitStack()
        self._free: queue.SimpleQueue[Rig] = queue.SimpleQueue()
        for rig in rigs:
            self._free.put(self._stack.enter_context(rig))
        self._pool = ThreadPoolExecutor(len(rigs), thread_name_prefix="lane")

    def submit(self, work: Callable[[Rig], None]) -> Future[None]:
        """Call `work` with the next free rig. The result of the future raises what `work` has raised."""
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
        """Cancel the work that has not begun, wait for the rest, and stop the boards."""
        self._pool.shutdown(cancel_futures=True)
        self._stack.close()
