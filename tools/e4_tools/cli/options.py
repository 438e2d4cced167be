"""Options that several commands share, and how they ask for secrets."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from e4_tools.c2 import parse_address
from e4_tools.errors import ToolError
from e4_tools.passwords import derive_key
from e4_tools.ports import choose


def parse_broker(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    """Split HOST or HOST:PORT."""
    try:
        return parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


broker_option = click.option(
    "--broker",
    required=True,
    envvar="E4_BROKER",
    callback=parse_broker,
    metavar="HOST[:PORT]",
    help="The MQTT broker, as boards and this machine reach it. [E4_BROKER]",
)


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


def secret(variable: str, prompt: str) -> str:
    """Return a secret from the environment, or ask for it. Never from the command line, which others can read."""
    value = os.environ.get(variable)
    return value if value is not None else str(click.prompt(prompt, default="", hide_input=True, show_default=False))


def hex_key(text: str, whose: str) -> bytes:
    """Return the 32 bytes of a key in hexadecimal. Raises ToolError."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ToolError(f"the ID key of {whose} is not 64 hexadecimal digits; nothing was done")
    return key


def password_key(password: str) -> bytes:
    """Return the key of a password. Takes 20 seconds."""
    click.echo("Deriving the key from the password takes about 20 seconds ...", err=True)
    return derive_key(password, processes=2)
