"""A PostgreSQL server for tests, on loopback, with its data in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from e4_tools.mqtt.embedded_broker import HOST, free_port

# Only this server has this password, so it is no secret.
PASSWORD = "pass-of-the-server"  # noqa: S105
_USER = "e4user"
_PLACES = "/usr/local/bin:/usr/local/pgsql/bin:" + ":".join(map(str, Path("/usr/lib/postgresql").glob("*/bin")))


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_PLACES)


class PostgreSQL:
    """The server. Call `start` and `stop`; `url` returns the address of a database, which is empty at first."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="e4-postgresql-"))
        # PostgreSQL refuses to run as root. Then another user runs it.
        self._owner = "postgres" if os.getuid() == 0 else None
        if self._owner:
            shutil.chown(self._folder, self._owner)

    def _run(self, program: str, *arguments: str) -> None:
        found = find_program(program)
        if found is None:
            raise RuntimeError(f"there is no {program}")
        log = self._folder / "programs.log"
        with log.open("ab") as file:
            done = subprocess.run(
                [found, *arguments], stdout=file, stderr=file, user=self._owner, cwd=self._folder, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {log.read_text()}")

    def start(self) -> None:
        data, password = self._folder / "data", self._folder / "password"
        password.write_text(PASSWORD)
        self._run("initdb", "-D", str(data), "-A", "scram-sha-256", f"--pwfile={password}", "-U", _USER, "-E", "UTF8")
        options = f"-p {self.port} -c listen_addresses={HOST} -k {self._folder} -F"
        self._run("pg_ctl", "-D", str(data), "-o", options, "-l", str(self._folder / "server.log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://{_USER}:{password}@{HOST}:{self.port}/{database}"
