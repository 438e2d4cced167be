"""The options that say what goes into a board's configuration besides its name: WiFi, broker, topics and the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from e4_tools.cli.shared.options import BrokerChoice, broker_option, optional_broker_option, secret
from e4_tools.cli.shared.output import Report
from e4_tools.errors import ToolError
from e4_tools.keys.secret_files import read_private_file

# Entries of the configuration that --set refuses, because other options of the command line give their values. The
# first three are refused with everything that is in them; "broker" has entries that --set may give a value.
_GROUPS_WITH_OPTIONS = ("name", "wifi", "topics")
_ENTRIES_WITH_OPTIONS = (
    *_GROUPS_WITH_OPTIONS, "broker", "broker.host", "broker.port", "broker.user", "broker.password", "broker.ca",
)  # fmt: skip
_MAX_DEPTH = 2  # An entry is at the top of the configuration, or in a group at the top.
_FILE = click.Path(path_type=Path, dir_okay=False)

# Further entries of the configuration: for each the names that lead to it, such as ("broker", "keepalive"), and its
# value, which is whatever JSON can express.
_Entries = tuple[tuple[tuple[str, ...], Any], ...]


@dataclass(frozen=True)
class Settings:
    """The options that a user has given. The broker's user and password are those of the boards, not of the host."""

    ssid: str
    topics: tuple[str, ...]
    broker: BrokerChoice
    user: str | None
    password_file: Path | None
    entries: _Entries

    def ask(self, report: Report) -> dict[str, Any]:
        """Ask for the secrets, and return a configuration without its name, as `provisioning.install` takes it.

        Raises ToolError before anything is done to a board.
        """
        authority = self.broker.authority()
        broker: dict[str, Any] = {"host": self.broker.host, "port": self.broker.port}
        if authority is not None:
            until = f"{authority.expires:%Y-%m-%d}"
            report.say(f"Broker's CA: {authority.subject}, until {until}.", ca=authority.subject, ca_expires=until)
            broker["ca"] = authority.der
        wifi_password = secret("WIFI_PASSWORD", "WiFi password (empty for an open network)")
        if self.user is not None:
            broker.update(user=self.user, password=self._broker_password(self.user))
        wifi = {"ssid": self.ssid, **({"password": wifi_password} if wifi_password else {})}
        config: dict[str, Any] = {"wifi": wifi, "broker": broker, "topics": list(self.topics)}
        for (*groups, entry), value in self.entries:
            group = config
            for name in groups:
                group = group.setdefault(name, {})
            group[entry] = value
        return config

    def _broker_password(self, user: str) -> str:
        if self.password_file is None:
            password = secret("E4_BROKER_PASSWORD", f"Password of {user} at the broker")
        else:
            password = _first_line(self.password_file)
        if not password:
            raise ToolError(f"the password of {user} at the broker is empty; nothing was done")
        return password


def _first_line(path: Path) -> str:
    """Return the first line of a file, or "" if the file is empty. Raises ToolError also if others may read it."""
    try:
        text = read_private_file(path, "password file").decode("utf-8")
    except UnicodeDecodeError:
        raise ToolError(f"the password file {path} cannot be read: not UTF-8; nothing was done") from None
    return text.partition("\n")[0].removesuffix("\r")


def _parse_entries(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> _Entries:
    """Split each ENTRY=VALUE into path and value. A value that is not JSON is text.

    Entries that no configuration has are not found out here: the board knows its own version of the configuration.
    """
    found: dict[tuple[str, ...], Any] = {}
    for text in given:
        entry, equals, value = text.partition("=")
        path = tuple(entry.split("."))
        if not equals or not all(path) or len(path) > _MAX_DEPTH:
            raise click.BadParameter(f"{entry} is not ENTRY=VALUE, with ENTRY like time_servers or broker.keepalive")
        if entry in _ENTRIES_WITH_OPTIONS or path[0] in _GROUPS_WITH_OPTIONS:
            part = "; entries in it can be set one by one, such as broker.keepalive" if entry == "broker" else ""
            raise click.BadParameter(f"{entry} has an option of its own: see --help{part}")
        try:
            found[path] = json.loads(value)
        except (ValueError, RecursionError):
            found[path] = value
    for path in found:
        if path[:1] != path and path[:1] in found:
            raise click.BadParameter(
                f"{'.'.join(path)} is a part of {path[0]}, which is given as well; give one of them"
            )
    return tuple(found.items())


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what goes into the configuration, and the argument `settings`."""
    return _settings_options(command, required=True)


def optional_settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the same options, and the argument `settings`, which is None if none of them is given."""
    return _settings_options(command, required=False)


def _settings_options(command: Callable[..., None], required: bool) -> Callable[..., None]:
    @(broker_option if required else optional_broker_option)
    @click.option("--topic", "topics", multiple=True, help="Topic filter to subscribe to; repeatable.")
    @click.option("--wifi", "ssid", required=required, metavar="SSID", help="WiFi network; its password is asked for.")
    @click.option("--broker-user", metavar="NAME", help="The board's user at the broker; the password is asked for.")
    @click.option(
        "--broker-password-file", type=_FILE, help="The board's password at the broker is the first line of this file."
    )
    @click.option(
        "--set",
        "entries",
        multiple=True,
        callback=_parse_entries,
        metavar="ENTRY=VALUE",
        help="Another entry of the board's configuration (see docs/configuration.md), such as broker.keepalive=30, its "
        "value in JSON; repeatable.",
    )
    @wraps(command)
    def wrapped(  # noqa: PLR0913 (one parameter for each option)
        *arguments: Any,
        broker: BrokerChoice | None,
        topics: tuple[str, ...],
        ssid: str | None,
        broker_user: str | None,
        broker_password_file: Path | None,
        entries: _Entries,
        **options: Any,
    ) -> None:
        if broker_password_file is not None and broker_user is None:
            raise click.UsageError("--broker-password-file goes with --broker-user")
        if ssid is None or broker is None:
            # The broker may come from the environment, so that alone it says nothing.
            if ssid is not None or topics or broker_user is not None or entries:
                raise click.UsageError(f"{'--wifi' if ssid is None else '--broker'} is missing")
            command(*arguments, settings=None, **options)
            return
        settings = Settings(ssid, topics, broker, broker_user, broker_password_file, entries)
        command(*arguments, settings=settings, **options)

    return wrapped
