"""Options that several commands have, and how commands ask for secrets."""

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

from e4_tools.board.ports import choose_port
from e4_tools.errors import ToolError
from e4_tools.keys.passwords import derive_key
from e4_tools.mqtt.authority import Authority, read_authority
from e4_tools.mqtt.broker import BrokerConnection, parse_address


@dataclass(frozen=True)
class BrokerChoice:
    """The broker that a command line names."""

    host: str
    port: int
    ca: Path | None  # the file with the certificate of its authority; None for a connection without TLS

    def authority(self) -> Authority | None:
        """Return the certificate of the authority, if there is one. Raises ToolError if it cannot be used."""
        return None if self.ca is None else read_authority(self.ca)

    def connect(self) -> BrokerConnection:
        """Return a connection to the broker, which connects when it is entered.

        User and password come from the environment, if they are there. Raises ToolError if the certificate of the
        authority cannot be used.
        """
        user, password = from_environment("E4_BROKER_USER"), from_environment("E4_BROKER_PASSWORD")
        authority = self.authority()
        return BrokerConnection(self.host, self.port, user, password, authority.der if authority else None)


def broker_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --broker and --ca, and the argument `broker`, a `BrokerChoice`."""
    return _broker_option(command, required=True)


def optional_broker_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --broker and --ca, and the argument `broker`, which is None if none is named."""
    return _broker_option(command, required=False)


def _broker_option(command: Callable[..., None], required: bool) -> Callable[..., None]:
    @click.option(
        "--broker",
        "address",
        required=required,
        envvar="E4_BROKER",
        metavar="HOST[:PORT]",
        help="The MQTT broker, as boards and this machine reach it. [E4_BROKER]",
    )
    @click.option(
        "--ca",
        envvar="E4_BROKER_CA",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Use TLS, by default on port 8883. FILE is the certificate of the CA that signed the broker's "
        "certificate, PEM or DER. [E4_BROKER_CA]",
    )
    @wraps(command)
    def wrapped(*arguments: Any, address: str | None, ca: Path | None, **options: Any) -> None:
        if address is None:
            command(*arguments, broker=None, **options)
            return
        try:
            host, port = parse_address(address, tls=ca is not None)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--broker") from None
        command(*arguments, broker=BrokerChoice(host, port, ca), **options)

    return wrapped


def board_port(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --port, which may be left out while one board only is plugged in.

    It stands below `reports` in the list of decorators: then it runs inside of `reports`, which shows the ToolError
    that is raised if no board, or more than one, can be meant.
    """

    @click.option(
        "--port",
        envvar="E4_PORT",
        metavar="DEVICE",
        help="Serial port, or socket://HOST:PORT. May be left out while one board is plugged in. [E4_PORT]",
    )
    @wraps(command)
    def wrapped(*arguments: Any, port: str | None, **options: Any) -> None:
        command(*arguments, port=choose_port(port), **options)

    return wrapped


ledger_option = click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    default="ledger.jsonl",
    show_default=True,
    help="The file that notes which name was issued to which board, without keys.",
)


def from_environment(variable: str) -> str | None:
    """Return a variable of the environment, or None if it is not set. Raises ToolError if it is not UTF-8."""
    value = os.environ.get(variable)
    try:
        return value if value is None else value.encode().decode()
    except UnicodeEncodeError:
        raise ToolError(f"{variable} is not UTF-8; nothing was done") from None


def secret(variable: str, prompt: str, may_be_empty: bool = True) -> str:
    """Return a secret from an environment variable, or from a prompt if the variable is not set.

    A secret is never an option or argument, because other users of the machine can read command lines. If the secret
    may not be empty, an empty variable counts as not set. Raises ToolError if there is nobody to answer the prompt.
    """
    value = from_environment(variable)
    if value is not None and (value or may_be_empty):
        return value
    try:
        with warnings.catch_warnings():
            # Without a terminal nothing is shown of what is typed, and the warning that it would be is wrong.
            warnings.simplefilter("ignore", GetPassWarning)
            return str(click.prompt(prompt, default="", hide_input=True, show_default=False, err=True))
    except click.Abort:
        raise ToolError(f"{prompt}: no answer, and {variable} is not set; nothing was done") from None
    except UnicodeDecodeError:
        raise ToolError(f"{prompt}: the answer is not UTF-8; nothing was done") from None


def password_key(password: str) -> bytes:
    """Return the key of a password, and tell the user that this takes about 20 seconds. Raises ToolError."""
    click.echo("Deriving the key from the password takes about 20 seconds ...", err=True)
    return derive_key(password, processes=2)
