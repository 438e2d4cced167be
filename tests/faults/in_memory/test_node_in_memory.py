"""A node and the faults that need no real network: unusual sockets, lack of memory, and runs that are interrupted."""

# ruff: noqa: I001 (the first of these modules makes the modules of a board, which the others import)
import asyncio

from helpers.portable.node_end import KEY, NOW, BoardReset, Broker, Deaf, Mute, World

import e4
from firmware import aio, connection, dns, node
from firmware.errors import LinkDown
from helpers.portable.support import raises


def test_sockets_that_can_do_little_are_enough():
    for nothing in (None, 11, 110):
        for room in (1, 100000):
            with World() as world:
                world.nothing, world.room = nothing, room
                world.node.start()
                assert world.works()
                world.brokers[-1].socket.ended = True
                assert world.until(lambda: len(world.brokers) == 2) and world.works()
                assert world.brokers[0].socket.closed


def test_a_node_that_waits_to_connect_again_does_not_spin():
    with World() as world:
        world.node.start()
        assert world.until(world.connected)
        world.brokers[-1].publish(b"the last word")
        world.brokers[-1].socket.ended = True
        assert world.until(lambda: world.brokers[-1].socket.closed)
        assert world.node.step() > 0


def test_what_an_application_gets_wrong_is_said_where_it_is_wrong():
    with World() as world:
        world.node.start()
        assert world.until(world.connected)
        for topic_filter in ("a#", "a/#/b", "+a", ""):
            raises(ValueError, world.node.on, topic_filter)
        for message in (42, 21.5, None, [1]):
            raises(TypeError, world.node.post, "out", message)
        assert world.works()


def test_messages_that_nobody_asks_for_do_not_hold_up_commands_for_ever():
    with World() as world:
        node = aio.AsyncNode()
        node._iterating = True
        node._ask_by.restart(60000)
        for i in range(8):
            assert node._has_room()
            node._keep("in", b"message %d" % i)
        assert not node._has_room()
        world.pass_ms(61000)
        assert node._has_room()
        node._keep("in", b"one more")
        assert node._messages[0] == ("in", b"message 1") and node._messages[-1] == ("in", b"one more")

        node._iterating = True
        for i in range(7):
            # The minute after which old messages give way begins when the list of messages is full. It does not begin
            # when the application asked last: that can be so long ago that the ticks have wrapped since.
            world.pass_ms(61000)
            node._messages.clear()
            for j in range(i + 1):
                node._keep("in", b"message %d" % j)
            assert node._has_room()
        node._keep("in", b"the eighth")
        assert not node._has_room()


def test_handlers_that_cause_each_other_leave_time_for_the_rest():
    with World() as world:
        calls = []

        def again():
            calls.append(1)
            if len(calls) < 1000:
                world.node._inbox.call_later(again)

        world.node._inbox.call_later(again)
        world.node.start()
        world.node._cycle(0)
        assert 0 < len(calls) < 100


class _Ending(Broker):
    """A broker that ends the connection when the node publishes on the topic `in`."""

    def answer(self, first, body):
        if first & 0xF0 == 0x30 and body[2:4] == b"in":
            self.socket.ended = True
        else:
            super().answer(first, body)


def test_a_message_with_which_every_connection_ends_is_given_up_for_the_others():
    limit, connection._RETRY_LIMIT_MS = connection._RETRY_LIMIT_MS, 1000
    try:
        with World(_Ending) as world:
            world.node.start()
            assert world.until(world.connected)
            bad, good = world.node.post("in", "not allowed"), world.node.post("out", "good")
            assert world.until(lambda: good.done)
            assert "given up" in str(raises(LinkDown, bad.result))
            assert 10 < len(world.brokers) < 30
    finally:
        connection._RETRY_LIMIT_MS = limit


class _Remembers(Broker):
    """A broker that has kept the session. `subscribed` counts the SUBSCRIBE packets it gets."""

    code = b"\x01"

    def __init__(self, socket):
        super().__init__(socket)
        self.subscribed = 0

    def answer(self, first, body):
        kind = first & 0xF0
        if kind == 0x10:
            self.socket.say(b"\x20\x02\x01\x00")
        elif kind == 0x80:
            self.subscribed += 1
            self.socket.say(b"\x90\x03" + body[:2] + self.code)
        else:
            super().answer(first, body)


def test_for_a_command_again_nothing_is_subscribed_again():
    # Each SUBSCRIBE would make the broker send all retained messages once more. After some of them it would have more
    # messages on their way to this node than it allows.
    with World(_Remembers) as world:
        world.node.start()
        assert world.until(world.connected)
        topic = world.node.client.receiving_topic.encode()
        command = e4.protect(e4.commands.reset_topics(), KEY, NOW + 86400)
        body = len(topic).to_bytes(2, "big") + topic + b"\x00\x08" + command
        world.brokers[0].socket.say(bytes((0x32, len(body))) + body)
        assert world.until(lambda: len(world.brokers) == 2) and world.works()
        world.brokers[1].socket.ended = True
        assert world.until(lambda: len(world.brokers) == 3) and world.works()
        assert [broker.subscribed for broker in world.brokers] == [2, 0, 2]


class _Refuses(_Remembers):
    code = b"\x80"


def test_a_subscription_that_is_refused_is_tried_again_later():
    with World(_Refuses) as world:
        world.node.start()
        assert world.until(world.connected)
        assert world.until(lambda: world.brokers[0].subscribed == 2, 2) and not world.until(lambda: False, 1)
        world.broker = _Remembers
        world.pass_ms(3500000)
        assert not world.until(lambda: len(world.brokers) > 1, 2)
        world.pass_ms(100000)
        assert world.until(lambda: len(world.brokers) == 2) and world.until(world.connected)
        assert world.brokers[1].subscribed == 2


def test_a_message_on_its_way_when_the_node_was_stopped_is_sent_by_the_next_run():
    with World(Deaf) as world:
        world.node.start()
        assert world.until(world.connected)
        outgoing = world.node.post("out", "not confirmed")
        assert world.until(lambda: world.brokers[0].published)
        world.node.stop()
        world.broker = Broker
        world.node.start()
        assert world.until(lambda: outgoing.done)
        first, again = world.brokers[0].published[0], world.brokers[1].published[0]
        assert again == (first[0] | 8, first[1])


def test_a_handler_that_stops_the_node_ends_its_run():
    with World() as world:
        world.node.every(0)(world.node.stop)
        world.node.run()
        assert len(world.brokers) == 1 and world.brokers[0].socket.closed
    with World() as world:
        # A node that was never started can be stopped as well.
        world.node.stop()


def test_lack_of_memory_costs_a_connection_at_most():
    for where in ("publish", "step", "close", "is_due"):
        with World() as world:
            world.node.start()
            assert world.until(world.connected)
            world.node.post("out", "x")
            _fail_once(world.node.clock if where == "is_due" else world.node._link, where)
            if where == "close":
                world.brokers[-1].socket.ended = True
                assert world.until(lambda: len(world.brokers) == 2)
            assert world.works() and len(world.node._queue) == 0, where


def _fail_once(owner, name, error=MemoryError):
    working = getattr(owner, name)

    def fail(*arguments):
        setattr(owner, name, working)
        raise error

    setattr(owner, name, fail)


def test_a_message_that_is_too_much_for_a_raw_handler_does_not_return_for_ever():
    with World() as world:
        refused = []
        world.node.on_raw(lambda topic, payload: None)
        world.node.on_refused(lambda topic, error: refused.append(type(error)))
        world.node.start()
        assert world.until(world.connected)
        _fail_once(world.node._inbox, "call_later")
        world.brokers[-1].publish(b"large")
        assert world.until(lambda: refused == [MemoryError])
        assert world.brokers[-1].confirmed == [b"\x00\x07"] and len(world.brokers) == 1


def test_an_address_where_no_broker_answers_is_looked_up_again():
    with World(Mute, broker={"host": "broker.example", "patience": 2}) as world:
        dns._addresses["broker.example"] = "192.0.2.77"
        world.node.start()
        assert world.until(lambda: len(world.brokers) == 1)
        assert world.until(lambda: "broker.example" not in dns._addresses, 10)


def test_a_task_that_is_cancelled_watches_its_message_no_more():
    async def cancel_while_waiting(node):
        task = asyncio.create_task(node.publish("out", "not confirmed"))
        await asyncio.sleep_ms(20)
        assert node._queue._messages[0].is_watched
        task.cancel()
        await asyncio.sleep_ms(20)
        assert not node._queue._messages[0].is_watched

    with World(Deaf) as world:
        world.node = aio.AsyncNode()
        world.node.start()
        assert world.until(world.connected)
        asyncio.run(cancel_while_waiting(world.node))


def _is_sent_again(world, let_closing_fail):
    """Lose a connection on which a message was not confirmed. Tell whether the message is sent on the next one."""
    world.node.start()
    assert world.until(world.connected)
    outgoing = world.node.post("out", "not confirmed")
    assert world.until(lambda: world.node._link.is_publishing)
    let_closing_fail()
    world.broker = Broker
    world.brokers[-1].socket.ended = True
    assert world.until(lambda: len(world.brokers) > 1 and world.connected())
    assert not outgoing.done
    return world.until(lambda: outgoing.done) and len(world.brokers[-1].published) == 1


def test_a_message_that_was_never_confirmed_is_sent_again_even_if_closing_fails():
    for error in (MemoryError, OSError, ValueError):
        with World(Deaf) as world:

            def fail(error=error):
                raise error

            assert _is_sent_again(world, lambda: setattr(world.sockets[-1], "close", fail))
    for name in ("close", "_reset"):
        with World(Deaf) as world:
            assert _is_sent_again(world, lambda: _fail_once(world.node._link, name))  # noqa: B023


def _is_reset(call):
    """Tell whether a call ends with a reset of the board."""
    try:
        call()
    except BoardReset:
        return True
    return False


def test_a_board_that_cannot_begin_is_reset_after_a_minute():
    with World() as world:
        for owner, name, error in (
            (node.send_queue, "SendQueue", MemoryError),
            (node.config, "load", MemoryError),
            (node.e4, "FileStore", MemoryError),
            (node.e4, "FileStore", node.e4.StoreError("cannot read /e4.keys")),
        ):
            kept = getattr(owner, name)
            _fail_once(owner, name, error)
            before = world.ticks_ms()
            assert _is_reset(node.Node)
            assert world.ticks_ms() - before >= 60000
            setattr(owner, name, kept)
        for owner, name in ((node.link, "Link"), (node.connection, "Connection"), (node.watchdog, "Watchdog")):
            kept = getattr(owner, name)
            _fail_once(owner, name)
            assert _is_reset(world.node.run)
            setattr(owner, name, kept)
            assert world.node.start()
            world.node.stop()
