"""A hot standby of a private PostgreSQL server: it follows, and reads only."""

from __future__ import annotations

from pathlib import Path

import servers
from server_process import USER, password


class Standby(servers.PostgresServer):
    """Made by pg_basebackup from a server that runs, whose databases, accounts and password it has."""

    def __init__(self, primary: servers.PostgresServer) -> None:
        super().__init__()
        self.primary = primary

    def _initialise_data(self, folder: Path) -> None:
        secret = self._secret_file(folder / "run" / "pass", f"127.0.0.1:*:*:{USER}:{password()}\n")
        where = f"host=127.0.0.1 port={self.primary.port} user={USER} passfile={secret}"
        self._run(
            [
                *[str(self.bindir / "pg_basebackup"), "-D", str(folder / "data"), "-d", where],
                *["-R", "-X", "stream", "-c", "fast", "--no-sync"],
            ],
            folder,
        )

    def caught_up(self) -> bool:
        """Whether all that the primary has committed until now can be read here."""
        there = self.primary.database("postgres").value("SELECT pg_current_wal_lsn()::text")
        return bool(self.database("postgres").value(f"SELECT pg_last_wal_replay_lsn() >= {servers.literal(there)}"))
