"""The options that name a key store, and how commands ask for the secret that opens it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from platformdirs import user_data_path

from e4_tools.cli.shared.options import secret
from e4_tools.cli.shared.output import Report
from e4_tools.errors import KeyStoreError, ToolError
from e4_tools.keys.files import read_key
from e4_tools.keystore import (
    KEY_FILE,
    LEAST_PASSPHRASE,
    PASSPHRASE,
    KeyStore,
    make_store,
    open_store,
    read_store,
    store_exists,
)
from e4_tools.keystore.completion import CLIENTS, TOPICS, list_names
from e4_tools.keystore.engine import has_password


def default_store() -> str:
    """Return the path of the key store that is used if the user names none.

    It is in the user's folder for data: on Linux as the XDG Base Directory Specification defines it, on macOS in
    ~/Library/Application Support, on Windows in %LOCALAPPDATA%.
    """
    return str(user_data_path("e4", appauthor=False) / "e4-store.db")


@dataclass(frozen=True)
class StoreAccess:
    """The key store that a command line names, and what opens it."""

    location: str  # a path or a URL
    key_file: Path | None  # None: a passphrase opens it

    def read(self) -> KeyStore:
        """Return the store, locked. No secret is asked for. Raises KeyStoreError."""
        return read_store(self.location)

    def open(self) -> KeyStore:
        """Return the store, unlocked; the user may be asked for the passphrase. Raises KeyStoreError, ToolError."""
        return open_store(self.location, self._secret)

    def open_or_make(self, report: Report) -> KeyStore:
        """Return the store, unlocked. If there is none, make it and report that. Raises KeyStoreError, ToolError."""
        if store_exists(self.location):
            return self.open()
        kind = KEY_FILE if self.key_file else PASSPHRASE
        store = make_store(self.location, kind, self.new_secret())
        report.say(f"A new key store has been made: {store.location}", new_store=store.location)
        return store

    def new_secret(self, variable: str = "E4_PASSPHRASE") -> bytes:
        """Return the key in the key file, or a new passphrase, which the user types twice.

        The user is asked again for a passphrase that is too short. An error would waste all that the user has answered
        before. A passphrase from the environment that is too short is an error. Raises KeyStoreError, ToolError.
        """
        if self.key_file:
            return read_key(self.key_file)
        given = bool(os.environ.get(variable))
        passphrase = b""
        while len(passphrase) < LEAST_PASSPHRASE:
            passphrase = _ask(variable, f"New passphrase for the key store ({LEAST_PASSPHRASE} bytes or more)")
            if given and len(passphrase) < LEAST_PASSPHRASE:
                raise KeyStoreError(f"a passphrase has at least {LEAST_PASSPHRASE} bytes; nothing was done")
        if not given and _ask(variable, "The same again") != passphrase:
            raise KeyStoreError("the two passphrases differ; nothing was done")
        return passphrase

    def _secret(self, kind: str) -> bytes:
        """Return the secret that opens the store. `kind` is PASSPHRASE or KEY_FILE: what the store has recorded."""
        if kind == PASSPHRASE:
            return _ask("E4_PASSPHRASE", "Passphrase of the key store")
        if self.key_file is None:
            raise KeyStoreError(
                "this key store opens with a key file: --store-key-file or E4_KEYFILE; nothing was done"
            )
        return read_key(self.key_file)


def _ask(variable: str, prompt: str) -> bytes:
    """Return a passphrase from the environment or a prompt. Raises KeyStoreError if there is neither."""
    try:
        return secret(variable, prompt, may_be_empty=False).encode()
    except ToolError as error:
        raise KeyStoreError(f"no passphrase: {error}") from None


def store_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name the key store, and the argument `access`, a `StoreAccess`."""

    @click.option(
        "--store",
        envvar="E4_STORE",
        metavar="PATH|URL",
        help="The key store. [E4_STORE; else e4/e4-store.db in your folder for data]",
    )
    @click.option(
        "--store-key-file",
        envvar="E4_KEYFILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Key file that opens the store, instead of a passphrase from a prompt or E4_PASSPHRASE. [E4_KEYFILE]",
    )
    @wraps(command)
    def wrapped(*arguments: Any, store: str | None, store_key_file: Path | None, **options: Any) -> None:
        source = click.get_current_context().get_parameter_source("store")
        if store is not None and source == ParameterSource.COMMANDLINE and has_password(store):
            raise click.UsageError(
                "others can read a password on a command line; give the URL in E4_STORE, or leave the password out "
                "of it and to PGPASSFILE"
            )
        command(*arguments, access=StoreAccess(store or default_store(), store_key_file), **options)

    return wrapped


def _offer_names(table: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a function that completes names from a table of the key store, for `shell_complete` of click."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        location = context.params.get("store") or os.environ.get("E4_STORE") or default_store()
        return [CompletionItem(name) for name in list_names(location, table, typed)]

    return complete


complete_clients = _offer_names(CLIENTS)
complete_topics = _offer_names(TOPICS)
client_argument = click.argument("name", metavar="CLIENT", shell_complete=complete_clients)
topic_argument = click.argument("topic", shell_complete=complete_topics)
