"""The application of this board, and yours to edit.

It is a chat client: a line typed on the serial console is published on the first configured topic, and what arrives
is printed, raw and unprotected.
"""

import time

from firmware.console import shown, text
from firmware.node import Node

READING_TOPIC = None  # such as "sensors/lab/uptime": a reading goes there every minute

node = Node()
CHAT_TOPIC = node.topics[0] if node.topics else None


@node.on_raw
def print_raw(topic, payload):
    print("< received raw message on {}: {}".format(topic, shown(payload)))


@node.on()
def print_message(topic, message):
    print("< unprotected message:", text(message))


@node.on_command
def print_command():
    print("< unprotected message:")


@node.on_refused
def print_refusal(topic, error):
    print("failed to unprotect message:", error)


@node.on_line
def send_line(line):
    if CHAT_TOPIC:
        if node.publish(CHAT_TOPIC, line):
            print("> message published successfully")
        else:
            print("> message kept, to be published once the broker is there")


@node.every(60)
def publish_reading():
    if READING_TOPIC:
        node.publish(READING_TOPIC, "up for {} s".format(time.ticks_ms() // 1000))


if CHAT_TOPIC:
    print("> type anything and press enter to send the message to {}:".format(CHAT_TOPIC))
node.run()
