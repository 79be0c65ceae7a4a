"""The private PostgreSQL server of the tests, with the settings of a server that has work to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# The tests' harness is a folder of modules, not a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import servers

#: The variable that holds the password; connection URLs name it as Sensei expects.
PASSWORD_VARIABLE: str = servers.PASSWORD_ENV
Missing = servers.ServerError

# Same for all sides. The disk of a shared machine is the noisiest part of it, so fsync is off unless asked
# for; autovacuum would work in whichever side happens to be measured when it wakes.
SETTINGS = {
    "shared_buffers": "512MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "8GB",
    "full_page_writes": "on",
    "autovacuum": "off",
    "jit": "on",
}


class Server(servers.PostgresServer):
    """Life cycle as in the tests: a context, or start() and close()."""

    def __init__(self, *, fsync: bool = False) -> None:
        super().__init__({**SETTINGS, "fsync": "on" if fsync else "off"})

    def __enter__(self) -> Server:
        self.start()
        return self

    @property
    def pid(self) -> int:
        """Of the postmaster: every backend is a child of it."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def plain_url(self, database: str, *, secret: bool = False) -> str:
        """For tools that read no ``${NAME}``; without ``secret`` they have to take PGPASSWORD."""
        word = f":{servers.password()}" if secret else ""
        return f"postgresql://{servers.USER}{word}@127.0.0.1:{self.port}/{database}"

    def environment(self) -> dict[str, str]:
        """What a client needs beside its URL."""
        return {"PGPASSWORD": servers.password()}

    def sql(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction; the rows that it returns, if any."""
        rows: list[tuple[Any, ...]] = self.database(database).query(statement)
        return rows
