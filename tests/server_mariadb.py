"""The life of a private MariaDB server, whose defaults are those of a server that nobody tuned for us."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pymysql

import server_process
from server_process import USER, ServerError, password

#: Global defaults that would change what a session stores, reads or prints, were it not to pin them. All of them are
#: found on servers that somebody runs.
AWKWARD_SETTINGS: Mapping[str, str] = {
    "character_set_server": "latin1",
    "collation_server": "latin1_swedish_ci",
    "default_time_zone": "+05:45",
    # Not strict: what does not fit is cut off with a warning. Backslashes, double quotes and || mean other things.
    "sql_mode": "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,PAD_CHAR_TO_FULL_LENGTH,"
    "HIGH_NOT_PRECEDENCE,REAL_AS_FLOAT",
    "innodb_strict_mode": "OFF",
    # A bare TIMESTAMP column is then NOT NULL and follows each update.
    "explicit_defaults_for_timestamp": "OFF",
    "default_storage_engine": "Aria",
    "autocommit": "OFF",
    "transaction_isolation": "READ-UNCOMMITTED",
    "group_concat_max_len": "100",
    "div_precision_increment": "0",
    "sql_safe_updates": "ON",
}

#: As above, where the server takes no option: set when it has started.
_AWKWARD_GLOBALS: Mapping[str, str] = {
    "sql_select_limit": "50",
    "sql_quote_show_create": "0",
}


def find_mariadb() -> Path | None:
    """MariaDB's server, or None. SENSEI_TEST_MARIADBD overrides."""
    if named := os.environ.get("SENSEI_TEST_MARIADBD"):
        return Path(named)
    found = shutil.which("mariadbd", path=_path())
    return Path(found) if found else None


def _tool(name: str) -> str:
    found = shutil.which(name, path=_path())
    if found is None:
        raise ServerError(f"no {name} found: run tests/install-servers.sh")
    return found


def _path() -> str:
    # Debian puts servers where only root's PATH looks.
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"])


class MariadbProcess(server_process.ServerProcess):
    """A MariaDB server of one's own on 127.0.0.1; see ServerProcess for its life."""

    title = "MariaDB"
    prefix = "sensei-my-"
    pid_file = "run/pid"
    at_once = signal.SIGKILL
    #: It knows one way to be asked; sessions are always ended.
    modes = {"smart": signal.SIGTERM, "fast": signal.SIGTERM, "immediate": signal.SIGKILL}  # noqa: RUF012 - a constant

    def __init__(self, settings: Mapping[str, str] | None = None, *, awkward: bool = True) -> None:
        """``settings`` win over the test's own; ``awkward=False`` leaves the server's defaults as they are."""
        server = find_mariadb()
        if server is None:
            raise ServerError("no MariaDB server found: run tests/install-servers.sh")
        super().__init__(server_process.unprivileged("mysql"))  # it refuses to run as root
        self.server = server
        self._globals = dict(_AWKWARD_GLOBALS) if awkward else {}
        self._settings = {
            # What was committed outlives the server, not the machine.
            "innodb_flush_log_at_trx_commit": "2",
            "innodb_flush_method": "nosync",
            "innodb_doublewrite": "OFF",
            "innodb_buffer_pool_size": "64M",
            "innodb_log_file_size": "32M",
            "innodb_fast_shutdown": "1",
            "aria_pagecache_buffer_size": "8M",
            "key_buffer_size": "8M",
            "max_connections": "80",
            "log_bin": "binlog",
            "binlog_format": "ROW",
            "sync_binlog": "0",
            "expire_logs_days": "1",
            "server_id": "1",
            **(AWKWARD_SETTINGS if awkward else {}),
            **(settings or {}),
        }

    def is_up(self) -> bool:
        """Whether a connection is answered now."""
        if self._process is None or self._process.poll() is not None:
            return False
        try:
            self._admin_connection().close()
        except pymysql.err.OperationalError:
            return False
        return True

    def change(self, settings: Mapping[str, str]) -> None:
        """Give it other settings, from its next start on."""
        self._settings.update(settings)

    def _admin_connection(self) -> pymysql.connections.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=USER, password=password(), connect_timeout=10, autocommit=True
        )

    def _initialise_data(self, folder: Path) -> None:
        self._run(
            [
                *[_tool("mariadb-install-db"), "--no-defaults", f"--datadir={folder / 'data'}", "--skip-test-db"],
                *["--auth-root-authentication-method=normal", "--skip-name-resolve"],
                *["--innodb-log-file-size=4M", "--innodb-flush-method=nosync"],
                # A server that starts removes the temporary tables that it finds there, whosever they are.
                f"--tmpdir={folder / 'run'}",
            ],
            folder,
        )
        word = password().replace("'", "''")
        globals_ = "".join(f"SET GLOBAL {k} = {v};\n" for k, v in self._globals.items())
        # Read at each start; quotes double as they do in every sql_mode.
        self._secret_file(
            folder / "run" / "init.sql",
            f"{globals_}SET SESSION sql_safe_updates = 0;\n"
            "DELETE FROM mysql.global_priv WHERE user IN ('root', '');\nFLUSH PRIVILEGES;\n"
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{word}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n",
        )

    def _command(self, folder: Path, port: int) -> list[str]:
        settings = self._settings | {
            "datadir": str(folder / "data"),
            "tmpdir": str(folder / "run"),
            "socket": str(folder / "run" / "socket"),
            "pid_file": str(folder / self.pid_file),
            "init_file": str(folder / "run" / "init.sql"),
            "bind_address": "127.0.0.1",
            "port": str(port),
            "skip_name_resolve": "ON",
        }
        return [str(self.server), "--no-defaults", *(f"--{k}={v}" for k, v in settings.items())]


def client() -> str:
    """The client ``mariadb``; raises ServerError where it is not installed."""
    return _tool("mariadb")
