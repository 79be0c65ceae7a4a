"""The life of a private PgBouncer, which stands between its clients and a PostgreSQL server."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Literal

import psycopg2

import server_process
import servers
from server_process import USER, ServerError, password

Mode = Literal["session", "transaction", "statement"]


def find_pgbouncer() -> str | None:
    """PgBouncer's program, or None."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


class PgBouncer(server_process.ServerProcess):
    """A pooler of one's own before a server; see ServerProcess for its life."""

    title = "PgBouncer"
    prefix = "sensei-pb-"
    pid_file = "run/pid"
    at_once = signal.SIGKILL
    modes = {"smart": signal.SIGINT, "fast": signal.SIGTERM, "immediate": signal.SIGTERM}  # noqa: RUF012 - a constant

    def __init__(self, server: servers.PostgresServer, mode: Mode) -> None:
        program = find_pgbouncer()
        if program is None:
            raise ServerError("no PgBouncer found: install the package pgbouncer")
        super().__init__(server_process.unprivileged("postgres"))  # it refuses to run as root
        self.program, self.server, self.mode = program, server, mode

    def is_up(self) -> bool:
        """Whether a connection is answered now."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            psycopg2.connect(
                host="127.0.0.1", port=self.port, dbname="postgres", user=USER, password=password(), connect_timeout=10
            ).close()
        except psycopg2.OperationalError:
            return False
        return True

    def before(self, database: servers.Database) -> str:
        """The URL of a database of the server, by way of the pooler."""
        return database.url.replace(f"@127.0.0.1:{database.server.port}/", f"@127.0.0.1:{self.port}/")

    def _initialise_data(self, folder: Path) -> None:
        self._secret_file(folder / "data" / "users", f'"{USER}" "{password()}"\n')

    def _command(self, folder: Path, port: int) -> list[str]:
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "data" / "users",
            "pidfile": folder / self.pid_file,
            "pool_mode": self.mode,
            "default_pool_size": 20,
        }
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={self.server.port}",
            "[pgbouncer]",
            *(f"{k} = {v}" for k, v in settings.items()),
        ]
        path = self._secret_file(folder / "data" / "pgbouncer.ini", "\n".join(lines) + "\n")
        return [self.program, str(path)]
