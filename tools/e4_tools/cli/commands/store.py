"""`e4 store`: what the key store is, and what opens it."""

from __future__ import annotations

from pathlib import Path

import click

from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import progress_bar
from e4_tools.cli.shared.store_access import StoreAccess, store_options
from e4_tools.fleet.listing import summarize_store
from e4_tools.keystore import KEY_FILE, PASSPHRASE
from e4_tools.keystore.models import SCHEMA


@click.group("store")
def store_group() -> None:
    """The key store itself."""


@store_group.command("show")
@store_options
@reports
def show_store(report: Report, access: StoreAccess) -> None:
    """Say where the key store is, what opens it, and how much is in it. No secret is asked for."""
    store = access.read()
    found = summarize_store(store)
    report.say(
        f"{store.location}, schema {SCHEMA}, opened by a {found.opened_by}",
        place=store.location,
        schema=SCHEMA,
        opened_by=found.opened_by,
    )
    counts = {"clients": found.clients, "topics": found.topics, "unsent": found.unsent}
    report.say(", ".join(f"{number} {name}" for name, number in counts.items()), **counts)


@store_group.command("relock")
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key file that opens the store from then on.",
)
@store_options
@reports
def relock_store(report: Report, access: StoreAccess, new_key_file: Path | None) -> None:
    """Change the passphrase of the key store, or have a key file open it, and encrypt all its secrets anew.

    The new passphrase comes from a prompt or from E4_NEW_PASSPHRASE. Old copies of the store still open with what
    opened them, and hold the keys of their time. They open nothing that is added later.
    """
    store = access.open()
    key = StoreAccess(access.location, new_key_file).new_secret("E4_NEW_PASSPHRASE")
    with store.sending_lock(), progress_bar(report, "Encrypting") as progress:
        count = store.relock(KEY_FILE if new_key_file else PASSPHRASE, key, progress)
    report.say(
        f"{store.location} is opened by the new {'key file' if new_key_file else 'passphrase'} now, and all its "
        "secrets were encrypted anew. Old copies of it still open with what opened them; delete them, and rotate what "
        "they hold if somebody may open one.",
        encrypted_anew=count,
    )
