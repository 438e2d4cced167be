"""A node is one board on the message bus. A small loop serves its network, its console and its application.

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

from . import config, connection, handlers, inbox, link, send_queue, transport, watchdog
from .clock import Clock
from .errors import LinkDown, describe
from .ticks import Deadline

# The longest time that the loop waits for something to happen.
_TICK_MS = const(200)
# The time from the last command until the store is tidied: tidying costs as much after one command as after many.
_TIDY_AFTER_MS = const(30000)
# The time until tidying is tried again after it has failed.
_TIDY_AGAIN_MS = const(3600000)
# The wait between two steps while something is under way that the poller does not report.
_BUSY_MS = const(20)
# The wait between two reads of a connection that cannot be polled.
_BLIND_MS = const(5)
# The pause after a failure that nobody foresaw, so that one that repeats does not flood the console.
_FAILED_MS = const(200)


class Node(handlers.Handlers):
    """A board's place on the message bus, made from `/e4.json` and `/e4.keys`.

    `Node()` does not raise if one of these files is missing or wrong: `run` prints what is missing and returns, and
    the board can be provisioned over its serial port. Where it fails for another reason, such as lack of memory, the
    board is reset after a minute (see `watchdog.reset_later`). Applications register handlers with the decorators `on`,
    `on_raw`, `on_command`, `on_refused`, `on_line` and `every`. What a handler raises is printed on the console and
    does not stop the node.

    Applications may read `config`, `clock`, `problems`, `topics` and `client`.
    """

    # The number of commands that the client had applied when `_tidy` last looked; `_tidy` sets it.
    _commands = 0
    # The wait before the store is tidied. `_tidy` starts it after a command or a failure, and sets it to None when it
    # is over.
    _tidy_wait: Deadline | None = None
    # The session with the broker; `start` creates it, `stop` sets it to None. It is not None while the node runs.
    _link: link.Link | None = None
    # The stream of the link, or None, as `_register` saw it last.
    _stream = None
    # True if `_stream` is missing or cannot be polled; `_register` sets it. `_wait` then cannot be woken by the
    # network.
    _is_blind = True

    def __init__(self) -> None:
        try:
            self._load()
        except Exception as error:
            watchdog.reset_later(error)

    def _load(self) -> None:
        """Read configuration and keys, and make all parts that exist before the node runs."""
        # The configuration; `problems` has a line for everything that keeps this board from being a node.
        self.config = config.load()
        self.clock = Clock(self.config)
        self.problems = self.config.problems
        # The topic filters of the configuration.
        self.topics = self.config.topics
        # The `e4.Client`, or None if there are problems.
        self.client = None if self.problems else self._load_client()
        super().__init__(inbox.Inbox(self.client, self.clock, 2 * self.config.max_message))
        # The messages that wait to be sent.
        self._queue = send_queue.SendQueue(self.client, self.config.queue_messages, self.config.queue_bytes)

    def _load_client(self) -> e4.Client | None:
        """Return the client whose keys are in the store. If there is none, return None and add a line to `problems`.

        Raises StoreError if the flash cannot be read or written now.
        """
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
                key_transition=self.config.key_transition,
                max_command_age=self.config.max_command_age,
                evidence=self.clock.weigh,
            )
            self.clock.raise_floor(client.floor)
            return client
        except e4.E4Error as error:
            if isinstance(error, e4.StoreError) and not isinstance(error, e4.StoreCorrupt):
                raise  # The flash may be read after a reset.
            problem = "{}: {}".format(type(error).__name__, error)
            if isinstance(error, e4.InvalidKey):
                problem = "there is no {}: the board has no key".format(config.KEYS_PATH)
            self.problems.append(problem)
            return None

    # Sending

    def publish(self, topic: str, message: bytes | str, retain: bool = False, qos: int = 1) -> bool:
        """Protect `message` and publish it; return whether the broker has it (with QoS 0: whether it is on its way).

        False means that there is no connection, that it failed meanwhile, or that the broker did not answer within
        `broker.patience` seconds. The message then stays in the queue and is sent later. If the queue is full, its
        oldest messages give way to newer ones.

        `message` is str or bytes and must not be empty. `qos` is 0 or 1. Raises E4Error (TopicKeyNotFound, ...) for a
        message that cannot be sent, LinkDown if the message gave way to newer ones or if the board is not ready, and
        ValueError or TypeError for wrong arguments.
        """
        outgoing = self.post(topic, message, retain, qos)
        waiting = self._watch(outgoing)
        try:
            for _ in waiting:
                self._serve_network(self._link)
                self._watchdog.feed()
                if not outgoing.done and outgoing.error is None:
                    self._wait(self._idle_ms())
        finally:
            waiting.close()  # Without this a message would stay watched if the wait has failed.
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
        """Put a message into the queue, and return at once. Raises as `publish` does.

        The object returned has `done`, which becomes True once the broker has the message (with QoS 0: once the
        network has it), and `error`, which becomes the exception that says why it will never be sent.
        """
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
        # A message that is sent at once needs no look-up here: sending it finds out that the key is missing.
        if not at_once and not self.client.holds_key(topic):
            raise send_queue.no_key(topic)
        dropped = self._queue.dropped
        outgoing = self._queue.add(topic, bytes(message), retain, qos)
        if self._queue.dropped != dropped:
            print("* not sent: the queue is full; messages that gave way so far: {}".format(self._queue.dropped))
        return outgoing

    def _idle_ms(self) -> int:
        """Return the milliseconds for which there is nothing to do for the network unless something arrives."""
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
        """Serve everything once, then wait up to `most` milliseconds until something arrives or is typed.

        A failure that nobody foresaw, such as lack of memory, ends the connection and not the loop.
        """
        try:
            self._wait(min(self.step(), most))
        except Exception as error:  # The watchdog is not fed here, so that it resets a board on which this repeats.
            if self._link is not None:
                self._link.close()
            gc.collect()
            try:
                print("* something failed; connecting again:", describe(error))
            except Exception:  # noqa: S110 (without memory even for the text, the loop must go on all the same)
                pass
            time.sleep_ms(_FAILED_MS)

    def start(self) -> bool:
        """Make the node ready to `step`. If the board is not ready, print what is missing and return False."""
        if self.client is None:
            print("This board is not ready:")
            for problem in self.problems:
                print("-", problem)
            print("Provision it over this serial port, then reset it.")
            return False
        try:
            self._make_link()
        except Exception as error:
            watchdog.reset_later(error)
        return True

    def _make_link(self) -> None:
        """Make all parts that exist while the node runs. If that fails, nothing has begun."""
        # Brokers may refuse a client identifier of more than 23 characters (MQTT 3.1.1 section 3.1.3.1).
        client_id = "e4" + binascii.hexlify(self.client.id).decode()[:20]  # type: ignore[union-attr]
        session = link.Link(client_id, self.config, self._inbox.receive, _print_answer)
        self._poller = select.poll()
        if not self._editor.has_ended:
            self._poller.register(self._editor.stream, select.POLLIN)
        self._connection = connection.Connection(
            self.config,
            self.clock,
            session,
            self._topic_filters,
            self._queue.interrupt,
            self._inbox.wants_more,
        )
        self._watchdog = watchdog.Watchdog(self.config.watchdog)
        self._link = session

    def step(self) -> int:
        """Serve everything once, without waiting.

        Returns the milliseconds for which there is nothing to do unless something arrives.
        """
        link = self._link
        if link is None:
            return _TICK_MS
        self._serve_network(link)
        # The clock counts its ticks here. Without this call they would wrap while there is no network.
        self.clock.is_due()
        # What is stamped later than the clock shows, but not later than the time may be, is not from the future.
        self.client.future_tolerance = self.config.future_tolerance + self.clock.width // 1000  # type: ignore[union-attr]
        self._call_waiting()
        self._call_periodic(link.is_up)
        more = link.is_up and self._tidy()
        self._watchdog.feed()
        return _BUSY_MS if more else self._idle_ms()

    def stop(self) -> None:
        """Close the connection without a DISCONNECT, so that the broker publishes the last will on `status_topic`."""
        if self._link is not None:
            try:
                self._connection.end()
                self._register(None)
                self._link = None
            finally:
                self._watchdog.leave()

    def _serve_network(self, link) -> None:
        """Serve the network once: connect, receive and send what is possible now."""
        self._connection.step()
        if link.stream is not self._stream:
            self._register(link.stream)
        if not link.is_up:
            return
        self._watchdog.note_broker()
        try:
            refused = self._queue.step(link, self.clock)
            if refused is not None and not refused.is_watched:
                print("* not sent on {}: {}".format(refused.topic, describe(refused.error)))
        except Exception as error:  # LinkDown, OSError or MemoryError
            link.close()  # The next step of the connection finds it closed and connects again.
            print("* sending failed:", describe(error))

    def _register(self, stream) -> None:
        """Let `_wait` end when something arrives on `stream` (None: on no stream), and forget the stream before it."""
        if not self._is_blind:
            self._is_blind = True
            self._poller.unregister(self._stream)
        self._stream = stream
        if stream is not None and transport.is_ready(stream, select.POLLIN) is not None:
            self._poller.register(stream, select.POLLIN)
            self._is_blind = False  # This comes last: if it were wrong, nothing that arrives would end a wait.

    def _topic_filters(self) -> list[str]:
        """Return the topic filters to subscribe to, each once. The receiving topic of the client comes first."""
        wanted = [self.client.receiving_topic]  # type: ignore[union-attr]
        for topic_filter in self.topics + [topic_filter for topic_filter, _ in self._inbox.handlers]:
            if topic_filter is not None and topic_filter not in wanted:
                wanted.append(topic_filter)
        return wanted

    def _wait(self, milliseconds: int) -> None:
        """Wait up to so many milliseconds until something arrives or is typed; take what is typed."""
        for stream, _event in self._poller.ipoll(milliseconds):
            if stream is self._editor.stream:
                line = self._editor.read_line()
                if self._editor.has_ended:  # The input is a file: not on a board, but in tests.
                    self._poller.unregister(stream)
                if line and self._on_line is not None:
                    self._inbox.call_later(self._on_line, line)

    def _tidy(self) -> bool:
        """Take one step of tidying the store if the last command is long ago; return whether there is more to do."""
        applied = self.client.applied  # type: ignore[union-attr]
        if applied != self._commands:
            self._commands = applied
            self._tidy_wait = Deadline(_TIDY_AFTER_MS)
        if self._tidy_wait is not None:
            if not self._tidy_wait.is_over():
                return False
            self._tidy_wait = None  # A deadline that is kept for days would be wrong, because ticks wrap.
        try:
            return self._store.tidy(1)
        except (e4.StoreError, MemoryError) as error:  # The store works untidied, so this can wait.
            self._tidy_wait = Deadline(_TIDY_AGAIN_MS)
            print("* cleaning up failed:", describe(error))
            return False


def _print_answer(topic_filter: str, allowed: bool) -> None:
    """Print what the broker has answered to a subscription."""
    print("> subscribed to MQTT topic" if allowed else "* the broker refuses our subscription to", topic_filter)
