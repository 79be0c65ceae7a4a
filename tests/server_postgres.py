"""The life of a private PostgreSQL server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg2

import server_process
from server_process import USER, ServerError, password


def find_postgres() -> Path | None:
    """The folder of the newest PostgreSQL server binaries, or None. SENSEI_TEST_PGBIN overrides."""
    if named := os.environ.get("SENSEI_TEST_PGBIN"):
        return Path(named)
    roots = [Path("/usr/lib/postgresql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt")]
    found = [p.parent for root in roots for p in root.glob("*/bin/initdb") if (p.parent / "postgres").exists()]
    if found:
        return max(found, key=lambda p: [int(n) for n in re.findall(r"\d+", p.parent.name)] or [0])
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresProcess(server_process.ServerProcess):
    """A PostgreSQL server of one's own on 127.0.0.1; see ServerProcess for its life."""

    title = "PostgreSQL"
    prefix = "sensei-pg-"
    pid_file = "data/postmaster.pid"
    at_once = signal.SIGQUIT
    modes = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}  # noqa: RUF012 - a constant

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        bindir = find_postgres()
        if bindir is None:
            raise ServerError("no PostgreSQL server binaries found: run tests/install-servers.sh")
        super().__init__(server_process.unprivileged("postgres"))  # initdb refuses root
        self.bindir = bindir
        self._settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "wal_level": "logical",
            "max_connections": "60",
            "max_wal_senders": "10",
            "max_replication_slots": "20",
            "shared_buffers": "64MB",
            "jit": "off",
            **(settings or {}),
        }

    @property
    def major(self) -> int:
        out = subprocess.run([self.bindir / "postgres", "-V"], capture_output=True, text=True, check=True).stdout
        return int(re.findall(r"\d+", out)[0])

    def is_up(self) -> bool:
        """Whether a connection is answered now."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            psycopg2.connect(
                host="127.0.0.1",
                port=self.port,
                dbname="postgres",
                user=USER,
                password=password(),
                connect_timeout=3,
            ).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _initialise_data(self, folder: Path) -> None:
        pwfile = self._secret_file(folder / "run" / "password", password() + "\n")
        self._run(
            [
                *[str(self.bindir / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256"],
                *[f"--pwfile={pwfile}", "-E", "UTF8", "--no-sync", f"--locale={_locale()}"],
            ],
            folder,
        )
        pwfile.unlink()

    def _command(self, folder: Path, port: int) -> list[str]:
        settings = self._settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(folder / "run"),
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.bindir / "postgres"), "-D", str(folder / "data"), *arguments]


def _locale() -> str:
    return "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
