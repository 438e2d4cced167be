"""A node for applications that use `asyncio`.

    async with Node() as node:
        await node.publish("sensors/lab", "21.5 C")
        async for topic, message in node:
            ...

The decorators of `firmware.node.Node` work as well. A handler may be an `async def`: up to 8 calls of such run at once,
others are not made, which is reported. One that is a plain function must not take long, and sends with `node.post`.
"""

import asyncio
from asyncio import core  # type: ignore[attr-defined]

from e4._const import const

from . import node
from .errors import LinkDown
from .handlers import report
from .ticks import Deadline, ticks_diff, ticks_ms

_PAUSE_MS = const(10)  # until tasks that wait for streams of their own have their turn
_MAX_MESSAGES = const(8)  # that wait for `async for`; while it is full, the broker keeps the others
_MAX_CALLS = const(8)  # of `async def` handlers that have not ended
_ASKED_MS = const(60000)  # since `async for` has asked: then nobody does, and commands must not wait behind messages


class AsyncNode(node.Node):
    """The same node, as an asynchronous context manager and iterator over (topic, message).

    Raises LinkDown on entering if the board is not ready; `problems` says what is missing. Iteration ends with `stop`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._messages: list = []
        self._iterating = False
        self._ask_by = Deadline(0)
        self._calls: list = []  # tasks of `async def` handlers
        self._arrival = asyncio.Event()
        self.on()(self._keep)

    async def __aenter__(self):
        if not self.start():
            raise LinkDown("this board is not ready: " + "; ".join(self.problems))
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_) -> None:
        self.stop()
        await self._task

    def stop(self) -> None:
        super().stop()
        self._arrival.set()

    def __aiter__(self):
        return self

    async def __anext__(self) -> tuple:
        self._iterating = True
        self._ask_by.restart(_ASKED_MS)
        while not self._messages:
            if self._link is None:
                raise StopAsyncIteration
            self._arrival.clear()
            await self._arrival.wait()
        return self._messages.pop(0)

    async def publish(  # type: ignore[override]
        self, topic: str, message: bytes | str, retain: bool = False, qos: int = 1
    ) -> bool:
        """As `firmware.node.Node.publish`; other tasks run meanwhile."""
        outgoing = self.post(topic, message, retain, qos)
        waiting = self._watch(outgoing)
        try:
            for _ in waiting:
                await asyncio.sleep_ms(1)
        finally:
            waiting.close()  # Without this the message of a task that was cancelled would stay watched for ever.
        return outgoing.result()

    def _keep(self, topic: str, message: bytes) -> None:
        if len(self._messages) >= _MAX_MESSAGES:  # nobody has asked for them yet
            self._messages.pop(0)
        self._messages.append((topic, message))
        if len(self._messages) == _MAX_MESSAGES:  # not before: ticks wrap
            self._ask_by.restart(_ASKED_MS)
        self._arrival.set()

    def _has_room(self) -> bool:
        if self._iterating and len(self._messages) >= _MAX_MESSAGES:
            if not self._ask_by.is_over():
                return False
            self._iterating = False
            print("* nobody has asked for messages for a minute; from now on the oldest give way")
        return True

    def _begin(self, coroutine) -> None:
        if len(self._calls) >= _MAX_CALLS:
            coroutine.close()
            raise RuntimeError("{} calls of handlers have not ended; this one was not made".format(_MAX_CALLS))
        self._calls.append(asyncio.create_task(self._run_call(coroutine)))

    async def _run_call(self, coroutine) -> None:
        try:
            await coroutine
        except Exception as error:
            report(error)
        finally:
            self._calls.remove(asyncio.current_task())

    async def _serve(self) -> None:
        """Serve everything; wait here for what arrives, as long as no other task has something to do."""
        try:
            while self._link is not None:
                task = core._task_queue.peek()
                self._cycle(_PAUSE_MS if task is None else max(0, min(_PAUSE_MS, ticks_diff(task.ph_key, ticks_ms()))))
                await asyncio.sleep_ms(0)
        finally:  # Ctrl-C too comes mostly while it waits
            self.stop()


Node = AsyncNode  # Applications write `from firmware.aio import Node`, beside or instead of `firmware.node`.
