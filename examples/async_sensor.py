"""An application with `asyncio`: measures every second, publishes the mean, and takes settings from messages.

One task measures. Another one publishes the mean on `sensors/lab`, every 60 seconds at first. A message on
`sensors/lab/period`, such as `10`, sets another number of seconds. Grant the board both topics.
"""

import asyncio

import esp32

import e4
from firmware.aio import Node
from firmware.console import text

TOPIC = "sensors/lab"
PERIOD_TOPIC = "sensors/lab/period"


class Mean:
    """The mean of what was measured since it was last taken."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        self._sum += value
        self._count += 1

    def take(self) -> float:
        """Return the mean and begin a new one. Raises ValueError if nothing was measured."""
        if not self._count:
            raise ValueError("nothing was measured")
        mean = self._sum / self._count
        self._sum, self._count = 0.0, 0
        return mean


node = Node()
mean = Mean()
period_s = 60


def read_temperature() -> float:
    """Return the temperature of the chip in degrees Celsius. It is warmer than the room."""
    if hasattr(esp32, "mcu_temperature"):  # ESP32-C3, S2, S3 and later chips measure in degrees Celsius
        return esp32.mcu_temperature()
    return (esp32.raw_temperature() - 32) / 1.8  # the first ESP32 measures in degrees Fahrenheit


async def measure() -> None:
    while True:
        mean.add(read_temperature())
        await asyncio.sleep(1)


async def publish() -> None:
    left_s = period_s
    while True:
        await asyncio.sleep(1)
        # The new period is looked at every second, so that a shorter one takes effect at once.
        left_s = min(left_s, period_s) - 1
        if left_s > 0:
            continue
        left_s = period_s
        try:
            await node.publish(TOPIC, "{:.1f} C".format(mean.take()))
        except (e4.E4Error, OSError, ValueError) as error:
            # E4Error: there is no key for the topic yet, for instance. OSError: the message gave way in a full queue.
            # ValueError: nothing was measured. An exception that nobody catches would end this task for good.
            print("* not published:", error)


# The decorator subscribes to the topic. `async for` gets the messages as well, from all topics.
@node.on(PERIOD_TOPIC)
def set_period(topic, message):
    global period_s  # noqa: PLW0603 (an application has one period)
    if not message.isdigit() or not 1 <= int(message) <= 86400:
        print("* no number of seconds from 1 to 86400:", text(message))
        return
    period_s = int(message)
    print("> the period is", period_s, "s")


async def main() -> None:
    async with node:
        tasks = [asyncio.create_task(measure()), asyncio.create_task(publish())]
        try:
            async for topic, message in node:  # ends with `node.stop()`
                print("<", topic, text(message))
        finally:
            for task in tasks:
                task.cancel()


# A board that is not provisioned prints what it lacks, and is left to its serial port.
if node.problems:
    node.start()
else:
    try:
        asyncio.run(main())
    finally:
        node.stop()
