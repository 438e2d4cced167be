"""The command that makes boards members of a fleet, one or a whole factory's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import e4
from e4_tools import provisioning
from e4_tools.boards import Board
from e4_tools.cli.factory import FactoryRun
from e4_tools.cli.options import broker_option, hex_key, password_key, secret
from e4_tools.cli.output import Report, reports
from e4_tools.deploy import Options, carry_out, plan_for
from e4_tools.issued_keys import KeyFolder
from e4_tools.labels import write_label
from e4_tools.ports import choose

_PATH = click.Path(path_type=Path)
_EXAMPLES = """\b
Examples:
  e4 provision alice --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab
  e4 provision alice --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab --keys keys --label alice.svg
  e4 provision --factory fleet.csv --keys keys --deploy --broker 192.0.2.10 --wifi MyNetwork --topic sensors/all
"""


@dataclass(frozen=True)
class _Wishes:
    """The options of the command line, apart from those that say what goes into the configuration."""

    from_password: bool
    keys: Path | None
    replace: bool
    label: Path | None
    factory: Path | None
    ledger: Path
    deploy: bool


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False)
@click.option("--port", "ports", multiple=True, envvar="E4_PORT", metavar="DEVICE", help="Serial port. [E4_PORT]")
@broker_option
@click.option("--topic", "topics", multiple=True, help="Topic filter to subscribe to; repeatable.")
@click.option("--wifi", "ssid", required=True, metavar="SSID", help="WiFi network; its password is asked for.")
@click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
@click.option("--keys", type=_PATH, metavar="FOLDER", help="Take the ID key from FOLDER/NAME.key, or make it there.")
@click.option("--replace", is_flag=True, help="Give a provisioned board another identity; its keys are forgotten.")
@click.option("--label", type=_PATH, metavar="FILE", help="Write a QR label (SVG); with --factory into a folder.")
@click.option("--factory", type=_PATH, metavar="CSV", help="Provision the names in a table, board after board.")
@click.option(
    "--ledger", type=_PATH, default="ledger.jsonl", show_default=True, help="What --factory has issued; no keys."
)
@click.option("--deploy", is_flag=True, help="Bring our files on the board up to date first.")
@reports
def provision(  # noqa: PLR0913 (one parameter for each option)
    report: Report,
    name: str | None,
    ports: tuple[str, ...],
    broker: tuple[str, int],
    topics: tuple[str, ...],
    ssid: str,
    **wishes: Any,
) -> None:
    """Give a board its NAME, ID key, WiFi, broker and topics, have it prove the key, and reset it.

    The WiFi password comes from a prompt or from WIFI_PASSWORD; the ID key from a prompt (64 hexadecimal digits, or
    nothing: the board keeps its key, or a random one is made and shown once) or from E4_KEY; with --from-password
    from a prompt or E4_PASSWORD; with --keys from a file. Safe to run again, with other settings too; another key or
    name needs --replace.

    --factory takes a CSV file with columns name and, if boards differ, topics (divided by spaces). It asks for board
    after board, or takes them from several --port; with NAME, that one only. It needs --keys, refuses names that are
    not in the file or were issued, and notes in the ledger what it issued, without keys.
    """
    wished = _Wishes(**wishes)
    _check_usage(name, topics, wished)
    wifi_password = secret("WIFI_PASSWORD", "WiFi password (empty for an open network)")
    wifi = {"ssid": ssid, **({"password": wifi_password} if wifi_password else {})}
    config = {"wifi": wifi, "broker": {"host": broker[0], "port": broker[1]}, "topics": list(topics)}
    if wished.factory is not None and wished.keys is not None:
        run = FactoryRun(wished.factory, wished.keys, wished.ledger, wished.label, wished.replace, wished.deploy)
        run.issue_all(report, name, ports, config)
    elif name is not None:
        if len(ports) > 1:
            raise click.UsageError("one board has one --port")
        _one(report, choose(ports[0] if ports else None), {"name": name, **config}, wished)


def _check_usage(name: str | None, topics: tuple[str, ...], wished: _Wishes) -> None:
    if wished.factory is None and (name is None or not topics):
        raise click.UsageError("NAME and --topic, or --factory, is missing")
    if wished.factory is not None and (wished.keys is None or wished.from_password):
        raise click.UsageError("--factory needs --keys, and takes no password")
    if wished.keys is not None and wished.from_password:
        raise click.UsageError("--keys and --from-password exclude each other")


def _one(report: Report, port: str, config: dict[str, Any], wished: _Wishes) -> None:
    name = config["name"]
    e4.id_of(name)  # raises for a name that cannot be
    key = _given_key(name, wished)
    with Board(port) as board:
        _deploy(report, board, wished)
        if key is None and not wished.replace and provisioning.holds(board, name):
            provisioning.reconfigure(board, config)
            report.say(f"{name} keeps the ID key that it has. (--replace gives it another one.)", kept_key=True)
        else:
            made = None if key else secrets.token_bytes(32)
            provisioning.install(board, config, key or made or b"", wished.replace, lambda: _show(report, made))
            report.say(f"{name} has proved that it holds its ID key.", proved=True)
        board.reset()
    _finish(report, name, wished.label)


def _given_key(name: str, wished: _Wishes) -> bytes | None:
    """Return the key that the user wants, or None if any will do."""
    if wished.keys is not None:
        return KeyFolder(wished.keys).key_of(name)
    if wished.from_password:
        return password_key(secret("E4_PASSWORD", f"Password of {name}"))
    given = secret("E4_KEY", f"ID key of {name} in hexadecimal (empty: keep it, or make one)")
    return hex_key(given, name) if given else None


def _show(report: Report, made: bytes | None) -> None:
    if made is not None:
        report.say(f"Its ID key, which C2 needs and nobody else may have: {made.hex()}", id_key=made.hex())


def _deploy(report: Report, board: Board, wished: _Wishes) -> None:
    if wished.deploy:
        plan = plan_for(board, Options(keep_main=True))
        carry_out(board, plan)
        report.say(f"{len(plan.write)} of our {len(plan.files)} files were changed.", deployed=len(plan.write))


def _finish(report: Report, name: str, label: Path | None) -> None:
    receiving = e4.receiving_topic(e4.id_of(name))
    report.say(f"{name} listens on {receiving}.", name=name, receiving_topic=receiving)
    if label is not None:
        write_label(label, name)
        report.say(f"Its label is {label}.", label=str(label))


provision_commands = [provision]
