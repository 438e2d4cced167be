"""The life of a board on its network: WiFi, time, broker, and all of it again when something fails."""

import os
from errno import ECONNREFUSED, ECONNRESET

from e4 import ClockNotSet
from e4._const import const

from . import dns, link, transport, wifi
from .errors import LinkDown, describe
from .ticks import Deadline

_RETRY_MS = 1000  # before the second attempt to connect; doubled up to the next
_RETRY_LIMIT_MS = 60000
_REFUSED_MS = const(3600000)  # until a subscription that the broker refuses is tried again
_LASTING_MS = const(10000)  # a connection that has lived for so long was a good one


class Connection:
    """Connects and connects again, step by step: `step` never waits, but up to 0.1 s for a time server.

    `on_lost` is called when a connection has ended. `wants_more` tells whether the board wants another connection on
    which the broker delivers messages again that found no room.
    """

    def __init__(self, config, clock, link: link.Link, topic_filters, on_lost, wants_more) -> None:  # noqa: PLR0913
        self._config = config
        self._clock = clock
        self._link = link
        self.topic_filters = topic_filters
        self.on_lost = on_lost
        self.wants_more = wants_more
        self._steps = self._run()
        self._retry_ms = _RETRY_MS
        self._redeliver = False  # the last connection was given up for what the session holds

    def step(self) -> None:
        """Do what can be done now."""
        try:
            next(self._steps)
        except Exception as error:  # ours, or what the drivers raise
            self._steps = self._run(self._pause())  # first of all: whatever else fails, the next step goes on with it
            early = not self._link.is_connected
            if early:
                dns.forget(self._config.host)  # who answers there may not be the broker
            self._link.close()
            self.on_lost()
            print("* connection lost or not made:", self._explain(error, early))

    def end(self) -> None:
        """Give up the connection there is, or is being made, for good."""
        self._steps.close()
        self._link.close()
        self.on_lost()

    def _run(self, pause=()):
        """Run until the connection fails with an exception; yield whenever there is nothing to do."""
        self._time = self._keep_time()  # anew, as a failure may have ended it
        yield from pause
        yield from self._connect()
        yield from self._serve()

    def _connect(self):
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
        # Not where we only want the session's messages again: it would get one more copy of all that is retained, each
        # time, until the broker has so many under way that nothing else arrives.
        if not (self._redeliver and link.has_session):
            link.subscribe(self.topic_filters())
        self._redeliver = False
        while not link.is_up:
            link.step()
            yield
        if config.status_topic:
            link.publish(config.status_topic.encode(), b"online", True, 1)

    def _serve(self):
        good = Deadline(_LASTING_MS)
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
                raise LinkDown("more arrived at once than there is room for; the broker has kept the rest")
            next(self._time)
            yield

    def _pause(self):
        """Wait before the next attempt: longer each time, and not as long as all the other boards."""
        milliseconds = self._retry_ms * (256 + os.urandom(1)[0]) >> 9
        print("* trying again in {}.{} s".format(milliseconds // 1000, milliseconds // 100 % 10))
        self._retry_ms = min(2 * self._retry_ms, _RETRY_LIMIT_MS)
        pause = Deadline(milliseconds)
        while not pause.is_over():
            yield

    def _keep_time(self):
        """Ask the time servers whenever that is due, beside everything else. Never return."""
        while True:
            if self._clock.is_due():
                try:
                    yield from self._clock.synchronise()
                except Exception as error:
                    print("* time:", describe(error))
            yield

    def _check_time(self) -> None:
        """Without the time no command could be judged, and one that has been acknowledged does not return."""
        try:
            self._clock()
        except ClockNotSet:
            if not self._config.time_from_commands or self._config.ca:
                raise

    def _explain(self, error: Exception, early: bool) -> str:
        if self._config.ca:
            from . import secure  # noqa: PLC0415 (as in `transport`)

            refusal = secure.refusal(error)
            if refusal:
                return refusal + (" (" + self._config.host + ")" if "expected CN" in refusal else "")
        why = describe(error)
        if type(error) is not OSError:
            return why
        if error.errno == ECONNREFUSED:  # described by a number only
            why = "refuses the connection"
        elif error.errno == ECONNRESET and early:
            why = "ends the connection at once; is TLS spoken on one side only?"
        return "{}:{} {}".format(self._config.host, self._config.port, why)
