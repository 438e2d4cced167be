"""The inbox, which takes messages from the link and hands them on to the application."""

import e4
from firmware.inbox import Inbox
from helpers.portable.board_end import Time
from helpers.portable.support import Clock, raises

_KEY = b"k" * 32
_TOPIC_KEY = b"t" * 32


class _TrustedClock(Clock):
    def confirm(self, timestamp):
        self.confirmed = timestamp

    def raise_floor(self, timestamp):
        self.floor = timestamp


class _FullStore(e4.MemoryStore):
    full = False

    def commit(self, *arguments):
        if self.full:
            raise e4.StoreError("no room in flash")
        super().commit(*arguments)


class _Board:
    """A client that holds a key for the topic `t`, and its inbox. `heard` has everything that the handlers got."""

    def __init__(self, max_bytes=1000):
        self.clock = _TrustedClock()
        self.store = _FullStore()
        self.client = e4.Client(e4.id_of("alice"), _KEY, self.store, self.clock)
        self.inbox = Inbox(self.client, self.clock, max_bytes)
        self.heard = []
        self.inbox.handlers.append(("t", lambda topic, message: self.heard.append(message)))
        self.inbox.on_refused = lambda topic, error: self.heard.append(type(error))
        self.inbox.on_command = lambda: self.heard.append("command")
        assert self.command(e4.commands.set_topic_key(_TOPIC_KEY, "t"))
        self.call()

    def command(self, command, again=False):
        payload = e4.protect(command, _KEY, self.clock.now)
        return self.arrive(payload, self.client.receiving_topic, again)

    def arrive(self, payload, topic="t", again=False, qos=1):
        return self.inbox.receive(topic.encode(), memoryview(payload), len(payload), qos, again)

    def call(self):
        """Call all handlers that are due, and return what they got."""
        while True:
            call = self.inbox.next_call()
            if call is None:
                heard, self.heard = self.heard, []
                return heard
            call[0](*call[1])

    def protected(self, message):
        return e4.protect(message, _TOPIC_KEY, self.clock.now)


def test_commands_and_messages_reach_their_handlers():
    board = _Board()
    assert board.arrive(board.protected(b"hello")) and board.command(e4.commands.remove_topic("t"))
    assert board.call() == [b"hello", "command"]
    assert board.clock.floor == board.clock.confirmed == board.clock.now


def test_what_is_refused_is_told_and_does_not_return():
    board = _Board()
    for payload in (b"", b"plain", bytes(100)):
        assert board.arrive(payload)
    assert board.arrive(board.protected(b"x"), "unknown")
    assert board.call() == [e4.TooShort, e4.TooShort, e4.TimestampTooOld, e4.TopicKeyNotFound]


def test_a_copy_that_the_broker_announces_is_ignored_quietly():
    board = _Board()
    payload = board.protected(b"once")
    for again in (False, True, True, False):
        assert board.arrive(payload, again=again)
    assert board.call() == [b"once", e4.Replayed]


def test_what_may_be_a_copy_is_told_even_if_the_broker_announces_it():
    board = _Board()
    late = board.protected(b"late")
    # The client does not remember so many messages. It then can no longer tell whether an early one is a copy.
    for number in range(300):
        if number % 20 == 0:
            board.clock.now += 1
        assert board.arrive(board.protected(str(number).encode()))
        board.call()
    board.clock.now += 5
    assert board.arrive(late, again=True)
    assert board.call() == [e4.PerhapsReplayed]


def test_a_command_that_arrives_again_is_announced_once():
    board = _Board()
    payload = e4.protect(e4.commands.remove_topic("t"), _KEY, board.clock.now)
    for _ in range(3):
        assert board.arrive(payload, board.client.receiving_topic, True)
    assert board.call() == ["command"]


def test_a_command_that_flash_does_not_take_is_left_to_the_broker():
    board = _Board()
    board.store.full = True
    assert not board.command(e4.commands.remove_topic("t"))
    assert board.call() == []
    board.store.full = False
    assert board.command(e4.commands.remove_topic("t"))
    assert board.call() == ["command"]


def test_what_finds_no_room_is_left_to_the_broker_and_read_later():
    board = _Board(max_bytes=300)
    payloads = [board.protected(bytes((i,)) * 100) for i in range(10)]
    taken = [board.arrive(payload) for payload in payloads]
    assert taken[0] and not taken[-1]
    # The application has not run since, so there is still no room.
    assert not board.inbox.wants_more()
    assert len(board.call()) == sum(taken)
    assert board.inbox.wants_more() and not board.inbox.wants_more()
    for payload in payloads[sum(taken) :]:
        assert board.arrive(payload, again=True)
        assert len(board.call()) == 1


def test_handlers_that_wait_are_bounded_in_number():
    board = _Board(max_bytes=100000)
    taken = sum(board.arrive(board.protected(bytes((i,)))) for i in range(100))
    assert 20 < taken < 100
    assert len(board.call()) == taken


def test_commands_find_room_where_messages_do_not():
    board = _Board(max_bytes=1000)
    while board.arrive(board.protected(b"m" * 100)):
        pass
    assert board.command(e4.commands.remove_topic("x"))
    for i in range(100):
        board.arrive(board.protected(bytes((i,))))
    assert not board.arrive(board.protected(b"more"))
    assert board.command(e4.commands.remove_topic("y"))
    taken = sum(board.command(e4.commands.remove_topic(str(i))) for i in range(100))
    # The room for commands is limited as well.
    assert 20 < taken < 100
    before = len(board.call())
    assert board.arrive(bytes(2000), board.client.receiving_topic) and len(board.call()) == 1 and before > taken


def test_an_error_that_nobody_foresaw_does_not_reach_the_link():
    board = _Board()

    def fail(*_):
        raise ValueError("on purpose")

    board.client.unprotect = fail
    assert board.arrive(b"x")
    assert board.call() == [ValueError]
    raises(ValueError, fail)


def test_what_would_not_return_is_not_waited_for():
    board = _Board(max_bytes=300)
    while board.arrive(board.protected(bytes(100)), qos=0):
        pass
    board.call()
    assert not board.inbox.wants_more()


class _ShortOfMemory(list):
    """A list that has no memory for the next so many items."""

    short = 0

    def append(self, item):
        if self.short:
            self.short -= 1
            raise MemoryError
        super().append(item)


def test_lack_of_memory_takes_no_room_away():
    board = _Board(max_bytes=8192)
    board.inbox._calls = _ShortOfMemory()
    for i in range(8):
        for short in (1, 2):
            board.inbox._calls.short = short
            try:
                board.arrive(board.protected(bytes((i, short)) * 1500))
            except MemoryError:  # It ends the connection.
                pass
    board.inbox._calls.short = 0
    board.call()
    message = b"m" * 3000
    assert board.arrive(board.protected(message)) and board.call() == [message]


def test_a_message_without_memory_for_its_handlers_is_not_lost_in_silence():
    for short in (1, 2):
        board = _Board()
        payload = board.protected(b"important")
        board.inbox._calls = _ShortOfMemory()
        board.inbox._calls.short = short
        try:
            assert board.arrive(payload)
        except MemoryError:
            assert board.arrive(payload, again=True)
        assert board.call() in ([b"important"], [MemoryError])


def test_a_command_without_memory_to_tell_of_it_is_told_of_when_it_comes_again():
    board = _Board()
    payload = e4.protect(e4.commands.set_topic_key(_TOPIC_KEY, "u"), _KEY, board.clock.now)
    board.inbox._calls = _ShortOfMemory()
    board.inbox._calls.short = 1
    board.clock.confirmed = None
    assert not board.arrive(payload, board.client.receiving_topic)
    assert board.client.holds_key("u") and board.call() == []
    assert board.arrive(payload, board.client.receiving_topic, again=True)
    assert board.call() == ["command"] and board.clock.confirmed == board.clock.now
    # Further copies are known.
    assert board.arrive(payload, board.client.receiving_topic, again=True) and board.call() == []


def _waits(board, time):
    """Leave a command to the broker, and return after how many seconds the board wants it again."""
    assert not board.command(e4.commands.remove_topic("t"))
    for seconds in range(3600):
        if board.inbox.wants_more():
            return seconds
        time.pass_ms(1000)
    return None


def test_a_command_that_cannot_be_taken_is_asked_for_less_often_once_it_is_old():
    with Time() as time:
        board = _Board()
        board.store.full = True
        assert [_waits(board, time) for _ in range(13)] == 10 * [60] + 3 * [600]
        board.store.full = False
        assert board.command(e4.commands.remove_topic("x"))
        board.store.full = True
        assert _waits(board, time) == 60
