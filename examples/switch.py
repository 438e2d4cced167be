"""A switch: messages set a pin, and the board answers with the state of the pin.

A message `on`, `off` or `toggle` on `lamps/lab/set` sets the pin. The state is published on `lamps/lab/state`. Grant
the board both topics, and try it: `e4 send lamps/lab/set on`, while `e4 listen lamps/lab/state` runs elsewhere.

Whoever holds the key of `lamps/lab/set` can switch the lamp, and nobody else can. The broker can only delay or drop the
messages. The library refuses copies of a message, so a recorded `toggle` has no effect when it is played back later.
"""

from machine import Pin

from firmware.console import text
from firmware.node import Node

PIN = 2  # the blue light of many boards
SET_TOPIC = "lamps/lab/set"
STATE_TOPIC = "lamps/lab/state"

lamp = Pin(PIN, Pin.OUT, value=0)
node = Node()


@node.on(SET_TOPIC)
def set_lamp(topic, message):
    if message == b"on":
        lamp.value(1)
    elif message == b"off":
        lamp.value(0)
    elif message == b"toggle":
        lamp.value(1 - lamp.value())
    else:
        print("* neither on, off nor toggle:", text(message))
        return
    publish_state()


# The state is not published with `retain`. Receivers refuse messages that are older than ten minutes, so a retained
# state would soon be of no use to them. It is repeated instead.
@node.every(60)
def publish_state():
    state = "on" if lamp.value() else "off"
    print("> the lamp is", state)
    node.publish(STATE_TOPIC, state)


node.run()
