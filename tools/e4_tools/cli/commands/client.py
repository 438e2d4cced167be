"""`e4 client`: the clients of the fleet. The commands that change ID keys are in `client_keys`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from e4_tools.cli.commands.client_keys import confirm_client, rekey_client
from e4_tools.cli.shared.options import BrokerChoice, broker_option, password_key, secret
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import deliver, deliver_against, fleet_at_broker
from e4_tools.cli.shared.store_access import StoreAccess, client_argument, store_options
from e4_tools.fleet import listing
from e4_tools.fleet.listing import ClientSummary
from e4_tools.fleet.operations import Fleet
from e4_tools.keys.files import read_key
from e4_tools.keys.fingerprint import fingerprint_text
from e4_tools.keys.symmetric import new_key, parse_hex_key
from e4_tools.keystore.models import MEMBER


@click.group("client")
def client_group() -> None:
    """Clients: who there is, and their ID keys.

    \b
      e4 client add alice --key-file alice.key
      e4 client list
      e4 client rekey alice --broker 192.0.2.10
    """


@client_group.command("add")
@click.argument("name")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="The ID key is in this file.")
@click.option("--ask", is_flag=True, help="The ID key, in hexadecimal, comes from a prompt or from E4_KEY.")
@click.option("--from-password", is_flag=True, help="The ID key comes from a password: a prompt or E4_PASSWORD.")
@click.option("--receiving-topic", help="Where the client gets its commands, if not on e4/ and its ID.")
@store_options
@reports
def add_client(  # noqa: PLR0913 (one parameter for each option)
    report: Report,
    access: StoreAccess,
    name: str,
    key_file: Path | None,
    ask: bool,
    from_password: bool,
    receiving_topic: str | None,
) -> None:
    """Add a client with the ID key that it holds, or with a random one. Nothing is sent.

    A random key is to be given to the client: e4 client show NAME --reveal prints it.

    \b
      e4 client add alice                        a random key
      e4 client add alice --key-file alice.key   as e4 keygen wrote it
      e4 client add alice --from-password        as the Go client derives it
    """
    if (key_file is not None) + ask + from_password > 1:
        raise click.UsageError("--key-file, --ask and --from-password exclude each other")
    store = access.open_or_make(report)
    key = _ask_for_key(name, key_file, ask, from_password)
    with store.sending_lock():
        client_id = Fleet(store).add_client(name, key, receiving_topic)
    digits = fingerprint_text(key)
    report.say(f"{name} has been added; its ID key has the fingerprint {digits}.", name=name, id=client_id)
    report.say(fingerprint=digits)


def _ask_for_key(name: str, key_file: Path | None, ask: bool, from_password: bool) -> bytes:
    """Return the ID key from where the options say it is, or a random one. Raises ToolError."""
    if key_file is not None:
        return read_key(key_file)
    if ask:
        return parse_hex_key(secret("E4_KEY", f"ID key of {name} in hexadecimal"), name)
    if from_password:
        return password_key(secret("E4_PASSWORD", f"Password of {name}"))
    return new_key()


@client_group.command("list")
@store_options
@reports
def print_clients(report: Report, access: StoreAccess) -> None:
    """List the clients, their topics, and what waits to be sent or confirmed. No secret is asked for."""
    clients = listing.list_clients(access.read())
    report.say(clients=[])
    for client in clients:
        report.add("clients", {**_client_facts(client), "unsent": len(client.unsent)}, _client_line(client))


@client_group.command("show")
@client_argument
@click.option("--reveal", is_flag=True, help="Print the ID key itself. Whoever sees it can be this client.")
@store_options
@reports
def show_client(report: Report, access: StoreAccess, name: str, reveal: bool) -> None:
    """Show a client: its topics, the fingerprints of its ID keys, and what waits to be sent.

    \b
      e4 client show alice
      e4 client show alice --reveal --json
    """
    store = access.open()
    client = listing.read_client(store, name)
    for fact, value in _client_facts(client).items():
        report.say(f"{fact.replace('_', ' ')}: {_format_fact(value)}", **{fact: value})
    for key in listing.read_id_keys(store, name):
        facts = {"state": key.state, "since": key.since, "fingerprint": fingerprint_text(key.key)}
        text = f"{key.state} ID key: fingerprint {facts['fingerprint']}, since {_format_time(key.since)}"
        if reveal:
            facts["key"] = key.key.hex()
            text += f", {facts['key']}"
        report.add("keys", facts, text)
    for command in client.unsent:
        item = {"command": command.opcode, "queued_at": command.queued_at, "failure": command.failure}
        when = _format_time(command.queued_at)
        report.add("unsent", item, f"unsent: command {command.opcode} of {when} {command.failure or ''}")


@client_group.command("remove")
@client_argument
@broker_option
@store_options
@reports
def remove_client(report: Report, access: StoreAccess, name: str, broker: BrokerChoice) -> None:
    """Take all topic keys from a client, rotate its topics for those who stay, and forget it.

    Those who stay get two new keys of each topic, as e4 revoke describes it.
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.remove_client(name)
        deliver_against(report, delivery, clients, name)
    report.say(f"{name} is gone; its topics have new keys for those who stay.", name=name)


@client_group.command("forget")
@client_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_options
@reports
def forget_client(report: Report, access: StoreAccess, name: str, yes: bool) -> None:
    """Delete a client and its keys here, and send nothing: it keeps what it has, and cannot be reached again.

    It can read and write its topics until e4 topic rotate gives them new keys.
    """
    if not yes:
        click.confirm(f"Delete {name} and its ID keys for good?", abort=True, err=True)
    store = access.open()
    with store.sending_lock():
        Fleet(store).forget_client(name)
    report.say(f"{name} is forgotten; nothing was sent.", name=name)


@client_group.command("reset")
@client_argument
@broker_option
@store_options
@reports
def reset_client(report: Report, access: StoreAccess, name: str, broker: BrokerChoice) -> None:
    """Have a client forget all topic keys, and withdraw its grants. Its topics keep their keys: see e4 topic rotate.

    A client that does not obey can read and write them until then.
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.reset_client(name)
        deliver(report, delivery, clients)
    report.say(f"{name} has been told to forget all topic keys, and has no topics now.", name=name)


client_group.add_command(rekey_client)
client_group.add_command(confirm_client)


def _client_facts(client: ClientSummary) -> dict[str, str | bool | list[str]]:
    """Return what a script is told of a client, apart from its keys and its unsent commands."""
    return {
        "name": client.name,
        "id": client.id,
        "receiving_topic": client.receiving_topic,
        "mode": client.mode,
        "state": client.state,
        "topics": client.topics,
        "topics_not_sent": client.topics_not_sent,
        "pending": client.pending,
    }


def _client_line(client: ClientSummary) -> str:
    notes = [f"{len(client.unsent)} unsent"] if client.unsent else []
    notes += ["ID key to be confirmed"] if client.pending else []
    notes += ["leaving"] if client.state != MEMBER else []
    return f"{client.name}  {client.id}  {' '.join(client.topics)}{'  (' + ', '.join(notes) + ')' if notes else ''}"


def _format_fact(value: str | bool | list[str]) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def _format_time(seconds: int) -> str:
    """Return a time, given in Unix seconds, in the time zone of this machine."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
