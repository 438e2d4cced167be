"""The way of a board to its broker: WiFi, time, broker, and all of it again when something fails."""

import os

from e4 import ClockNotSet
from e4._const import const

from . import dns, ticks, transport, wifi
from .errors import LinkDown, describe

# Error numbers of an ESP32 and of Linux. To import them from `errno` would cost more room in flash and heap, and a port
# on which they differ only loses a better text.
_ECONNREFUSED = const(111)
_ECONNRESET = const(104)
# The pause before the second attempt to connect, and the longest pause: each failure doubles it. No `const`: the tests
# of faults replace both, because a pause that doubles would make them take hours.
_RETRY_MS = 1000
_RETRY_LIMIT_MS = 60000
# The time until a subscription that the broker has refused is tried again.
_REFUSED_MS = const(3600000)
# A connection that has lasted this long was a good one: the next pause is a short one.
_LASTING_MS = const(10000)


class Connection:
    """A connection to the broker that is made again when it has ended.

    `step` does not wait, with two exceptions: it waits up to 0.1 s for the answer of a time server, and as long as the
    system takes to look up a host name without a dot or one that ends in `.local`.

    `on_lost` is called when a connection has ended or an attempt to make one has failed. `wants_more` tells whether the
    board wants another connection, on which the broker delivers again what could not be taken.
    """

    def __init__(self, config, clock, link, topic_filters, on_lost, wants_more) -> None:  # noqa: PLR0913
        self._config = config
        self._clock = clock
        self._link = link
        self.topic_filters = topic_filters
        self.on_lost = on_lost
        self.wants_more = wants_more
        # The generator that leads the current connection; a failure replaces it.
        self._steps = self._run()
        # The longest that the next pause may be.
        self._retry_ms = _RETRY_MS
        # True if the last connection was ended only to have messages of the session delivered again; `_serve` sets it.
        self._redeliver = False

    def step(self) -> None:
        """Do what can be done now. A failure is printed and ends the connection.

        Nothing is raised, unless there is no memory to handle a failure. The next step then does that.
        """
        try:
            next(self._steps)
        except Exception as error:  # Drivers may raise anything.
            # This comes first, because it only clears a flag and so cannot fail. If it were left out, a message that
            # was never confirmed would count as delivered on the next connection.
            self.on_lost()
            early = not self._link.is_connected
            self._link.close()
            # The generator that failed has ended. If there is no memory for its successor, the next step fails as well.
            self._steps = self._run(self._pause())
            if early:
                dns.forget(self._config.host)  # The broker may have moved to another address.
            print("* connection lost or not made:", self._explain(error, early))

    def end(self) -> None:
        """End the connection for good, or the attempt to make one."""
        self.on_lost()
        self._link.close()
        self._steps.close()

    def _run(self, pause=()):
        """A generator: it connects and serves until something fails with an exception, and yields while it waits."""
        self._time = self._keep_time()  # A failure may have ended the one before.
        yield from pause
        yield from self._connect()
        yield from self._serve()

    def _connect(self):
        """A generator: it joins WiFi, gets the time, opens the session and subscribes; it yields while it waits."""
        config, link = self._config, self._link
        address = yield from wifi.join(config.ssid, config.wifi_password)
        print("* WiFi: {} as {}".format(config.ssid, address))
        while self._clock.is_due():
            next(self._time)
            yield
        self._check_time()
        link.open((yield from transport.open_stream(config.host, config.port, config.ca, config.patience * 1000)))
        while not link.is_connected:
            link.step()
            yield
        print("* connected to {}:{}".format(config.host, config.port))
        # After a connection that was ended only for redelivery, the subscriptions of the session still hold. To
        # subscribe again would bring one more copy of every retained message each time, until the broker has so many
        # messages under way that nothing else arrives. With a refused subscription the filters are sent again, so that
        # the refusal is noticed again.
        if not (self._redeliver and link.has_session):
            link.subscribe(self.topic_filters())
        self._redeliver = False
        while not link.is_up:
            link.step()
            yield
        if config.status_topic:
            link.publish(config.status_topic.encode(), b"online", True, 1)

    def _serve(self):
        """A generator: it serves link and clock until something ends the connection, and yields after each step."""
        good = ticks.Deadline(_LASTING_MS)
        while True:
            self._link.step()
            if good.is_over():
                self._retry_ms = _RETRY_MS
            if not wifi.is_connected():
                raise LinkDown("WiFi is gone")
            if self._link.is_refused and good.elapsed() >= _REFUSED_MS:
                raise LinkDown("the broker is asked again for what it refused")
            if self.wants_more():
                self._redeliver = not self._link.is_refused
                raise LinkDown("the broker is asked again for what could not be taken")
            next(self._time)
            yield

    def _pause(self):
        """A generator: it yields until the next attempt is due. The pause is random, so that boards come one by one."""
        # Half of the pause to all of it, at random.
        milliseconds = self._retry_ms * (256 + os.urandom(1)[0]) >> 9
        print("* trying again in {}.{} s".format(milliseconds // 1000, milliseconds // 100 % 10))
        self._retry_ms = min(2 * self._retry_ms, _RETRY_LIMIT_MS)
        pause = ticks.Deadline(milliseconds)
        while not pause.is_over():
            yield

    def _keep_time(self):
        """A generator without an end: it asks the time servers whenever that is due, and yields while it waits."""
        while True:
            if self._clock.is_due():
                try:
                    yield from self._clock.synchronise()
                except Exception as error:
                    print("* time:", describe(error))
            yield

    def _check_time(self) -> None:
        """Raise ClockNotSet if the time is not known and no command may set it.

        Without the time the board would have to refuse commands that the broker does not deliver again. TLS needs it
        as well, to check the certificate, so that no first command can arrive.
        """
        try:
            self._clock()
        except ClockNotSet as error:
            if not self._config.time_from_commands:
                raise
            if self._config.ca:
                raise ClockNotSet(str(error) + "; TLS needs it") from None

    def _explain(self, error: Exception, early: bool) -> str:
        """Return what a failure means; `early` says that the broker had not accepted us."""
        if self._config.ca:
            from . import secure  # noqa: PLC0415 (without TLS it would only take heap)

            refusal = secure.refusal(error)
            if refusal:
                return refusal + (" (" + self._config.host + ")" if "expected CN" in refusal else "")
        why = describe(error)
        if type(error) is not OSError:
            return why
        if error.errno == _ECONNREFUSED:  # Its text is only a number.
            why = "refuses the connection"
        elif error.errno == _ECONNRESET and early:
            why = "ends the connection at once; is TLS spoken on one side only?"
        return "{}:{} {}".format(self._config.host, self._config.port, why)
