"""`e4 send` and `e4 listen`: publishing and reading messages on the host, with the topic keys of the key store."""

from __future__ import annotations

import json
import queue
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
    content = sys.stdin.buffer.read() if message == "-" else message.encode()
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

    \b
      e4 listen sensors/lab --broker 192.0.2.10
      e4 listen --count 1 --timeout 30 --json --broker 192.0.2.10
    """
    reader = TopicReader(access.open(), topics)
    arrived: queue.Queue[tuple[str, bytes]] = queue.Queue()
    deadline = time.monotonic() + timeout if timeout else None
    heard = 0
    with broker.connect() as connection:
        connection.listen(reader.topics, lambda topic, payload: arrived.put((topic, payload)))
        try:
            if not report.as_json:
                click.echo(f"Listening on {', '.join(reader.topics)}; Ctrl-C ends.", err=True)
            while (count is None or heard < count) and (deadline is None or time.monotonic() < deadline):
                heard += _print_next(report, reader, arrived, deadline, as_hex)
        except KeyboardInterrupt:
            count = None  # the user has seen enough, so that fewer messages than --count asks for are no failure
    report.say(messages=heard)
    if count is not None and heard < count:
        raise ToolError(f"{heard} of {count} messages came within {timeout:g} s")


def _print_next(
    report: Report, reader: TopicReader, arrived: queue.Queue[tuple[str, bytes]], deadline: float | None, as_hex: bool
) -> int:
    """Print the next message, if one arrives soon. Return 1 if it could be unprotected, and 0 otherwise."""
    left = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, max(0.0, deadline - time.monotonic()))
    try:
        topic, payload = arrived.get(timeout=left)
    except queue.Empty:
        return 0
    try:
        message = reader.unprotect(payload, topic)
    except (e4.E4Error, UnknownName) as error:
        _print_line(report, topic, {"refused": str(error)}, f"refused: {error}", to_stderr=True)
        return 0
    text = message.hex() if as_hex else _escape(message)
    _print_line(report, topic, {"hex" if as_hex else "message": text}, text)
    return 1


def _print_line(report: Report, topic: str, facts: dict[str, Any], text: str, to_stderr: bool = False) -> None:
    """Print a line about what arrived on a topic: `facts` for a script, or `text` for a person."""
    if report.as_json:
        print(json.dumps({"topic": topic, "time": int(time.time()), **facts}), flush=True)
    else:
        line = f"{datetime.now():%H:%M:%S} {_escape(topic.encode())}: {text}"
        print(line, file=sys.stderr if to_stderr else sys.stdout, flush=True)


def _escape(message: bytes) -> str:
    """Return a message as text, with everything escaped that is not printable and could steer a terminal."""
    text = message.decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


message_commands = [send, listen]
