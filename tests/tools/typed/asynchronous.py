"""An application that uses `asyncio`, with all that `firmware.aio` adds, as a type checker sees it."""

import asyncio

from firmware.aio import Node


async def main() -> None:
    async with Node() as node:

        @node.on("a")
        async def handler(topic: str, message: bytes) -> None:
            await node.publish(topic, message)

        confirmed: bool = await node.publish("sensors/lab", "21.5 C")
        async for topic, message in node:
            print(topic.upper(), message.hex(), confirmed)


asyncio.run(main())
