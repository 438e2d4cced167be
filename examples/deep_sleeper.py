"""A deep sleeper: wakes, connects, publishes a reading, listens for a moment, and sleeps again.

For boards that run from a battery. The topic is `sensors/lab`. What this needs to know about deep sleep:

- A deep sleep is a reset: nothing in memory survives it. The keys do, they are in flash. A message that was not sent
  before the board sleeps is lost. The next one has a fresh reading.
- The board asks the time servers each time it wakes, because its clock is off by up to 5 % while it sleeps. Until the
  time is known nothing is sent or received.
- The memory of messages that were received is lost as well. A copy of a message that is younger than ten minutes is
  accepted once more. Commands are never applied twice: that memory is in flash.
- Commands wait for the board in its session at the broker. The board refuses commands that are older than ten minutes,
  so sleep for less than that, or provision it with `--set max_command_age=86400` (seconds) or more.
- Before it sleeps the board must have received what waits there. The broker does not tell when that is all. So the
  board stays until its own message is confirmed and nothing has arrived for `QUIET_MS`. A command that arrives later
  than that is not lost: it waits at the broker until the board wakes again.
- Tools need the serial port of a board that is awake. Press its reset button, and start `e4 deploy` at once; Ctrl-C at
  the console stops the application for good, until the next reset.
"""

import time

import esp32
import machine

from firmware.node import Node

TOPIC = "sensors/lab"
SLEEP_S = 300
QUIET_MS = 2000  # without an arrival, before the board sleeps
AWAKE_MS = 60000  # at most, whether a broker was found or not: a battery is worth more than one reading


def read_temperature() -> float:
    """Return the temperature of the chip in degrees Celsius. It is warmer than the room."""
    if hasattr(esp32, "mcu_temperature"):  # ESP32-C3, S2, S3 and later chips measure in degrees Celsius
        return esp32.mcu_temperature()
    return (esp32.raw_temperature() - 32) / 1.8  # the first ESP32 measures in degrees Fahrenheit


class Stay:
    """What one stay awake has achieved so far."""

    def __init__(self, message=None) -> None:
        self.message = message  # what `node.post` returned; its `done` is set once the broker has it
        self.last_event = time.ticks_ms()


node = Node()
stay = Stay()


# Functions of `every` are called only while the board is connected, the first time as soon as it is. A message that
# could not be sent is posted again: before the board has its key, for instance, because the key may be about to arrive.
@node.every(1)
def send():
    if stay.message is None or stay.message.error is not None:
        stay.message = node.post(TOPIC, "{:.1f} C".format(read_temperature()))


@node.on_raw
def note_arrival(topic, payload):
    stay.last_event = time.ticks_ms()


def is_done() -> bool:
    """Tell whether the broker has our message, and nothing has arrived for a while."""
    now = time.ticks_ms()
    if stay.message is None or not stay.message.done:
        stay.last_event = now
    return time.ticks_diff(now, stay.last_event) >= QUIET_MS


def stay_awake() -> None:
    """Serve the node until all is done, or for as long as the battery allows."""
    begin = time.ticks_ms()
    while not is_done():
        if time.ticks_diff(time.ticks_ms(), begin) >= AWAKE_MS:
            print("* not all was done in time; trying again after the next sleep")
            return
        time.sleep_ms(min(node.step(), 20))
    print("> the broker has the reading")


# A board that is not provisioned prints what it lacks and does not sleep, so that tools can reach it.
if node.start():
    try:
        stay_awake()
    except Exception as error:  # Ctrl-C is no Exception: whoever interrupts the board wants it awake
        print("* this time it failed:", error)
    node.stop()
    print("> sleeping for", SLEEP_S, "s")
    time.sleep_ms(100)  # the serial port sends what was printed
    machine.deepsleep(SLEEP_S * 1000)
