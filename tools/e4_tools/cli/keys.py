"""Commands for keys and for the clients that hold them."""

from __future__ import annotations

import secrets

import click

import e4
from e4_tools.c2 import Broker
from e4_tools.cli.options import broker_option, hex_key, password_key, secret
from e4_tools.cli.output import Report, reports


@click.command("init-keys")
@click.argument("topic")
@click.argument("clients", nargs=-1, required=True)
@broker_option
@click.option("--from-password", is_flag=True, help="The clients' ID keys are derived from passwords.")
@reports
def init_keys(
    report: Report, topic: str, clients: tuple[str, ...], broker: tuple[str, int], from_password: bool
) -> None:
    """Make a key for TOPIC and send it to CLIENTS, as the tutorial's initKeys does.

    Each client's ID key comes from a prompt or from E4_KEY_NAME; with --from-password its password from a prompt or
    from E4_PASSWORD_NAME.
    """
    keys = {name: _key_of(name, from_password) for name in clients}
    command = e4.commands.set_topic_key(secrets.token_bytes(32), topic)
    with Broker(*broker) as connection:
        for name, key in keys.items():
            connection.command(e4.id_of(name), key, command)
            report.add("sent", name, f"Topic key has been sent to {name}.")


def _key_of(name: str, from_password: bool) -> bytes:
    if from_password:
        return password_key(secret(f"E4_PASSWORD_{name}", f"Password of {name}"))
    return hex_key(secret(f"E4_KEY_{name}", f"ID key of {name} in hexadecimal"), name)


key_commands = [init_keys]
