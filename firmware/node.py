"""A node: one board on the message bus, run by a small loop.

node = Node()

@node.on("sensors/+/limit")
def limit(topic, message): ...

@node.every(60)
def reading():
    node.publish("sensors/lab", "21.5 C")

node.run()
"""

import binascii
import gc
import select
import time

import e4
from e4._const import const

from . import config, connection, inbox, send_queue, transport, watchdog
from .clock import Clock
from .errors import LinkDown, describe
from .handlers import Handlers
from .link import Link
from .ticks import Deadline

_TICK_MS = const(200)  # the longest that the loop waits for something to happen
_TIDY_AFTER_MS = const(30000)  # since the last command: cleaning up costs as much for one change as for many
_TIDY_AGAIN_MS = const(3600000)  # after a failure
_BUSY_MS = const(20)  # while something is under way that cannot be waited for
_BLIND_MS = const(5)  # between two looks at a connection that cannot be polled
_FAILED_MS = const(200)  # after a failure that should not be


class Node(Handlers):
    """A board's place on the bus, made from `/e4.json` and `/e4.keys`.

    `Node()` never fails for want of them: `run` says what is missing and returns, and the board is left to its
    serial console. Handlers are registered with the decorators `on`, `on_raw`, `on_command`, `on_refused`,
    `on_line` and `every`; one that raises is reported on the console and does not stop the node.
    """

    _commands = 0  # commands, when last looked
    _tidy_wait: Deadline | None = None  # since then no command has been applied
    _link: Link | None = None
    _stream = None  # the stream that the poller knows, unless
    _is_blind = True  # it cannot be polled, or is not there: look at it instead

    def __init__(self) -> None:
        self.config = config.load()
        self.clock = Clock(self.config)
        self.problems = self.config.problems
        self.topics = self.config.topics
        self.client = None if self.problems else self._load_client()
        super().__init__(inbox.Inbox(self.client, self.clock, 2 * self.config.max_message))
        self._queue = send_queue.SendQueue(self.client, self.config.queue_messages, self.config.queue_bytes)

    def _load_client(self):
        """Return the client that the store knows, or None with a line added to `problems`."""
        try:
            self._store = store = e4.FileStore(config.KEYS_PATH)
            name = e4.id_of(self.config.name)
            receiving_topic = self.config.receiving_topic or e4.receiving_topic(name)
            client = e4.Client(
                name,
                None,
                store,
                self.clock,
                receiving_topic,
                future_tolerance=self.config.future_tolerance,
                max_command_age=self.config.max_command_age,
                evidence=self.clock.weigh,
            )
            self.clock.raise_floor(client.floor)
            return client
        except e4.E4Error as error:
            problem = "{}: {}".format(type(error).__name__, error)
            if isinstance(error, e4.InvalidKey):
                problem = "there is no {}: the board has no key".format(config.KEYS_PATH)
            self.problems.append(problem)
            return None

    # Sending

    def publish(self, topic: str, message: bytes | str, retain: bool = False, qos: int = 1) -> bool:
        """Protect `message` and publish it; return whether the broker has it (with QoS 0: whether it is on its way).

        If not, because there is no connection or it fails meanwhile, the message waits and is sent later, unless
        too many others follow: then the oldest ones give way. Raises E4Error (TopicKeyNotFound, ...) for a message
        that cannot be sent, and LinkDown for one that gave way.
        """
        outgoing = self.post(topic, message, retain, qos)
        for _ in self._watch(outgoing):
            self._advance(self._link)
            self._watchdog.feed()
            if not outgoing.done and outgoing.error is None:
                self._wait(self._idle_ms())
        return outgoing.result()

    def _watch(self, outgoing: send_queue.OutgoingMessage):
        """A generator: it yields as long as waiting for a message makes sense.

        The message counts as watched meanwhile. Waiting ends with its outcome, with the connection, or after
        `broker.patience` seconds.
        """
        patience = Deadline(self.config.patience * 1000)
        outgoing.is_watched = True
        try:
            while (
                self._link is not None
                and self._link.is_up
                and not outgoing.done
                and outgoing.error is None
                and not patience.is_over()
            ):
                yield
        finally:
            outgoing.is_watched = False

    def post(self, topic: str, message: bytes | str, retain: bool = False, qos: int = 1) -> send_queue.OutgoingMessage:
        """Put a message into the queue, and return at once. Raises as `publish`; what it returns tells how it fares."""
        if self.client is None:
            raise LinkDown("this board is not ready; nothing was sent")
        if qos not in (0, 1):
            raise ValueError("QoS 0 or 1 is possible; nothing was sent")
        if "+" in topic or "#" in topic:
            raise e4.InvalidTopic("a topic filter is for subscribing; nothing was sent")
        if isinstance(message, str):
            message = message.encode()
        elif not isinstance(message, (bytes, bytearray, memoryview)):
            raise TypeError("a message is str or bytes; nothing was sent")
        if not message:
            raise e4.TooShort("an empty message cannot be protected; nothing was sent")
        at_once = self._link is not None and self._link.is_up and not len(self._queue)
        if not at_once and not self.client.holds_key(topic):  # or else sending it will tell
            raise send_queue.no_key(topic)
        dropped = self._queue.dropped
        outgoing = self._queue.add(topic, bytes(message), retain, qos)
        if self._queue.dropped != dropped:
            print("* not sent: the queue is full; messages that gave way so far: {}".format(self._queue.dropped))
        return outgoing

    def _idle_ms(self) -> int:
        """Return for how many ms there is nothing to do for the network if nothing arrives."""
        link = self._link
        if link is None or link.has_more:
            return 0
        if link.is_up and self._is_blind:
            return _BLIND_MS
        return _BUSY_MS if not link.is_up or self._queue.is_ready(link) else _TICK_MS

    # Running

    def run(self) -> None:
        """Serve console, clock and broker until Ctrl-C or `stop`; return at once if the board is not ready."""
        if not self.start():
            return
        try:
            while self._link is not None:
                self._cycle()
        finally:
            self.stop()

    def _cycle(self, most: int = _TICK_MS) -> None:
        """Serve everything, and wait for more, `most` ms at most. Survives whatever fails, as lack of memory."""
        try:
            self._wait(min(self.step(), most))
        except Exception as error:  # the watchdog was not fed: if it goes on like that, it resets the board
            gc.collect()
            print("* something failed; connecting again:", describe(error))
            if self._link is not None:
                self._link.close()
            time.sleep_ms(_FAILED_MS)

    def start(self) -> bool:
        """Begin; or say what is missing, and return False."""
        if self.client is None:
            print("This board is not ready:")
            for problem in self.problems:
                print("-", problem)
            print("Provision it over this serial port, then reset it.")
            return False
        # A client identifier of 23 characters at most is for any broker (MQTT 3.1.1 section 3.1.3.1).
        client_id = "e4" + binascii.hexlify(self.client.id).decode()[:20]
        link = Link(client_id, self.config, self._inbox.receive, _print_answer)
        self._poller = select.poll()
        if not self._editor.has_ended:
            self._poller.register(self._editor.stream, select.POLLIN)
        self._watchdog = watchdog.Watchdog(self.config.watchdog)
        self._connection = connection.Connection(
            self.config,
            self.clock,
            link,
            self._topic_filters,
            self._queue.interrupt,
            self._inbox.wants_more,
        )
        self._link = link
        return True

    def step(self) -> int:
        """Serve everything once, without waiting; return for how many ms there is nothing to do if nothing arrives."""
        link = self._link
        if link is None:
            return _TICK_MS
        self._advance(link)
        self.clock.is_due()  # so that it counts on, network or not
        self._call_waiting()
        self._call_periodic(link.is_up)
        more = link.is_up and self._tidy()
        self._watchdog.feed()
        return _BUSY_MS if more else self._idle_ms()

    def stop(self) -> None:
        """Leave the network. The broker is not told, so that it publishes our last will."""
        if self._link is not None:
            self._connection.end()
            self._poll(None)
            self._link = None
            self._watchdog.leave()

    def _advance(self, link) -> None:
        """Serve the network once: connect, receive, send."""
        self._connection.step()
        if link.stream is not self._stream:
            self._poll(link.stream)
        if not link.is_up:
            return
        self._watchdog.note_broker()
        try:
            refused = self._queue.step(link, self.clock)
            if refused is not None and not refused.is_watched:
                print("* not sent on {}: {}".format(refused.topic, describe(refused.error)))
        except Exception as error:  # LinkDown, OSError; MemoryError
            print("* sending failed:", describe(error))
            link.close()  # which the next step notices

    def _poll(self, stream) -> None:
        """Have `_wait` end when something arrives on this stream, and no longer on the one before."""
        if not self._is_blind:
            self._poller.unregister(self._stream)
        self._stream = stream
        self._is_blind = stream is None or transport.is_ready(stream, select.POLLIN) is None
        if not self._is_blind:
            self._poller.register(stream, select.POLLIN)

    def _topic_filters(self) -> list:
        """Return the topic filters to subscribe to, our receiving topic first, each once."""
        wanted = [self.client.receiving_topic]  # type: ignore[union-attr]
        for topic_filter in self.topics + [topic_filter for topic_filter, _ in self._inbox.handlers]:
            if topic_filter is not None and topic_filter not in wanted:
                wanted.append(topic_filter)
        return wanted

    def _wait(self, milliseconds: int) -> None:
        """Wait until something arrives or is typed."""
        for stream, _event in self._poller.ipoll(milliseconds):
            if stream is self._editor.stream:
                line = self._editor.read_line()
                if self._editor.has_ended:  # nobody will ever type: not on a board, but where input comes from a file
                    self._poller.unregister(stream)
                if line and self._on_line is not None:
                    self._inbox.call_later(self._on_line, line)

    def _tidy(self) -> bool:
        """Clean up a little in flash while there is time; return whether there is more to do."""
        applied = self.client.applied  # type: ignore[union-attr]
        if applied != self._commands:
            self._commands = applied
            self._tidy_wait = Deadline(_TIDY_AFTER_MS)
        if self._tidy_wait is not None:
            if not self._tidy_wait.is_over():
                return False
            self._tidy_wait = None  # and not looked at again: ticks wrap
        try:
            return self._store.tidy(1)
        except (e4.StoreError, MemoryError) as error:  # what is left over does not hurt, so it can wait
            print("* cleaning up failed:", describe(error))
            self._tidy_wait = Deadline(_TIDY_AGAIN_MS)
            return False


def _print_answer(topic_filter: str, allowed: bool) -> None:
    print("> subscribed to MQTT topic" if allowed else "* the broker refuses our subscription to", topic_filter)
