"""An application with all that `firmware.node` and `firmware.console` have for it, as a type checker sees it."""

import time

import e4
from firmware.console import shown, text
from firmware.node import Node

node = Node()


@node.on("sensors/+/limit")
def limit(topic: str, message: bytes) -> None:
    sent: bool = node.publish("sensors/lab", "limit is now " + message.decode(), retain=True, qos=0)
    print(sent, text(message))


@node.on()
def everything(topic: str, message: bytes) -> None:
    outgoing = node.post(topic, message)
    if outgoing.done and outgoing.error is None:
        limit(topic, message)


@node.on_raw
def raw(topic: str, payload: bytes) -> None:
    print(shown(payload))


@node.on_command
def command() -> None:
    print(node.topics[0].upper(), node.problems)


@node.on_refused
def refused(topic: str, error: Exception) -> None:
    print(isinstance(error, e4.E4Error))


@node.on_line
def line(typed: str) -> None:
    print(typed.strip())


@node.every(60)
def reading() -> None:
    node.publish("sensors/lab", b"21.5 C")


if node.start():
    for _ in range(3):
        time.sleep_ms(min(node.step(), 20))
node.stop()
node.run()
