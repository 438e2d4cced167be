"""The queue of outgoing messages."""

import e4
from firmware.errors import LinkDown
from firmware.send_queue import SendQueue
from helpers.portable.support import Clock, raises

_TOPIC_KEY = b"t" * 32


class _Link:
    """A link that keeps what is published in `sent`. The test calls `confirm` where a broker would send a PUBACK."""

    def __init__(self):
        self.is_up = True
        self.is_publishing = False
        self.sent = []

    def publish(self, topic, payload, retain, qos, packet_id):
        self.sent.append((bytes(payload), packet_id))
        self.is_publishing = qos == 1
        return packet_id or 7

    def confirm(self):
        self.is_publishing = False


def _queue(messages=3, size=100):
    clock = Clock()
    key = b"k" * 32
    client = e4.Client(e4.id_of("alice"), key, e4.MemoryStore(), clock)
    command = e4.protect(e4.commands.set_topic_key(_TOPIC_KEY, "t"), key, clock.now)
    client.unprotect(command, client.receiving_topic)
    return SendQueue(client, messages, size), _Link(), clock


def _read(link, clock):
    return [e4.unprotect(payload, _TOPIC_KEY, clock.now) for payload, _ in link.sent]


def test_one_after_the_other_and_only_once_confirmed():
    queue, link, clock = _queue()
    messages = [queue.add("t", message, False, 1) for message in (b"one", b"two")]
    queue.step(link, clock)
    queue.step(link, clock)
    assert _read(link, clock) == [b"one"] and not messages[0].done
    link.confirm()
    queue.step(link, clock)
    assert _read(link, clock) == [b"one", b"two"] and messages[0].done and not messages[1].done
    link.confirm()
    queue.step(link, clock)
    assert messages[1].done and len(queue) == 0


def test_a_message_that_no_connection_survives_is_given_up():
    queue, link, clock = _queue()
    bad, good = (queue.add("t", message, False, 1) for message in (b"bad", b"good"))
    for _ in range(16):
        assert queue.step(link, clock) is None and _read(link, clock)[-1] == b"bad"
        queue.interrupt()
        link.confirm()
    assert queue.step(link, clock) is bad
    assert "given up" in str(raises(LinkDown, bad.result))
    queue.step(link, clock)
    link.confirm()
    queue.step(link, clock)
    assert good.done and len(queue) == 0


def test_what_waits_is_protected_when_it_is_sent():
    queue, link, clock = _queue()
    link.is_up = False
    queue.add("t", b"late", False, 1)
    queue.step(link, clock)
    clock.now += 5000
    link.is_up = True
    queue.step(link, clock)
    assert _read(link, clock) == [b"late"]


def test_the_oldest_give_way_but_not_the_one_on_its_way():
    queue, link, clock = _queue(messages=3)
    first = queue.add("t", b"0", False, 1)
    queue.step(link, clock)
    later = [queue.add("t", message, False, 1) for message in (b"1", b"2", b"3", b"4")]
    assert queue.dropped == 2 and len(queue) == 3
    assert first.error is None
    assert [type(outgoing.error) for outgoing in later] == [LinkDown, LinkDown, type(None), type(None)]


def test_the_bytes_of_all_that_wait_are_bounded():
    queue, link, _ = _queue(messages=1000, size=100)
    link.is_up = False
    for _ in range(50):
        queue.add("t", bytes(40), False, 1)
    assert len(queue) == 2
    queue.add("t", bytes(90), False, 1)
    assert len(queue) == 1 and queue.dropped == 50


def test_a_message_that_is_larger_than_the_queue_takes_nobodys_place():
    queue, link, clock = _queue(size=100)
    large = queue.add("t", bytes(5000), False, 1)
    queue.step(link, clock)
    link.confirm()
    queue.step(link, clock)
    assert large.done
    waits = queue.add("t", b"x", False, 1)
    raises(LinkDown, queue.add, "t", bytes(5000), False, 1)
    assert waits.error is None and len(queue) == 1


def test_after_a_connection_lost_the_same_bytes_are_sent_again():
    queue, link, clock = _queue()
    outgoing = queue.add("t", b"perhaps", False, 1)
    queue.step(link, clock)
    queue.interrupt()
    # The connection is a new one, so the link no longer waits for a PUBACK.
    link.confirm()
    clock.now += 200
    queue.step(link, clock)
    assert link.sent[1] == (link.sent[0][0], 7) and not outgoing.done


def test_what_is_too_old_to_be_sent_again_is_protected_anew():
    queue, link, clock = _queue()
    queue.add("t", b"perhaps", False, 1)
    queue.step(link, clock)
    queue.interrupt()
    link.confirm()
    clock.now += 3600
    queue.step(link, clock)
    assert not link.sent[1][1] and link.sent[1][0] != link.sent[0][0]
    assert e4.unprotect(link.sent[1][0], _TOPIC_KEY, clock.now) == b"perhaps"


def test_a_message_that_cannot_be_protected_does_not_hold_up_the_others():
    queue, link, clock = _queue()
    lost = queue.add("no key for this one", b"x", False, 1)
    queue.add("t", b"y", False, 1)
    assert queue.step(link, clock) is lost and type(lost.error) is e4.TopicKeyNotFound
    queue.step(link, clock)
    assert _read(link, clock) == [b"y"]


def test_without_the_time_messages_wait():
    queue, link, clock = _queue()

    def unset():
        raise e4.ClockNotSet("on purpose")

    outgoing = queue.add("t", b"x", False, 1)
    queue.step(link, unset)
    assert outgoing.error is None and len(queue) == 1 and not link.sent
    queue.step(link, clock)
    assert _read(link, clock) == [b"x"]


def test_quality_0_is_done_once_it_has_left():
    queue, link, clock = _queue()
    messages = [queue.add("t", b"x", False, 0) for _ in range(3)]
    queue.step(link, clock)
    assert all(outgoing.done for outgoing in messages) and len(link.sent) == 3


def test_a_link_that_fails_while_sending_keeps_the_message():
    queue, link, clock = _queue()

    def fail(*_):
        raise LinkDown("on purpose")

    outgoing = queue.add("t", b"x", False, 1)
    working, link.publish = link.publish, fail
    raises(LinkDown, queue.step, link, clock)
    queue.interrupt()
    link.publish = working
    queue.step(link, clock)
    assert _read(link, clock) == [b"x"] and not outgoing.done


class _NoMemory(list):
    """A list that has no memory for one more item."""

    def append(self, item):
        raise MemoryError


def test_a_message_for_which_there_is_no_memory_does_not_make_others_give_way():
    queue, _, _ = _queue(messages=2)
    waiting = [queue.add("t", text, False, 1) for text in (b"1", b"2")]
    queue._messages = _NoMemory(queue._messages)
    raises(MemoryError, queue.add, "t", b"3", False, 1)
    assert len(queue) == 2 and queue.dropped == 0 and not any(outgoing.error for outgoing in waiting)
