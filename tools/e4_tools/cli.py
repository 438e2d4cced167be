"""The command `e4`."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

import e4
from e4_tools.boards import Board
from e4_tools.c2 import Broker
from e4_tools.console import Console
from e4_tools.deploy import deploy as deploy_to
from e4_tools.errors import ToolError
from e4_tools.passwords import derive_key
from e4_tools.provisioning import provision as provision_board
from e4_tools.virtual_board.cli import board_command


def _reports(command: Callable[..., None]) -> Callable[..., None]:
    """Turn a ToolError or E4Error into a line for the user and exit code 1."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (ToolError, e4.E4Error) as error:
            raise click.ClickException(str(error)) from None

    return wrapped


def _broker(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    host, _, port = value.partition(":")
    if not host or not (port or "1883").isdigit():
        raise click.BadParameter("give HOST or HOST:PORT")
    return host, int(port or 1883)


_port = click.option("--port", required=True, metavar="DEVICE", help="Serial port, or socket://HOST:PORT.")
_broker_option = click.option(
    "--broker", required=True, callback=_broker, metavar="HOST[:PORT]", help="The MQTT broker."
)


@click.group()
@click.version_option(package_name="e4-micropython")
def main() -> None:
    """End-to-end encrypted MQTT for ESP32 boards: deploy, provision, command, or run a virtual board."""


main.add_command(board_command, "board")


@main.command()
@_port
@_reports
def deploy(port: str) -> None:
    """Copy library, application, boot.py and main.py to a board that runs MicroPython, and reset it.

    Keys and configuration on the board stay.
    """
    files = deploy_to(port)
    _reset(port)
    click.echo(f"{port} has all {files} files and has been reset.")


def _reset(port: str) -> None:
    with Board(port) as board:
        board.reset()


@main.command()
@click.argument("name")
@_port
@_broker_option
@click.option("--topic", "topics", multiple=True, required=True, help="Topic filter to subscribe to; repeatable.")
@click.option("--wifi", "ssid", required=True, metavar="SSID", help="WiFi network; its password is asked for.")
@click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
@click.option("--replace", is_flag=True, help="Give a provisioned board another identity; its keys are forgotten.")
@_reports
def provision(  # noqa: PLR0913 (one parameter for each option)
    name: str,
    port: str,
    broker: tuple[str, int],
    topics: tuple[str, ...],
    ssid: str,
    from_password: bool,
    replace: bool,
) -> None:
    """Give a board its NAME, ID key, WiFi, broker and topics.

    The WiFi password is taken from a prompt or from WIFI_PASSWORD, the ID key from a prompt (64 hexadecimal
    digits; empty for a random one, shown once) or from E4_KEY; with --from-password from a prompt or E4_PASSWORD.
    """
    wifi_password = _secret("WIFI_PASSWORD", "WiFi password (empty for an open network)")
    key, made = _id_key(from_password)
    wifi = {"ssid": ssid, **({"password": wifi_password} if wifi_password else {})}
    config = {"name": name, "wifi": wifi, "broker": {"host": broker[0], "port": broker[1]}, "topics": list(topics)}
    provision_board(port, config, key, replace)
    click.echo(f"{name} holds its key and listens on {e4.receiving_topic(e4.id_of(name))}.")
    if made:
        click.echo(f"Its ID key, which C2 needs and nobody else may have: {key.hex()}")


def _secret(variable: str, prompt: str) -> str:
    value = os.environ.get(variable)
    return value if value is not None else str(click.prompt(prompt, default="", hide_input=True, show_default=False))


def _id_key(from_password: bool) -> tuple[bytes, bool]:
    """Return the ID key to write, and whether it was made here."""
    if from_password:
        return derive_key(_secret("E4_PASSWORD", "Password of the client"), processes=2), False
    given = _secret("E4_KEY", "ID key in hexadecimal (empty: make one)")
    if not given:
        return secrets.token_bytes(32), True
    try:
        return bytes.fromhex(given), False
    except ValueError:
        raise ToolError("an ID key is 64 hexadecimal digits") from None


@main.command("init-keys")
@click.argument("topic")
@click.argument("clients", nargs=-1, required=True)
@_broker_option
@click.option("--from-password", is_flag=True, help="The clients' ID keys are derived from passwords.")
@_reports
def init_keys(topic: str, clients: tuple[str, ...], broker: tuple[str, int], from_password: bool) -> None:
    """Make a key for TOPIC and send it to CLIENTS, as the tutorial's initKeys does.

    Each client's ID key (or password) is asked for, or taken from E4_KEY_NAME (E4_PASSWORD_NAME).
    """
    kind = "PASSWORD" if from_password else "KEY"
    secret = {name: _secret(f"E4_{kind}_{name}", f"{kind.lower()} of {name}") for name in clients}
    keys = {name: derive_key(text, 2) if from_password else _hex_key(name, text) for name, text in secret.items()}
    command = e4.commands.set_topic_key(secrets.token_bytes(32), topic)
    with Broker(*broker) as connection:
        for name, key in keys.items():
            connection.command(e4.id_of(name), key, command)
            click.echo(f"Topic key has been sent to {name}.")


def _hex_key(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ToolError(f"the ID key of {name} is not hexadecimal; nothing was sent") from None


@main.command()
@_port
@_reports
def console(port: str) -> None:
    """Watch a board's console and type to it, line by line, until Ctrl-C or Ctrl-D."""
    with Console(port, port, click.echo) as board:
        try:
            for line in sys.stdin:
                board.type(line.rstrip("\n"))
            time.sleep(1)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
