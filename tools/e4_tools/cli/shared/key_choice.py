"""The options that say where the ID keys of boards come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from e4_tools.cli.shared.options import password_key, secret
from e4_tools.cli.shared.output import Report
from e4_tools.cli.shared.store_access import StoreAccess, store_options
from e4_tools.errors import ToolError
from e4_tools.keys.symmetric import parse_hex_key
from e4_tools.provisioning.key_sources import GivenKey, KeyFolder, KeySource, RandomKey, StoredKeys


@dataclass(frozen=True)
class KeyChoice:
    """The source of ID keys that a command line names."""

    access: StoreAccess
    in_store: bool
    folder: Path | None
    from_password: bool

    @property
    def keeps_many(self) -> bool:
        """Tell whether it keeps the keys of many clients."""
        return self.in_store or self.folder is not None

    def source(self, report: Report, name: str, may_be_random: bool = True) -> KeySource:
        """Return the source, and ask for what it needs. Raises ToolError.

        With `may_be_random` and no answer, the key is one that only the board will have.
        """
        if self.in_store:
            return StoredKeys(self.access.open_or_make(report))
        if self.folder is not None:
            return KeyFolder(self.folder)
        if self.from_password:
            return GivenKey(password_key(secret("E4_PASSWORD", f"Password of {name}")))
        otherwise = " (empty: keep it, or make one)" if may_be_random else ""
        given = secret("E4_KEY", f"ID key of {name} in hexadecimal{otherwise}")
        if given:
            return GivenKey(parse_hex_key(given, name))
        if not may_be_random:
            raise ToolError("no ID key was given; nothing was done. --in-store and --keys make one and keep it")
        # A JSON answer is printed when all is over, and would come too late to show a key before it is final.
        return RandomKey(None if report.as_json else lambda key: _show_key(report, key))


def key_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where ID keys come from, and the argument `keys`, a `KeyChoice`."""

    @click.option(
        "--in-store", is_flag=True, help="Take the ID key from the key store, or make it there. --store implies this."
    )
    @click.option(
        "--keys",
        "folder",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Take the ID key from FOLDER/NAME.key, or make it there.",
    )
    @click.option("--from-password", is_flag=True, help="Derive the ID key from a password, which is asked for.")
    @store_options
    @wraps(command)
    def wrapped(
        *arguments: Any, access: StoreAccess, in_store: bool, folder: Path | None, from_password: bool, **options: Any
    ) -> None:
        if click.get_current_context().get_parameter_source("store") == ParameterSource.COMMANDLINE:
            in_store = True  # Who names a store means it to be used.
        if in_store + (folder is not None) + from_password > 1:
            raise click.UsageError("--in-store, --keys and --from-password exclude each other")
        command(*arguments, keys=KeyChoice(access, in_store, folder, from_password), **options)

    return wrapped


def _show_key(report: Report, key: bytes) -> None:
    report.say(f"Its ID key, which C2 needs and nobody else may have: {key.hex()}", id_key=key.hex())
