"""Mistakes that a type checker finds. Each line that has one names the error code that is expected."""

from firmware.node import Node

node = Node()


@node.on("sensors/lab")  # expected: type-var
def limit(topic: str) -> None:
    node.publish(topic, 21.5)  # expected: arg-type


@node.on_line  # expected: type-var
def line(typed: bytes) -> None:
    sent: str = node.publish("sensors/lab", typed)  # expected: assignment
    node.post("sensors/lab", typed, qos="1")  # expected: arg-type
    node.subscribe(sent)  # expected: attr-defined


@node.every("60")  # expected: arg-type
def reading() -> None:
    limit()  # expected: call-arg
