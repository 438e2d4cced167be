"""`e4 keygen` and `e4 init-keys`: making and sending keys without a key store, as the Go tools do."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import click

import e4
from e4_tools.cli.shared.options import BrokerChoice, broker_option, password_key, secret
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import BrokerError, ToolError
from e4_tools.keys.files import TYPES, make_key, write_keys
from e4_tools.keys.symmetric import new_key, parse_hex_key
from e4_tools.mqtt.topics import check_publishable


@click.command()
@click.option(
    "--type", "kind", type=click.Choice(TYPES), default=TYPES[0], show_default=True, help="The kind of key to make."
)
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@reports
def keygen(report: Report, kind: str, out: Path, force: bool) -> None:
    """Make a key and write it to a file that only you can read, with the bytes that the Go tool e4keygen writes.

    With ed25519 and curve25519 the public key goes to FILE.pub, for everybody to read.

    \b
      e4 keygen --out alice.key
      e4 keygen --type curve25519 --out c2
    """
    private, public = make_key(kind)
    files = [str(path) for path in write_keys(out, private, public, force)]
    report.say(f"A {kind} key has been written: {', '.join(files)}", type=kind, files=files)


@click.command("init-keys")
@click.argument("topic")
@click.argument("clients", nargs=-1, required=True)
@broker_option
@click.option("--from-password", is_flag=True, help="The clients' ID keys are derived from passwords.")
@reports
def init_keys(report: Report, topic: str, clients: tuple[str, ...], broker: BrokerChoice, from_password: bool) -> None:
    """Make a key for TOPIC and send it to CLIENTS, as the tutorial's initKeys does. The key is not kept.

    Each client's ID key comes from a prompt or from E4_KEY_NAME; with --from-password its password from a prompt or
    from E4_PASSWORD_NAME. NAME is in upper case, and has _ for each character that is neither a letter A to Z nor a
    digit: the key of lab-1.b is in E4_KEY_LAB_1_B.

    To add a client later, or to rotate the key, use a key store instead: see e4 client and e4 topic.

    \b
      e4 init-keys --broker 192.0.2.10 /e4go/demo/messages alice bob
    """
    check_publishable(topic)
    _check_order(topic, clients)
    for name in clients:
        e4.id_of(name)  # raises InvalidName, before any key is asked for
    variables = _name_variables("E4_PASSWORD" if from_password else "E4_KEY", clients)
    keys = {name: _ask_for_key(name, variable, from_password) for name, variable in variables.items()}
    command = e4.commands.set_topic_key(new_key(), topic)
    sent: list[str] = []
    with broker.connect() as connection:
        for name, key in keys.items():
            try:
                connection.send_command(e4.id_of(name), key, command)
            except BrokerError as error:
                raise BrokerError(f"{error}. It was sent to {', '.join(sent) or 'nobody'}; run this again") from None
            sent.append(name)
            report.add("sent", name, f"Topic key has been sent to {name}.")


def _check_order(topic: str, clients: tuple[str, ...]) -> None:
    """Raise UsageError if a client looks like a topic and the topic does not: the two were probably swapped."""
    likely = next((name for name in clients if "/" in name), None)
    if likely is not None and "/" not in topic:
        raise click.UsageError(
            f"{topic} would be the topic and {likely} a client; nothing was done. The topic comes first: "
            f"e4 init-keys {likely} {topic}. Where a client's name has a slash and the topic none: e4 grant"
        )


def _name_variables(prefix: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return the name of the environment variable that may hold each client's key or password.

    Two clients can have the same variable, because it leaves out signs that a shell does not accept. Raises ToolError
    if such a variable is set, because it is not clear whose it is.
    """
    variables = {name: f"{prefix}_{re.sub('[^A-Z0-9]', '_', name.upper())}" for name in names}
    for variable, count in Counter(variables.values()).items():
        if count > 1 and variable in os.environ:
            meant = " and ".join(name for name in variables if variables[name] == variable)
            raise ToolError(f"{variable} would be for {meant}; nothing was done. Unset it, and you are asked for each")
    return variables


def _ask_for_key(name: str, variable: str, from_password: bool) -> bytes:
    """Return the ID key of a client, from its environment variable or from a prompt. Raises ToolError."""
    if from_password:
        return password_key(secret(variable, f"Password of {name}"))
    return parse_hex_key(secret(variable, f"ID key of {name} in hexadecimal"), name)


key_commands = [keygen, init_keys]
