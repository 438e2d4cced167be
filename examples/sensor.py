"""A sensor: reads the temperature of the chip once a minute and publishes it, encrypted.

The topic is `sensors/lab`. Without a key for it nothing is published, and the console says so once a minute. Give the
board a key with `e4 grant NAME sensors/lab`. Read what it sends with `e4 listen sensors/lab`.

The chip measures itself, so no hardware is needed. Put your own sensor into `read_temperature`.
"""

import esp32

from firmware.node import Node

TOPIC = "sensors/lab"
PERIOD_S = 60


def read_temperature() -> float:
    """Return the temperature of the chip in degrees Celsius. It is warmer than the room."""
    if hasattr(esp32, "mcu_temperature"):  # ESP32-C3, S2, S3 and later chips measure in degrees Celsius
        return esp32.mcu_temperature()
    return (esp32.raw_temperature() - 32) / 1.8  # the first ESP32 measures in degrees Fahrenheit


node = Node()


@node.every(PERIOD_S)
def publish_temperature():
    message = "{:.1f} C".format(read_temperature())
    if node.publish(TOPIC, message):
        print("> published", message)
    else:
        print("> the broker does not have it yet; it will be sent later:", message)


node.run()
