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
import select
import sys
import time

import e4
from firmware import config, console, wifi
from firmware.clock import Clock, TimeServerError
from firmware.filters import matches
from firmware.link import Link, LinkDown

_TICK_MS = 200  # the longest that the loop waits for something to happen
_RETRY_MS = 1000  # before the second attempt to connect; doubled up to the next
_RETRY_LIMIT_MS = 60000
_MAX_WAITING = 64  # calls of handlers that may wait while a message is being sent


class Node:
    """A board's place on the bus, made from `/e4.json` and `/e4.keys`.

    `Node()` never fails for want of them: `run` says what is missing and returns, and the board is left to its
    serial console. Handlers are registered with the decorators `on`, `on_raw`, `on_command`, `on_refused`,
    `on_line` and `every`; one that raises is reported on the console and does not stop the node.
    """

    def __init__(self) -> None:
        self.config = config.load()
        self.clock = Clock(self.config)
        self.problems = self.config.problems
        self.topics = self.config.topics
        self.client = None if self.problems else self._load_client()
        self._link: Link | None = None
        self._console = console.Console()
        self._handlers: list = []  # (topic filter or None, handler)
        self._raw = self._command = self._refused = self._typed = None
        self._periodic: list = []  # [handler, period in ms, ms left until the next call]
        self._last_tick = time.ticks_ms()
        self._waiting: list = []  # (handler, arguments), of what arrived
        self._lost = 0

    def _load_client(self):
        """Return the client that the store knows, or None with a line added to `problems`."""
        try:
            store = e4.FileStore(config.KEYS_PATH)
            if not store.names():
                self.problems.append("there is no {}: the board has no key".format(config.KEYS_PATH))
                return None
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
                evidence=self.clock.evidence,
            )
            self.clock.raise_floor(client.floor)
            return client
        except e4.E4Error as error:
            self.problems.append("{}: {}".format(type(error).__name__, error))
            return None

    # Handlers

    def on(self, topic_filter: str | None = None):
        """Register `handler(topic, message)` for unprotected messages, and subscribe to `topic_filter`.

        Without a topic filter the handler gets what arrives on every topic subscribed to. `topic` is text,
        `message` bytes.
        """

        def register(handler):
            self._handlers.append((topic_filter, handler))
            return handler

        return register

    def on_raw(self, handler):
        """Register `handler(topic, payload)` for everything that arrives, as it arrives."""
        self._raw = handler
        return handler

    def on_command(self, handler):
        """Register `handler()`, called when a command has been applied."""
        self._command = handler
        return handler

    def on_refused(self, handler):
        """Register `handler(topic, error)` for what could not be unprotected."""
        self._refused = handler
        return handler

    def on_line(self, handler):
        """Register `handler(line)` for lines typed on the serial console."""
        self._typed = handler
        return handler

    def every(self, seconds: int):
        """Register `handler()`, called every so many seconds while the node is connected."""

        def register(handler):
            self._periodic.append([handler, seconds * 1000, seconds * 1000])
            return handler

        return register

    # Sending

    def publish(self, topic: str, message: bytes | str, retain: bool = False, qos: int = 1) -> None:
        """Protect `message` and publish it; with QoS 1, wait until the broker has it.

        Raises E4Error (TopicKeyNotFound, ClockNotSet, ...) or LinkDown; then nothing was sent.
        """
        if self.client is None or self._link is None or not self._link.up:
            raise LinkDown("not connected to the broker; nothing was sent")
        if "+" in topic or "#" in topic:
            raise e4.InvalidTopic("a topic filter is for subscribing; nothing was sent")
        payload = self.client.protect_message(message, topic)
        self._link.publish(topic.encode(), payload, retain, qos)

    # Running

    def run(self) -> None:
        """Serve console, clock and broker until Ctrl-C; return at once if the board is not ready."""
        if self.client is None:
            print("This board is not ready:")
            for problem in self.problems:
                print("-", problem)
            print("Provision it over this serial port, then reset it.")
            return
        self._link = link = Link(_client_id(self.client), self.config, self._arrived)
        retry_ms = _RETRY_MS
        while True:
            try:
                self._connect(link)
                retry_ms = _RETRY_MS
                self._serve(link)
            except Exception as error:  # umqtt raises IndexError, AssertionError and more on a bad packet
                print("* connection lost or not made:", _described(error))
            link.close()
            print("* trying again in {} s".format(retry_ms // 1000))
            self._wait(retry_ms)
            retry_ms = min(2 * retry_ms, _RETRY_LIMIT_MS)

    def _connect(self, link: Link) -> None:
        address = wifi.join(self.config.ssid, self.config.wifi_password)
        print("* WiFi: {} as {}".format(self.config.ssid, address))
        self._synchronise()
        if not self.config.time_from_commands:
            self.clock()  # without the time no command could be judged, and an acknowledged one does not return
        link.open()
        print("* connected to {}:{}".format(self.config.host, self.config.port))
        for topic_filter in self._subscriptions():
            if link.subscribe(topic_filter.encode()):
                print("> subscribed to MQTT topic", topic_filter)
            else:
                print("* the broker refuses our subscription to", topic_filter)
        self._call_waiting()

    def _synchronise(self) -> None:
        if self.clock.due():
            try:
                self.clock.synchronise()
            except TimeServerError as error:
                print("* time:", error)

    def _subscriptions(self) -> list:
        """Return the topic filters to subscribe to, our receiving topic first, each once."""
        wanted = [self.client.receiving_topic] if self.client is not None else []
        for topic_filter in self.topics + [topic_filter for topic_filter, _ in self._handlers]:
            if topic_filter is not None and topic_filter not in wanted:
                wanted.append(topic_filter)
        return wanted

    def _serve(self, link: Link) -> None:
        """Run until the connection fails with an exception."""
        poller = self._poller(link.socket)
        while True:
            for stream, _event in poller.ipoll(_TICK_MS):
                if stream is link.socket:
                    link.receive()
                else:
                    self._read_console(poller)
                self._call_waiting()
            if not link.up:
                raise LinkDown("it failed while sending")
            link.keep_alive()
            if not wifi.connected():
                raise LinkDown("WiFi is gone")
            self._synchronise()
            self._count_down()
            self._call_periodic()
            self._call_waiting()

    def _wait(self, milliseconds: int) -> None:
        """Serve the console alone for a while."""
        poller = self._poller(None)
        started = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), started) < milliseconds:
            for _ in poller.ipoll(_TICK_MS):
                self._read_console(poller)
            self._count_down()

    def _poller(self, socket):
        poller = select.poll()
        if not self._console.at_end:
            poller.register(self._console.stream, select.POLLIN)
        if socket is not None:
            poller.register(socket, select.POLLIN)
        return poller

    def _read_console(self, poller) -> None:
        line = self._console.read_line()
        if self._console.at_end:  # nobody will ever type: not on a board, but where input comes from a file
            poller.unregister(self._console.stream)
        if line and self._typed is not None:
            self._call(self._typed, line)

    def _count_down(self) -> None:
        """Count the time since the last call off all periods; a period may be longer than ticks can tell apart."""
        self.clock.due()  # so that it counts on, network or not
        now = time.ticks_ms()
        passed = time.ticks_diff(now, self._last_tick)
        self._last_tick = now
        for entry in self._periodic:
            entry[2] = max(0, entry[2] - passed)

    def _call_periodic(self) -> None:
        for entry in self._periodic:
            if entry[2] == 0:
                entry[2] = entry[1]
                self._call(entry[0])

    def _call(self, handler, *arguments) -> None:
        """Call a handler of the application; report what it raises."""
        try:
            handler(*arguments)
        except e4.E4Error as error:
            print("* not done:", _described(error))
        except LinkDown as error:
            print("* not sent:", error)
        except Exception as error:
            print("* a handler failed:")
            sys.print_exception(error)

    def _later(self, handler, *arguments) -> None:
        """Have a handler called once nothing is being sent: it may want to send something itself."""
        if handler is None:
            return
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append((handler, arguments))
        else:
            self._lost += 1

    def _call_waiting(self) -> None:
        """Call the handlers of what has arrived, in order; those of what arrives meanwhile as well."""
        while self._waiting:
            handler, arguments = self._waiting.pop(0)
            self._call(handler, *arguments)
        if self._lost:
            print("* too much arrived at once: {} calls of handlers were left out".format(self._lost))
            self._lost = 0

    def _arrived(self, topic: bytes, payload: bytes | None, size: int) -> None:
        """Apply a command at once; unprotect a message at once and have it handed out later."""
        name = console.text(topic)
        if self.client is None or payload is None:
            print("* skipped on {}: {} bytes are too much for this board".format(name, size))
            return
        self._later(self._raw, name, payload)
        try:
            message = self.client.unprotect(payload, topic)
        except (e4.E4Error, MemoryError) as error:
            self._later(self._refused or self._print_refused, name, error)
            return
        self.clock.confirm(int.from_bytes(payload[:8], "little"))
        if message is None:
            self.clock.raise_floor(self.client.floor)
            self._later(self._command)
            return
        for topic_filter, handler in self._handlers:
            if topic_filter is None or matches(topic_filter, name):
                self._later(handler, name, message)

    def _print_refused(self, name: str, error) -> None:
        print("* refused on {}: {}".format(name, _described(error)))


def _client_id(client) -> str:
    """Return the MQTT client identifier: 23 characters at most, for any broker (MQTT 3.1.1 section 3.1.3.1)."""
    return "e4" + binascii.hexlify(client.id).decode()[:20]


def _described(error) -> str:
    """Return what is known of an exception; many have no text of their own."""
    text = str(error)
    if isinstance(error, (e4.E4Error, wifi.WiFiError, LinkDown)):
        return text or type(error).__name__
    return "{} {}".format(type(error).__name__, text)
