"""A node for applications that use `asyncio`.

    async with Node() as node:
        await node.publish("sensors/lab", "21.5 C")
        async for topic, message in node:
            ...

The decorators of `firmware.node.Node` work as well. A handler may be an `async def`. Up to 8 calls of such handlers run
at the same time; a further call is not made, and the console says so. A handler that is a plain function must return
soon, and sends with `node.post`.
"""

import asyncio

from e4._const import const

from . import handlers, node
from .errors import LinkDown
from .ticks import Deadline, ticks_diff, ticks_ms

# The longest wait of the node for its own stream. Tasks that wait for other streams have their turn after it.
_PAUSE_MS = const(10)
# The number of messages that may wait for `async for`. While it is reached, the broker keeps further messages.
_MAX_MESSAGES = const(8)
# The number of calls of `async def` handlers that may run at the same time.
_MAX_RUNNING = const(8)
# The time after which an `async for` that asks for no message counts as ended. Otherwise the messages that wait for it
# would hold up commands for ever.
_ASKED_MS = const(60000)


class AsyncNode(node.Node):
    """The node as an asynchronous context manager, and as an asynchronous iterator over (topic, message).

    Entering it raises LinkDown if the board is not ready; `problems` says what is missing. Iteration ends with `stop`.
    """

    def _load(self) -> None:
        super()._load()
        # The messages that wait for `async for`, as (topic, message); `_keep` adds them, `__anext__` takes them.
        self._messages: list[tuple[str, bytes]] = []
        # True while the application iterates: `__anext__` sets it, `_has_room` clears it when nobody has asked in time.
        self._iterating = False
        # The time within which `async for` must ask for the next message.
        self._ask_by = Deadline(0)
        # The tasks of `async def` handlers that have not ended.
        self._calls: list[asyncio.Task] = []
        # Set when a message has arrived or the node was stopped; `__anext__` waits for it.
        self._arrival = asyncio.Event()
        self.on()(self._keep)

    async def __aenter__(self) -> "AsyncNode":
        if not self.start():
            raise LinkDown("this board is not ready: " + "; ".join(self.problems))
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await self._task

    def stop(self) -> None:
        super().stop()
        self._arrival.set()

    def __aiter__(self) -> "AsyncNode":
        return self

    async def __anext__(self) -> tuple[str, bytes]:
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
        """Protect and publish a message as `firmware.node.Node.publish` does. Other tasks run meanwhile."""
        outgoing = self.post(topic, message, retain, qos)
        waiting = self._watch(outgoing)
        try:
            for _ in waiting:
                await asyncio.sleep_ms(1)
        finally:
            waiting.close()  # Without this the message of a task that was cancelled would stay watched for ever.
        return outgoing.result()

    def _keep(self, topic: str, message: bytes) -> None:
        """Keep a message for `async for`. If too many wait, the oldest gives way."""
        if len(self._messages) >= _MAX_MESSAGES:  # The application does not iterate.
            self._messages.pop(0)
        self._messages.append((topic, message))
        # The deadline is looked at only while the list is full. If it were set earlier, it could be days old, and ticks
        # wrap.
        if len(self._messages) == _MAX_MESSAGES:
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
        if len(self._calls) >= _MAX_RUNNING:
            coroutine.close()
            raise RuntimeError("{} calls of handlers have not ended; this one was not made".format(_MAX_RUNNING))
        self._calls.append(asyncio.create_task(self._run_call(coroutine)))

    async def _run_call(self, coroutine) -> None:
        """Run one call of an `async def` handler, and report what it raises."""
        try:
            await coroutine
        except Exception as error:
            handlers.report(error)
        finally:
            self._calls.remove(asyncio.current_task())  # type: ignore[arg-type]  # None is only outside of tasks

    async def _serve(self) -> None:
        """Serve everything until `stop`.

        The wait for the network takes place in the poller of the node, and ends when another task is due. With
        `asyncio` waiting instead, a connection that cannot be polled would never wake it.
        """
        try:
            while self._link is not None:
                task = asyncio.core._task_queue.peek()  # type: ignore[attr-defined]
                self._cycle(_PAUSE_MS if task is None else max(0, min(_PAUSE_MS, ticks_diff(task.ph_key, ticks_ms()))))
                await asyncio.sleep_ms(0)
        finally:  # Ctrl-C mostly comes while this task waits, so the connection is closed here.
            self.stop()


# Applications write `from firmware.aio import Node`.
Node = AsyncNode
