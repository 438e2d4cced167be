"""`e4 topic`, `e4 grant`, `e4 revoke`, `e4 sync`, `e4 store`: who may read what."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
from sqlalchemy import func, select

from e4_tools.cli.shared.options import BrokerChoice, broker_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import change_and_send
from e4_tools.cli.shared.store_access import (
    StoreAccess,
    client_argument,
    complete_clients,
    store_options,
    topic_argument,
)
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key
from e4_tools.keystore import KEY_FILE, PASSPHRASE, KeyStore
from e4_tools.keystore.finding import find_topic
from e4_tools.keystore.models import SCHEMA, Client, Grant, Meta, Outgoing, Topic


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
    key = read_key(key_file) if key_file else secrets.token_bytes(32)
    with store.sending():
        Fleet(store).add_topic(topic, key)
    report.say(f"{topic} has been added.", topic=topic)


@topic_group.command("list")
@store_options
@reports
def list_topics(report: Report, access: StoreAccess) -> None:
    """List the topics and how many clients each has. No secret is asked for."""
    with access.read().transaction() as session:
        counted = select(Grant.topic_hash, func.count(), func.count(Grant.sent_at)).group_by(Grant.topic_hash)
        clients = {hashed: (granted, sent) for hashed, granted, sent in session.execute(counted)}
        report.say(topics=[])
        for topic in session.scalars(select(Topic).order_by(Topic.name)):
            granted, sent = clients.get(topic.hash, (0, 0))
            facts = {"topic": topic.name, "clients": granted, "sent": sent, "rotated_at": topic.rotated_at}
            unsent = f", {granted - sent} of them not sent its key yet" if granted > sent else ""
            report.add("topics", facts, f"{topic.name}  {granted} client{'' if granted == 1 else 's'}{unsent}")


@topic_group.command("show")
@topic_argument
@store_options
@reports
def show_topic(report: Report, access: StoreAccess, topic: str) -> None:
    """Show a topic and its clients. No secret is asked for, and no key shown."""
    with access.read().transaction() as session:
        found = find_topic(session, topic)
        report.say(f"{topic}  hash {found.hash}", topic=topic, hash=found.hash, rotated_at=found.rotated_at, clients=[])
        for grant in sorted(found.grants, key=lambda grant: grant.client.name):
            name = grant.client.name
            state = "the broker has its key" if grant.sent_at else "its key has not been sent yet"
            report.add("clients", {"name": name, "sent_at": grant.sent_at}, f"  {name}: {state}")


@topic_group.command("rotate")
@topic_argument
@broker_option
@store_options
@reports
def rotate_topic(report: Report, access: StoreAccess, topic: str, broker: BrokerChoice) -> None:
    """Make a new key for a topic and send it to all its clients.

    If some cannot be reached, the exit code is 1, and e4 sync sends to those alone; running this again makes another
    key for everybody.
    """
    change_and_send(report, access, broker, lambda store: Fleet(store).rotate(topic))
    report.say(f"{topic} has a new key, and the broker has it for every client.", topic=topic)


@topic_group.command("remove")
@topic_argument
@broker_option
@store_options
@reports
def remove_topic(report: Report, access: StoreAccess, topic: str, broker: BrokerChoice) -> None:
    """Forget a topic and its key, and have its clients forget it."""
    change_and_send(report, access, broker, lambda store: Fleet(store).remove_topic(topic))
    report.say(f"{topic} is gone.", topic=topic)


@click.command()
@client_argument
@topic_argument
@broker_option
@store_options
@reports
def grant(report: Report, access: StoreAccess, name: str, topic: str, broker: BrokerChoice) -> None:
    """Let CLIENT read and write TOPIC: send it the topic's key. Again: send it again.

    \b
      e4 grant alice sensors/lab --broker 192.0.2.10
    """
    change_and_send(report, access, broker, lambda store: Fleet(store).grant(name, topic))
    report.say(f"{name} has been sent the key of {topic}.", client=name, topic=topic)


@click.command()
@client_argument
@topic_argument
@broker_option
@store_options
@reports
def revoke(report: Report, access: StoreAccess, name: str, topic: str, broker: BrokerChoice) -> None:
    """Take TOPIC from CLIENT, and rotate its key for those who stay: a thief ignores the command to forget.

    What is published under the old key until the others have the new one can still be read by CLIENT. If CLIENT has no
    grant of TOPIC, nothing is done, and the exit code is 6.

    \b
      e4 revoke eve sensors/lab --broker 192.0.2.10
    """
    change_and_send(report, access, broker, lambda store: Fleet(store).revoke(name, topic))
    report.say(f"{name} has been told to forget {topic}, which has a new key for those who stay.")
    report.say(client=name, topic=topic)


@click.command()
@click.argument("clients", metavar="[CLIENT]...", nargs=-1, shell_complete=complete_clients)
@click.option("--again", is_flag=True, help="Send these clients all their topic keys again, sent or not.")
@broker_option
@store_options
@reports
def sync(report: Report, access: StoreAccess, clients: tuple[str, ...], again: bool, broker: BrokerChoice) -> None:
    """Send what a failure or a crash has left unsent: to these clients, or to all.

    A client refuses commands older than 10 minutes. After a longer absence use --again once it is back.

    \b
      e4 sync --broker 192.0.2.10
      e4 sync alice --again --broker 192.0.2.10
    """
    if again and not clients:
        raise click.UsageError("--again needs the clients named")

    def wanted(store: KeyStore) -> list[str] | None:
        fleet = Fleet(store)
        if again:
            return [client_id for name in clients for client_id in fleet.resend(name)]
        return fleet.ids_of(clients) if clients else None

    sent = change_and_send(report, access, broker, wanted)
    to = f" to {', '.join(clients)}" if clients else ""
    if sent:
        report.say(f"{sent} command{'s' * (sent > 1)} sent{to}{' again' * again}; nothing else waits.")
    else:
        report.say(f"There are no topic keys to send{to}; see e4 grant." if again else f"Nothing waits to be sent{to}.")


@click.group("store")
def store_group() -> None:
    """The key store itself."""


@store_group.command("show")
@store_options
@reports
def show_store(report: Report, access: StoreAccess) -> None:
    """Say where the key store is, what opens it, and how much is in it. No secret is asked for."""
    store = access.read()
    with store.transaction() as session:
        count = {
            name: session.scalar(select(func.count()).select_from(table))
            for name, table in (("clients", Client), ("topics", Topic), ("unsent", Outgoing))
        }
        kind = session.scalars(select(Meta.lock_kind)).one()
    report.say(f"{store.place}, schema {SCHEMA}, opened by a {kind}", place=store.place, schema=SCHEMA, opened_by=kind)
    report.say(", ".join(f"{number} {name}" for name, number in count.items()), **count)


@store_group.command("relock")
@click.option("--new-key-file", type=click.Path(path_type=Path, dir_okay=False), help="This key file opens it then.")
@store_options
@reports
def relock_store(report: Report, access: StoreAccess, new_key_file: Path | None) -> None:
    """Change the passphrase of the key store, or have a key file open it.

    The new passphrase comes from a prompt or from E4_NEW_PASSPHRASE.
    """
    store = access.open()
    key = StoreAccess(access.place, new_key_file).new_secret("E4_NEW_PASSPHRASE")
    with store.sending():
        store.relock(KEY_FILE if new_key_file else PASSPHRASE, key)
    report.say(f"{store.place} has another {'key file' if new_key_file else 'passphrase'} now.")


fleet_commands = [topic_group, grant, revoke, sync, store_group]
