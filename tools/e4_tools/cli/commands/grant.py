"""`e4 grant`, `e4 revoke` and `e4 sync`: which clients may use a topic, and sending them its key."""

from __future__ import annotations

import click

from e4_tools.cli.shared.options import BrokerChoice, broker_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import deliver, deliver_against, fleet_at_broker
from e4_tools.cli.shared.store_access import (
    StoreAccess,
    client_argument,
    complete_clients,
    store_options,
    topic_argument,
)


@click.command()
@client_argument
@topic_argument
@broker_option
@store_options
@reports
def grant(report: Report, access: StoreAccess, name: str, topic: str, broker: BrokerChoice) -> None:
    """Let CLIENT read and write TOPIC: send it the topic's key. If it has the grant already, the key is sent again.

    \b
      e4 grant alice sensors/lab --broker 192.0.2.10
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.grant(name, topic)
        deliver(report, delivery, clients)
    report.say(f"{name} has been sent the key of {topic}.", client=name, topic=topic)


@click.command()
@client_argument
@topic_argument
@broker_option
@store_options
@reports
def revoke(report: Report, access: StoreAccess, name: str, topic: str, broker: BrokerChoice) -> None:
    """Take TOPIC from CLIENT, and give TOPIC two new keys, one after the other, for those who stay.

    CLIENT is told to forget the topic, but a stolen client may not obey; the new keys shut it out. They are two because
    members understand the previous key for an hour, and CLIENT must not know that one either. A member that has
    received both refuses what CLIENT writes. CLIENT can still read what is published under the old key until the others
    have the new one. If CLIENT has no grant of TOPIC, nothing is done, and the exit code is 6.

    \b
      e4 revoke eve sensors/lab --broker 192.0.2.10
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.revoke(name, topic)
        deliver_against(report, delivery, clients, name)
    report.say(f"{name} has been told to forget {topic}, which has new keys for those who stay, one after the other.")
    report.say(f"Those who have received both refuse what {name} writes.", client=name, topic=topic)


@click.command()
@click.argument("clients", metavar="[CLIENT]...", nargs=-1, shell_complete=complete_clients)
@click.option("--again", is_flag=True, help="Send these clients all their topic keys again, sent or not.")
@click.option("--trust-clock", is_flag=True, help="The clock of this machine is right: forget later times of commands.")
@broker_option
@store_options
@reports
def sync(  # noqa: PLR0913 (one parameter for each option)
    report: Report,
    access: StoreAccess,
    clients: tuple[str, ...],
    again: bool,
    trust_clock: bool,
    broker: BrokerChoice,
) -> None:
    """Send what a failure or a crash has left unsent, to these clients or to all.

    A client refuses commands older than 10 minutes. After a longer absence use --again once it is back. With --again a
    client is made to forget a topic that has had another key before it gets its key, so that it does not understand an
    older one.

    A client also refuses a command that is stamped earlier than the last one it has obeyed. So nothing is sent to it
    while the clock of this machine is more than a minute behind that. If another machine has sent with a clock that was
    ahead, clients have probably refused that command as one from the future. --trust-clock forgets its time, so that
    these clients can be commanded again, and with --again they get their topic keys once more. A client that has obeyed
    it refuses all commands until that time.

    \b
      e4 sync --broker 192.0.2.10
      e4 sync alice --again --broker 192.0.2.10
    """
    if (again or trust_clock) and not clients:
        raise click.UsageError(f"{'--again' if again else '--trust-clock'} needs the clients named")

    with fleet_at_broker(access, broker) as (fleet, delivery):
        if trust_clock:
            fleet.trust_clock(clients)
        recipients: list[str] | None = None  # all clients
        if again:
            recipients = fleet.resend_topic_keys(clients)
        elif clients:
            recipients = fleet.ids_of(clients)
        sent = deliver(report, delivery, recipients)
    to = f" to {', '.join(clients)}" if clients else ""
    if sent:
        report.say(f"{sent} command{'s' * (sent > 1)} sent{to}{' again' * again}; nothing else waits.")
    else:
        report.say(f"There are no topic keys to send{to}; see e4 grant." if again else f"Nothing waits to be sent{to}.")


grant_commands = [grant, revoke, sync]
