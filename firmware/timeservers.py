"""Several time servers, two of which must agree."""

import socket
import time

from firmware import sntp
from firmware.sntp import Answer, KissOfDeath, TimeServerError

# What two honest servers may differ by beyond what they state: some smear a leap second over a day, up to 1 s.
TOLERANCE_MS = 2000

_FINAL = (b"DENY", b"RSTR")  # kisses after which a server is not asked again (RFC 5905 section 7.4)


class TimeServers:
    """The servers to ask, in this order, as "host" or "host:port". One alone is trusted alone."""

    def __init__(self, servers, network=socket, ticks=time) -> None:
        self._servers = tuple(servers)
        self._network = network
        self._ticks = ticks
        self._addresses: dict = {}  # of the servers that answered
        self._denied: dict = {}  # server: what it said

    def ask(self, waiting=None) -> Answer:
        """Return what the first two that agree say: a span that holds the time if one of them is right.

        No more are asked than it takes. `waiting()` is called before each step that may block: a look-up (for as
        long as DNS does; an address that worked is remembered) and a question (2 s). Raises TimeServerError.
        """
        if not self._servers:
            raise TimeServerError("no time server is configured")
        answers: list = []
        said: list = []
        for server in self._servers:
            try:
                answer = self._ask_one(server, waiting)
            except TimeServerError as error:
                said.append("{}: {}".format(server, error))
                continue
            if len(self._servers) == 1:
                return answer
            for other in answers:
                agreed = self._agreed(other, answer)
                if agreed is not None:
                    return agreed
            answers.append(answer)
            said.append("{}: says {}".format(server, answer.lower // 1000))
        reason = "no two time servers agree" if len(self._servers) > 1 else "the time server does not help"
        raise TimeServerError("{} ({})".format(reason, "; ".join(said)))

    def _ask_one(self, server: str, waiting) -> Answer:
        denied = self._denied.get(server)
        if denied is not None:
            raise TimeServerError("{}; not asked again before a reset".format(denied))
        address = self._addresses.pop(server, None)
        if address is None:
            if waiting is not None:
                waiting()
            address = sntp.look_up(server, self._network)
        if waiting is not None:
            waiting()
        try:
            answer = sntp.ask(address, self._network, self._ticks)
        except KissOfDeath as kiss:
            if kiss.code in _FINAL:
                self._denied[server] = str(kiss)
            raise
        self._addresses[server] = address
        return answer

    def _agreed(self, earlier: Answer, later: Answer) -> Answer | None:
        """Return the span that covers both answers, or None if they are too far apart or from one server."""
        if earlier.address == later.address:
            return None
        passed = self._ticks.ticks_diff(later.ticks, earlier.ticks)
        lower, upper = earlier.lower + passed, earlier.upper + passed
        if lower - later.upper > TOLERANCE_MS or later.lower - upper > TOLERANCE_MS:
            return None
        return Answer(min(lower, later.lower), max(upper, later.upper), later.ticks, None)
