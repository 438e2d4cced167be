"""`e4 provision`: makes boards members of a fleet, one board or all of a factory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import e4
from e4_tools.board.ports import choose_port
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.factory_run import FactoryRun
from e4_tools.cli.shared.key_choice import KeyChoice, key_options
from e4_tools.cli.shared.options import ledger_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.settings import Settings, settings_options
from e4_tools.provisioning.factory import Factory
from e4_tools.provisioning.key_sources import KeySource
from e4_tools.provisioning.label import prepare_label, write_label
from e4_tools.provisioning.provision_board import ProvisionedBoard, provision_board, update_files

_PATH = click.Path(path_type=Path)
_EXAMPLES = """\b
Examples:
  e4 provision alice --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab
  e4 provision alice --in-store --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab --label alice.svg
  e4 provision alice --in-store --broker mqtt.example --ca ca.pem --broker-user alice --wifi MyNetwork --topic lab
  e4 provision --factory fleet.csv --in-store --deploy --broker 192.0.2.10 --wifi MyNetwork --topic sensors/all
"""


@dataclass(frozen=True)
class _ProvisionOptions:
    """The options that say neither what goes into the configuration nor where the ID key comes from."""

    replace: bool
    label: Path | None
    factory: Path | None
    ledger: Path
    deploy: bool


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False)
@click.option("--port", "ports", multiple=True, envvar="E4_PORT", metavar="DEVICE", help="Serial port. [E4_PORT]")
@settings_options
@key_options
@click.option(
    "--replace", is_flag=True, help="Give a provisioned board this name and key; its other keys are forgotten."
)
@click.option(
    "--label", type=_PATH, metavar="FILE", help="Write a QR label (SVG) to this file; with --factory, to this folder."
)
@click.option("--factory", type=_PATH, metavar="CSV", help="Provision the names in a table, board after board.")
@ledger_option
@click.option("--deploy", is_flag=True, help="Bring our files on the board up to date first.")
@reports
def provision(
    report: Report, name: str | None, ports: tuple[str, ...], settings: Settings, keys: KeyChoice, **options: Any
) -> None:
    """Give a board its NAME, ID key, WiFi, broker and topics, have it prove the key, and reset it.

    \b
    The ID key comes from one of these sources:
      --in-store       The key store, which has the key before the board gets it.
                       C2 can command the board at once: next is e4 grant.
      --keys           A file in a folder.
      --from-password  A password, which comes from a prompt or E4_PASSWORD.
      none of these    A prompt or E4_KEY, with 64 hexadecimal digits. If it is
                       empty, the board keeps its key, or a random key is made
                       and shown once.

    The WiFi password comes from a prompt or WIFI_PASSWORD; the password of --broker-user from a prompt,
    E4_BROKER_PASSWORD or --broker-password-file. Safe to run again, with other settings too; another key or name needs
    --replace.

    --factory takes a CSV file with columns name and, if boards differ, topics (divided by spaces). It asks for board
    after board, or takes them from several --port; with NAME, that one only. It needs --in-store or --keys, refuses
    names that are not in the file or were issued, and notes in the ledger what it issued, without keys.
    """
    chosen = _ProvisionOptions(**options)
    _check_usage(name, ports, settings, keys, chosen)
    if name is not None:
        e4.id_of(name)  # raises for a name that no client can have
    port = choose_port(ports[0] if ports else None) if chosen.factory is None else ""
    config = settings.ask(report)
    # A factory has --in-store or --keys, and neither asks for a key, so the name is not needed.
    source = keys.source(report, name or "")
    if chosen.factory is not None:
        factory = Factory(config, source, chosen.replace, chosen.deploy, chosen.label)
        FactoryRun(chosen.factory, chosen.ledger, name, ports).issue_all(report, factory)
    else:
        _provision_one(report, port, {"name": name, **config}, source, chosen)


def _check_usage(
    name: str | None, ports: tuple[str, ...], settings: Settings, keys: KeyChoice, chosen: _ProvisionOptions
) -> None:
    if chosen.factory is None:
        if name is None or not settings.topics:
            raise click.UsageError("NAME and --topic, or --factory, is missing")
        if len(ports) > 1:
            raise click.UsageError("one board has one --port")
    elif not keys.keeps_many:
        raise click.UsageError("--factory needs --in-store or --keys")


def _provision_one(
    report: Report, port: str, config: dict[str, Any], source: KeySource, chosen: _ProvisionOptions
) -> None:
    if chosen.label is not None:
        prepare_label(chosen.label)
    with Board(port) as board:
        if chosen.deploy:
            plan = update_files(board)
            report.say(f"{len(plan.write)} of our {len(plan.files)} files were changed.", deployed=len(plan.write))
        provisioned = provision_board(board, config, source, chosen.replace)
        _report_key(report, provisioned)
        board.reset()
    name, receiving = provisioned.name, provisioned.receiving_topic
    report.say(f"{name} listens on {receiving}.", name=name, receiving_topic=receiving)
    if chosen.label is not None:
        write_label(chosen.label, name)
        report.say(f"Its label is {chosen.label}.", label=str(chosen.label))


def _report_key(report: Report, board: ProvisionedBoard) -> None:
    """Say which ID key the board holds now, and what to do next with a key that is in the key store."""
    name, topics = board.name, board.topics_granted
    if not board.proved:
        report.say(f"{name} keeps the ID key that it has. (--replace gives it another one.)", kept_key=True)
        return
    report.say(f"{name} has proved that it holds its ID key.", proved=True)
    if topics is None:
        return
    if board.kept_key:
        text = "It is the one that the board had; topic keys on it are still there."
    elif topics:
        text = f"It is in the key store. e4 sync {name} --again sends its topic keys."
    else:
        text = f"It is in the key store. Next: e4 grant {name} TOPIC"
    report.say(text, in_store=True, kept_key=board.kept_key, topics_granted=topics)


provision_commands = [provision]
