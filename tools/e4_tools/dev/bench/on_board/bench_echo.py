"""Sends messages to the broker and back, with a node and with bare `umqtt.simple`. It needs a provisioned board."""

import json
import time

import umqtt.simple

from firmware import wifi
from firmware.node import Node

_SIZE = 64


class _Socket:
    """The module `socket` without Nagle's algorithm, which would wait 40 ms for each small write and hide all else."""

    def __init__(self, module):
        self._socket = module.socket
        self.getaddrinfo = module.getaddrinfo

    def socket(self, *arguments):
        made = self._socket(*arguments)
        made.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
        return made


def _message(i):
    """Return message number `i`."""
    return i.to_bytes(4, "big") + bytes(_SIZE - 4)


def _bare(host, port, topic, qos, count):
    """Return the milliseconds that `count` messages take, each sent when the one before it has come back."""
    arrived = [0]

    def callback(_, __):
        arrived[0] += 1

    client = umqtt.simple.MQTTClient("bare", host, port, keepalive=60)
    client.set_callback(callback)
    client.connect()
    topic += "/bare"  # On the node's own topic the broker would keep these messages for the node's session.
    client.subscribe(topic.encode(), qos)
    started = time.ticks_ms()
    for i in range(count):
        client.publish(topic.encode(), _message(i), False, qos)
        while arrived[0] <= i:
            client.wait_msg()
    passed = time.ticks_diff(time.ticks_ms(), started)
    client.disconnect()
    return passed


def _node(topic, qos, count):
    """Return the milliseconds that a node takes for `count` messages, which it protects and unprotects."""
    node = Node()
    arrived = [0]
    times = []

    @node.on(topic)
    def received(_, __):
        arrived[0] += 1
        if arrived[0] == count:
            times.append(time.ticks_ms())
            raise SystemExit
        node.publish(topic, _message(arrived[0]), qos=qos)

    @node.every(1)
    def start():
        if not times and node.client.holds_key(topic):
            times.append(time.ticks_ms())
            node.publish(topic, _message(0), qos=qos)

    try:  # noqa: SIM105 (the board has no contextlib)
        node.run()
    except SystemExit:
        pass
    return time.ticks_diff(times[1], times[0])


def run(network, host, port, topic, qos, at_once, count, rounds):  # noqa: PLR0913 (called by the host alone)
    """Print how much of bare umqtt's rate a node has, once for each round, as one line of JSON.

    `network` is the name and the password of the WiFi network. With `at_once`, Nagle's algorithm is off.
    """
    for _ in wifi.join(*network):
        time.sleep_ms(20)
    ratios = []
    original = umqtt.simple.socket
    if at_once:
        umqtt.simple.socket = _Socket(original)
    for _ in range(rounds):
        bare = _bare(host, port, topic, qos, count)
        node = _node(topic, qos, count)
        ratios.append(bare / node)
    umqtt.simple.socket = original
    print(json.dumps(ratios))
