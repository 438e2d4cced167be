"""The command that makes boards members of a fleet, one or a whole factory's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import e4
from e4_tools.board.deploy import Options, carry_out, plan_for
from e4_tools.board.ports import choose
from e4_tools.board.raw_repl import Board
from e4_tools.cli.commands.factory import FactoryRun
from e4_tools.cli.shared.options import password_key, secret
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.settings import Settings, settings_options
from e4_tools.cli.shared.store_access import StoreAccess, store_options
from e4_tools.errors import ToolError
from e4_tools.keys.symmetric import new_key, parse_hex_key
from e4_tools.provisioning import install as provisioning
from e4_tools.provisioning.key_proof import which_key
from e4_tools.provisioning.key_sources import KeyFolder, KeySource, StoredKeys
from e4_tools.provisioning.label import write_label

_PATH = click.Path(path_type=Path)
_EXAMPLES = """\b
Examples:
  e4 provision alice --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab
  e4 provision alice --in-store --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab --label alice.svg
  e4 provision alice --in-store --broker mqtt.example --ca ca.pem --broker-user alice --wifi MyNetwork --topic lab
  e4 provision --factory fleet.csv --in-store --deploy --broker 192.0.2.10 --wifi MyNetwork --topic sensors/all
"""


@dataclass(frozen=True)
class _Wishes:
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

    def source(self, report: Report) -> KeySource | None:
        """Return where the keys come from and stay, if that is anywhere. Raises ToolError."""
        if self.in_store:
            return StoredKeys(self.access.open_or_make(report))
        return KeyFolder(self.keys) if self.keys is not None else None


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False)
@click.option("--port", "ports", multiple=True, envvar="E4_PORT", metavar="DEVICE", help="Serial port. [E4_PORT]")
@settings_options
@click.option("--in-store", is_flag=True, help="The ID key is in the key store, or is made there. So with --store.")
@click.option("--keys", type=_PATH, metavar="FOLDER", help="Take the ID key from FOLDER/NAME.key, or make it there.")
@click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
@click.option("--replace", is_flag=True, help="Give a provisioned board another identity; its keys are forgotten.")
@click.option("--label", type=_PATH, metavar="FILE", help="Write a QR label (SVG); with --factory into a folder.")
@click.option("--factory", type=_PATH, metavar="CSV", help="Provision the names in a table, board after board.")
@click.option(
    "--ledger", type=_PATH, default="ledger.jsonl", show_default=True, help="What --factory has issued; no keys."
)
@click.option("--deploy", is_flag=True, help="Bring our files on the board up to date first.")
@store_options
@reports
def provision(report: Report, name: str | None, ports: tuple[str, ...], settings: Settings, **wishes: Any) -> None:
    """Give a board its NAME, ID key, WiFi, broker and topics, have it prove the key, and reset it.

    With --in-store the ID key is in the key store before the board gets it, and C2 can command the board at once: next
    is e4 grant. With --keys it comes from a file; with --from-password from a prompt or E4_PASSWORD; else from a prompt
    (64 hexadecimal digits, or nothing: the board keeps its key, or a random one is made and shown once) or E4_KEY.

    The WiFi password comes from a prompt or WIFI_PASSWORD; the password of --broker-user from a prompt,
    E4_BROKER_PASSWORD or --broker-password-file. Safe to run again, with other settings too; another key or name needs
    --replace.

    --factory takes a CSV file with columns name and, if boards differ, topics (divided by spaces). It asks for board
    after board, or takes them from several --port; with NAME, that one only. It needs --in-store or --keys, refuses
    names that are not in the file or were issued, and notes in the ledger what it issued, without keys.
    """
    if click.get_current_context().get_parameter_source("store") == ParameterSource.COMMANDLINE:
        wishes["in_store"] = True
    wished = _Wishes(**wishes)
    _check_usage(name, ports, settings, wished)
    if name is not None:
        e4.id_of(name)  # raises for a name that cannot be
    port = choose(ports[0] if ports else None) if wished.factory is None else ""
    config = settings.ask(report)
    source = wished.source(report)
    if wished.factory is not None and source is not None:
        run = FactoryRun(wished.factory, source, wished.ledger, wished.label, wished.replace, wished.deploy)
        run.issue_all(report, name, ports, config)
    elif name is not None:
        _one(report, port, {"name": name, **config}, source, wished)


def _check_usage(name: str | None, ports: tuple[str, ...], settings: Settings, wished: _Wishes) -> None:
    if wished.in_store + (wished.keys is not None) + wished.from_password > 1:
        raise click.UsageError("--in-store, --keys and --from-password exclude each other")
    if wished.factory is None:
        if name is None or not settings.topics:
            raise click.UsageError("NAME and --topic, or --factory, is missing")
        if len(ports) > 1:
            raise click.UsageError("one board has one --port")
    elif not (wished.in_store or wished.keys):
        raise click.UsageError("--factory needs --in-store or --keys")


def _one(report: Report, port: str, config: dict[str, Any], source: KeySource | None, wished: _Wishes) -> None:
    name = config["name"]
    key = None if source else _given_key(name, wished)
    with Board(port) as board:
        _deploy(report, board, wished)
        if source is not None:
            _from_source(report, board, config, source, wished.replace)
        elif key is None and not wished.replace and provisioning.holds_key_of(board, name):
            provisioning.reconfigure(board, config)
            report.say(f"{name} keeps the ID key that it has. (--replace gives it another one.)", kept_key=True)
        else:
            made = None if key else _random_key(report)
            provisioning.install(board, config, key or made or b"", wished.replace, lambda: _show(report, made))
            report.say(f"{name} has proved that it holds its ID key.", proved=True)
        board.reset()
    _finish(report, name, wished.label)


def _from_source(report: Report, board: Board, config: dict[str, Any], source: KeySource, replace: bool) -> None:
    """Give the board the key that is kept for it; or leave it the one of the store's that it holds already."""
    name = config["name"]
    held = None
    if isinstance(source, StoredKeys) and provisioning.holds_key_of(board, name):
        known = {str(number): key for number, key in enumerate(source.known_keys(name))}
        held = which_key(board, known)
        if held is None and not replace:
            raise ToolError(
                f"this board holds an ID key of {name} that the key store does not know; nothing was done. "
                f"e4 client add {name} adds that key, if you have it; --replace forgets it"
            )
    key = known[held] if held is not None else source.key_of(name)
    config = {**config, **source.settings_of(name)}
    provisioning.install(board, config, key, replace, lambda: source.proved(name, key))
    report.say(f"{name} has proved that it holds its ID key.", proved=True)
    if isinstance(source, StoredKeys):
        _tell_stored(report, name, source.topics_of(name), kept=held is not None)


def _tell_stored(report: Report, name: str, topics: list[str], kept: bool) -> None:
    report.say(in_store=True, kept_key=kept, topics_granted=topics)
    if kept:
        report.say("It is the one that the board had; topic keys on it are still there.")
    elif topics:
        report.say(f"It is in the key store. e4 sync {name} --again sends its topic keys.")
    else:
        report.say(f"It is in the key store. Next: e4 grant {name} TOPIC")


def _random_key(report: Report) -> bytes:
    if report.as_json:
        raise ToolError(
            "a random key would be in the answer only, and lost if this is interrupted; nothing was done. "
            "--in-store or --keys keeps it first"
        )
    return new_key()


def _given_key(name: str, wished: _Wishes) -> bytes | None:
    """Return the key that the user wants, or None if any will do."""
    if wished.from_password:
        return password_key(secret("E4_PASSWORD", f"Password of {name}"))
    given = secret("E4_KEY", f"ID key of {name} in hexadecimal (empty: keep it, or make one)")
    return parse_hex_key(given, name) if given else None


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
