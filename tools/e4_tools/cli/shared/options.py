"""Options that several commands share, and how they ask for secrets."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from getpass import GetPassWarning
from pathlib import Path
from typing import Any

import click

from e4_tools.board.ports import choose
from e4_tools.errors import ToolError
from e4_tools.keys.passwords import derive_key
from e4_tools.mqtt.authority import Authority, read_authority
from e4_tools.mqtt.broker import BrokerConnection, parse_address


@dataclass(frozen=True)
class BrokerChoice:
    """Which broker; TLS if there is a file `ca` with the certificate of its authority."""

    host: str
    port: int
    ca: Path | None

    def authority(self) -> Authority | None:
        """Return the certificate. Raises ToolError if the file holds none that is good for this."""
        return None if self.ca is None else read_authority(self.ca)

    def connect(self) -> BrokerConnection:
        """Return a connection that is made when it is entered, with user and password from the environment, if any.

        Raises ToolError if the file `ca` holds no certificate of an authority.
        """
        user, password = os.environ.get("E4_BROKER_USER"), os.environ.get("E4_BROKER_PASSWORD")
        authority = self.authority()
        return BrokerConnection(self.host, self.port, user, password, authority.der if authority else None)


def broker_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --broker and --ca, and the argument `broker`."""

    @click.option(
        "--broker",
        "address",
        required=True,
        envvar="E4_BROKER",
        metavar="HOST[:PORT]",
        help="The MQTT broker, as boards and this machine reach it. [E4_BROKER]",
    )
    @click.option(
        "--ca",
        envvar="E4_BROKER_CA",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Certificate of the CA that signed the broker's, PEM or DER: TLS, on port 8883. [E4_BROKER_CA]",
    )
    @wraps(command)
    def wrapped(*arguments: Any, address: str, ca: Path | None, **options: Any) -> None:
        try:
            host, port = parse_address(address, tls=ca is not None)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--broker") from None
        command(*arguments, broker=BrokerChoice(host, port, ca), **options)

    return wrapped


def board_port(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --port, which may be left out while there is one board only.

    Belongs below `reports`, which reports what is wrong with the choice.
    """

    @click.option(
        "--port",
        envvar="E4_PORT",
        metavar="DEVICE",
        help="Serial port, or socket://HOST:PORT. May be left out while one board is plugged in. [E4_PORT]",
    )
    @wraps(command)
    def wrapped(*arguments: Any, port: str | None, **options: Any) -> None:
        command(*arguments, port=choose(port), **options)

    return wrapped


def secret(variable: str, prompt: str, may_be_empty: bool = True) -> str:
    """Return a secret from the environment, or ask for it. Never from the command line, which others can read.

    A variable that is empty counts as not set where the secret must not be. Raises ToolError if there is nobody to
    answer.
    """
    value = os.environ.get(variable)
    if value is not None and (value or may_be_empty):
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GetPassWarning)  # without a terminal there is no echo to switch off
            return str(click.prompt(prompt, default="", hide_input=True, show_default=False, err=True))
    except click.Abort:
        raise ToolError(f"{prompt}: no answer, and {variable} is not set; nothing was done") from None


def password_key(password: str) -> bytes:
    """Return the key of a password. Takes 20 seconds."""
    click.echo("Deriving the key from the password takes about 20 seconds ...", err=True)
    return derive_key(password, processes=2)
