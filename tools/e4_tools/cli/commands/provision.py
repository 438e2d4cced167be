"""`e4 provision`: makes boards members of a fleet, one board or all of a factory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import e4
from e4_tools.board.ports import choose_port
from e4_tools.board.raw_repl import Board
from e4_tools.cli.shared.factory_run import FactoryRun
from e4_tools.cli.shared.options import password_key, secret
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.settings import Settings, settings_options
from e4_tools.cli.shared.store_access import StoreAccess, store_options
from e4_tools.keys.symmetric import parse_hex_key
from e4_tools.provisioning.factory import Factory
from e4_tools.provisioning.key_sources import GivenKey, KeyFolder, KeySource, RandomKey, StoredKeys
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
    """The options of the command line, apart from those that say what goes into the configuration."""

    access: StoreAccess
    in_store: bool
    from_password: bool
    keys: Path | None
    replace: bool
    label: Path | None
    factory: Path | None
    ledger: Path
    deploy: bool

    def key_source(self, report: Report, name: str) -> KeySource:
        """Return the source of ID keys that the options name; ask for what it needs. Raises ToolError."""
        if self.in_store:
            return StoredKeys(self.access.open_or_make(report))
        if self.keys is not None:
            return KeyFolder(self.keys)
        if self.from_password:
            return GivenKey(password_key(secret("E4_PASSWORD", f"Password of {name}")))
        given = secret("E4_KEY", f"ID key of {name} in hexadecimal (empty: keep it, or make one)")
        if given:
            return GivenKey(parse_hex_key(given, name))
        # A JSON answer is printed when all is over, and would come too late to show a key before it is final.
        return RandomKey(None if report.as_json else lambda key: _show_key(report, key))


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False)
@click.option("--port", "ports", multiple=True, envvar="E4_PORT", metavar="DEVICE", help="Serial port. [E4_PORT]")
@settings_options
@click.option(
    "--in-store", is_flag=True, help="Take the ID key from the key store, or make it there. --store implies this."
)
@click.option("--keys", type=_PATH, metavar="FOLDER", help="Take the ID key from FOLDER/NAME.key, or make it there.")
@click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
@click.option(
    "--replace", is_flag=True, help="Give a provisioned board this name and key; its other keys are forgotten."
)
@click.option(
    "--label", type=_PATH, metavar="FILE", help="Write a QR label (SVG) to this file; with --factory, to this folder."
)
@click.option("--factory", type=_PATH, metavar="CSV", help="Provision the names in a table, board after board.")
@click.option(
    "--ledger",
    type=_PATH,
    default="ledger.jsonl",
    show_default=True,
    help="The file that notes what --factory has issued, without keys.",
)
@click.option("--deploy", is_flag=True, help="Bring our files on the board up to date first.")
@store_options
@reports
def provision(report: Report, name: str | None, ports: tuple[str, ...], settings: Settings, **options: Any) -> None:
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
    if click.get_current_context().get_parameter_source("store") == ParameterSource.COMMANDLINE:
        options["in_store"] = True  # Who names a store means it to be used.
    chosen = _ProvisionOptions(**options)
    _check_usage(name, ports, settings, chosen)
    if name is not None:
        e4.id_of(name)  # raises for a name that no client can have
    port = choose_port(ports[0] if ports else None) if chosen.factory is None else ""
    config = settings.ask(report)
    # A factory has --in-store or --keys, and neither asks for a key, so the name is not needed.
    source = chosen.key_source(report, name or "")
    if chosen.factory is not None:
        factory = Factory(config, source, chosen.replace, chosen.deploy, chosen.label)
        FactoryRun(chosen.factory, chosen.ledger, name, ports).issue_all(report, factory)
    else:
        _provision_one(report, port, {"name": name, **config}, source, chosen)


def _check_usage(name: str | None, ports: tuple[str, ...], settings: Settings, chosen: _ProvisionOptions) -> None:
    if chosen.in_store + (chosen.keys is not None) + chosen.from_password > 1:
        raise click.UsageError("--in-store, --keys and --from-password exclude each other")
    if chosen.factory is None:
        if name is None or not settings.topics:
            raise click.UsageError("NAME and --topic, or --factory, is missing")
        if len(ports) > 1:
            raise click.UsageError("one board has one --port")
    elif not (chosen.in_store or chosen.keys):
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


def _show_key(report: Report, key: bytes) -> None:
    report.say(f"Its ID key, which C2 needs and nobody else may have: {key.hex()}", id_key=key.hex())


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
