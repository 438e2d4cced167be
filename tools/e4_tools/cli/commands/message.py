"""`e4 send` and `e4 listen`: publishing and reading messages on the host, with the topic keys of the key store."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime
from typing import Any

import click

import e4
from e4_tools.cli.shared.options import BrokerChoice, broker_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.store_access import StoreAccess, complete_topics, store_options, topic_argument
from e4_tools.errors import ToolError, UnknownName
from e4_tools.fleet.messages import TopicReader, protect_for_topic, wait_for_next_second
from e4_tools.mqtt.broker import BrokerConnection
from e4_tools.mqtt.incoming import IncomingMessages
from e4_tools.printable import printable

_WATCH_SECONDS = 1.0  # between two lines about the same
_WARNINGS = {
    "unasked": "messages on topics that were not asked for were ignored",
    "dropped": "messages came faster than they can be read, and were dropped",
    "violations": "the connection was ended because the broker broke MQTT or sent too large a packet",
}
_POLL_SECONDS = 0.5  # for one wait for a message; Ctrl-C takes effect between two waits


@click.command()
@topic_argument
@click.argument("message")
@click.option("--retain", is_flag=True, help="Have the broker keep it for those who come later.")
@broker_option
@store_options
@reports
def send(  # noqa: PLR0913 (one parameter for each option)
    report: Report, access: StoreAccess, topic: str, message: str, retain: bool, broker: BrokerChoice
) -> None:
    """Protect MESSAGE with the key of TOPIC and publish it, QoS 2. With - it is read from standard input.

    Other users of this machine can see a message that is given as an argument.

    \b
      e4 send sensors/lab "21.5 C" --broker 192.0.2.10
      e4 send sensors/lab - --broker 192.0.2.10 < reading.bin
    """
    content = sys.stdin.buffer.read() if message == "-" else os.fsencode(message)
    payload = protect_for_topic(access.open(), content, topic)
    with broker.connect() as connection:
        connection.publish(topic, payload, retain)
    wait_for_next_second(payload)
    size = "1 byte has" if len(content) == 1 else f"{len(content)} bytes have"
    report.say(f"{size} been published on {topic}.", topic=topic, bytes=len(content))


@click.command()
@click.argument("topics", metavar="[TOPIC]...", nargs=-1, shell_complete=complete_topics)
@click.option("--hex", "as_hex", is_flag=True, help="Print messages in hexadecimal.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many messages.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@broker_option
@store_options
@reports
def listen(  # noqa: PLR0913 (one parameter for each option)
    report: Report,
    access: StoreAccess,
    topics: tuple[str, ...],
    as_hex: bool,
    count: int | None,
    timeout: float | None,
    broker: BrokerChoice,
) -> None:
    """Print what arrives on TOPICs, unprotected, until Ctrl-C. Without TOPICs, listen on all topics of the key store.

    Topics that are added to the key store later are not heard until this command is started again.

    With --json each message is a line with "topic" and "message" (or "hex"), each message that was refused is a line
    with "topic" and "refused", and the last line is the result. With --count, the exit code is 1 if fewer messages
    arrive in time.

    A broker may send more than it was asked for. The result has "unasked", the number of messages on other topics;
    "dropped", those that came faster than they could be read; and "violations", how often the connection was ended
    because the broker broke MQTT, or sent a packet of more than 4 MiB.

    \b
      e4 listen sensors/lab --broker 192.0.2.10
      e4 listen --count 1 --timeout 30 --json --broker 192.0.2.10
    """
    reader = TopicReader(access.open(), topics)
    deadline = time.monotonic() + timeout if timeout else None
    heard = 0
    with broker.connect() as connection:
        arrived = IncomingMessages()
        connection.listen(reader.topics, arrived.add)
        watch = _Watch(connection, arrived)
        try:
            if not report.as_json:
                click.echo(f"Listening on {', '.join(map(printable, reader.topics))}; Ctrl-C ends.", err=True)
            while (count is None or heard < count) and (deadline is None or time.monotonic() < deadline):
                heard += _print_next(report, reader, arrived, deadline, as_hex)
                watch.tell()
        except KeyboardInterrupt:
            count = None  # the user has seen enough, so that fewer messages than --count asks for are no failure
        finally:
            report.say(messages=heard, **watch.facts())
    if count is not None and heard < count:
        raise ToolError(f"{heard} of {count} messages came within {timeout:g} s")


class _Watch:
    """Tells the user, at most once a second, that something is wrong with the broker or with what it sends."""

    def __init__(self, connection: BrokerConnection, arrived: IncomingMessages) -> None:
        self._connection = connection
        self._arrived = arrived
        self._told = self.facts()
        self._trouble: str | None = None
        self._again_at = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what was counted so far."""
        here = self._connection
        return {"unasked": here.unasked, "dropped": self._arrived.dropped, "violations": here.violations}

    def tell(self) -> None:
        """Print what has changed. Raises BrokerError if nothing can arrive any more."""
        trouble = self._connection.trouble()
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _WATCH_SECONDS
        if trouble != self._trouble:
            click.echo(f"({trouble or 'the connection stands again'})", err=True)
        facts = self.facts()
        for name, text in _WARNINGS.items():
            if facts[name] != self._told[name]:
                click.echo(f"({text}: {facts[name]} so far)", err=True)
        self._trouble, self._told = trouble, facts


def _print_next(
    report: Report, reader: TopicReader, arrived: IncomingMessages, deadline: float | None, as_hex: bool
) -> int:
    """Print the next message, if one arrives soon. Return 1 if it could be unprotected, and 0 otherwise."""
    left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, max(0.0, deadline - time.monotonic()))
    found = arrived.get(left)
    if found is None:
        return 0
    topic, payload = found
    try:
        message = reader.unprotect(payload, topic)
    except (e4.E4Error, UnknownName) as error:
        _print_line(report, topic, {"refused": str(error)}, f"refused: {printable(str(error))}", to_stderr=True)
        return 0
    text = message.hex() if as_hex else printable(message)
    _print_line(report, topic, {"hex" if as_hex else "message": text}, text)
    return 1


def _print_line(report: Report, topic: str, facts: dict[str, Any], text: str, to_stderr: bool = False) -> None:
    """Print a line about what arrived on a topic: `facts` for a script, or `text` for a person."""
    if report.as_json:
        print(json.dumps({"topic": topic, "time": int(time.time()), **facts}), flush=True)
    else:
        line = f"{datetime.now():%H:%M:%S} {printable(topic)}: {text}"
        print(line, file=sys.stderr if to_stderr else sys.stdout, flush=True)


message_commands = [send, listen]
