"""`e4 topic`: the topics of the fleet and their keys."""

from __future__ import annotations

from pathlib import Path

import click

from e4_tools.cli.shared.options import BrokerChoice, broker_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import deliver, fleet_at_broker
from e4_tools.cli.shared.store_access import StoreAccess, store_options, topic_argument
from e4_tools.fleet import listing
from e4_tools.fleet.listing import TopicSummary
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key


@click.group("topic")
def topic_group() -> None:
    """Topics and their keys.

    \b
      e4 topic add sensors/lab
      e4 grant alice sensors/lab --broker 192.0.2.10
      e4 topic rotate sensors/lab --broker 192.0.2.10
    """


@topic_group.command("add")
@click.argument("topic")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="Its key is in this file.")
@store_options
@reports
def add_topic(report: Report, access: StoreAccess, topic: str, key_file: Path | None) -> None:
    """Add a topic with a random key, or with one that exists already. Nothing is sent."""
    store = access.open_or_make(report)
    key = read_key(key_file) if key_file else None
    with store.sending_lock():
        Fleet(store).add_topic(topic, key)
    report.say(f"{topic} has been added.", topic=topic)


@topic_group.command("list")
@store_options
@reports
def print_topics(report: Report, access: StoreAccess) -> None:
    """List the topics and how many clients each has. No secret is asked for."""
    topics = listing.list_topics(access.read())
    report.say(topics=[])
    for topic in topics:
        facts = {"topic": topic.name, "clients": topic.clients, "sent": topic.sent, "rotated_at": topic.rotated_at}
        report.add("topics", facts, _topic_line(topic))


def _topic_line(topic: TopicSummary) -> str:
    unsent = topic.clients - topic.sent
    note = f", {unsent} of them not sent its key yet" if unsent else ""
    return f"{topic.name}  {topic.clients} client{'' if topic.clients == 1 else 's'}{note}"


@topic_group.command("show")
@topic_argument
@store_options
@reports
def show_topic(report: Report, access: StoreAccess, topic: str) -> None:
    """Show a topic and its clients. No secret is asked for, and no key shown."""
    found = listing.read_topic(access.read(), topic)
    report.say(f"{topic}  hash {found.hash}", topic=topic, hash=found.hash, rotated_at=found.rotated_at, clients=[])
    for grant in found.grants:
        state = "the broker has its key" if grant.sent_at else "its key has not been sent yet"
        report.add("clients", {"name": grant.client, "sent_at": grant.sent_at}, f"  {grant.client}: {state}")


@topic_group.command("rotate")
@topic_argument
@broker_option
@store_options
@reports
def rotate_topic(report: Report, access: StoreAccess, topic: str, broker: BrokerChoice) -> None:
    """Make a new key for a topic and send it to all its clients.

    If some cannot be reached, the exit code is 1, and e4 sync sends to those alone; running this again makes another
    key for everybody.

    Clients understand the key before for an hour, so that no message is lost. If a client was reset or forgotten since
    the last rotation, it may know that key; then the topic gets two new keys, one after the other, as for e4 revoke.
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.rotate_topic(topic)
        deliver(report, delivery, clients)
    report.say(f"{topic} has a new key, and the broker has it for every client.", topic=topic)


@topic_group.command("remove")
@topic_argument
@broker_option
@store_options
@reports
def remove_topic_command(report: Report, access: StoreAccess, topic: str, broker: BrokerChoice) -> None:
    """Forget a topic and its key, and have its clients forget it."""
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.remove_topic(topic)
        deliver(report, delivery, clients)
    report.say(f"{topic} is gone.", topic=topic)
