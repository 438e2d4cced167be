"""Commands for a board at a serial port."""

from __future__ import annotations

import secrets
import sys
import time

import click

import e4
from e4_tools.boards import Board
from e4_tools.cli.options import broker_option, hex_key, password_key, port_option, secret
from e4_tools.cli.output import Report, reports
from e4_tools.console import Console
from e4_tools.deploy import deploy as deploy_to
from e4_tools.provisioning import provision as provision_board


@click.command()
@port_option
@reports
def deploy(report: Report, port: str) -> None:
    """Copy library, application, boot.py and main.py to a board that runs MicroPython, and reset it.

    Keys and configuration on the board stay.
    """
    files = deploy_to(port)
    with Board(port) as board:
        board.reset()
    report.say(f"{port} has all {files} files and has been reset.", files=files)


@click.command()
@click.argument("name")
@port_option
@broker_option
@click.option("--topic", "topics", multiple=True, required=True, help="Topic filter to subscribe to; repeatable.")
@click.option("--wifi", "ssid", required=True, metavar="SSID", help="WiFi network; its password is asked for.")
@click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
@click.option("--replace", is_flag=True, help="Give a provisioned board another identity; its keys are forgotten.")
@reports
def provision(  # noqa: PLR0913 (one parameter for each option)
    report: Report,
    name: str,
    port: str,
    broker: tuple[str, int],
    topics: tuple[str, ...],
    ssid: str,
    from_password: bool,
    replace: bool,
) -> None:
    """Give a board its NAME, ID key, WiFi, broker and topics, have it prove the key, and reset it.

    The WiFi password comes from a prompt or from WIFI_PASSWORD; the ID key from a prompt (64 hexadecimal digits, or
    nothing to have a random one made and shown once) or from E4_KEY; with --from-password from a prompt or
    E4_PASSWORD.
    """
    wifi_password = secret("WIFI_PASSWORD", "WiFi password (empty for an open network)")
    key, made = _id_key(name, from_password)
    wifi = {"ssid": ssid, **({"password": wifi_password} if wifi_password else {})}
    config = {"name": name, "wifi": wifi, "broker": {"host": broker[0], "port": broker[1]}, "topics": list(topics)}
    provision_board(port, config, key, replace)
    receiving = e4.receiving_topic(e4.id_of(name))
    report.say(f"{name} holds its key and listens on {receiving}.", name=name, receiving_topic=receiving)
    if made:
        report.say(f"Its ID key, which C2 needs and nobody else may have: {key.hex()}", id_key=key.hex())


def _id_key(name: str, from_password: bool) -> tuple[bytes, bool]:
    """Return the ID key to write, and whether it was made here."""
    if from_password:
        return password_key(secret("E4_PASSWORD", f"Password of {name}")), False
    given = secret("E4_KEY", f"ID key of {name} in hexadecimal (empty: make one)")
    return (hex_key(given, name), False) if given else (secrets.token_bytes(32), True)


@click.command()
@port_option
@reports
def console(report: Report, port: str) -> None:
    """Watch a board's console and type to it, line by line, until Ctrl-C or Ctrl-D."""
    with Console(port, port, report.say) as board:
        try:
            for line in sys.stdin:
                board.type(line.rstrip("\n"))
            time.sleep(1)
        except KeyboardInterrupt:
            return


board_commands = [deploy, provision, console]
