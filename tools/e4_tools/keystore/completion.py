"""Names for a shell that completes a command line: they are wanted at once, and nobody can be asked for a secret."""

from __future__ import annotations

import sqlite3
from pathlib import Path

CLIENTS = "clients"  # the tables whose names can be offered
TOPICS = "topics"
_WAIT_SECONDS = 0.2  # for another process that is writing; a shell that waits longer seems to hang


def list_names(location: str, table: str, beginning: str) -> list[str]:
    """Return the names in one of the tables above that have this beginning, in alphabetical order.

    The file is read without SQLAlchemy and without a migration, which would take too long. A store on a server is not
    asked at all. If the store cannot be read, there are no names to offer, and no error: it would disturb the line that
    the user is typing.
    """
    try:
        connection = sqlite3.connect(f"{Path(location).absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        try:
            rows = connection.execute(f"SELECT name FROM {table} ORDER BY name").fetchall()  # noqa: S608 (our constant)
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError):  # The text of an error may be a part of a damaged store.
        return []
    return [name for (name,) in rows if isinstance(name, str) and name.isprintable() and name.startswith(beginning)]
