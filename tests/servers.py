"""Private database servers for tests and benchmarks: databases, roles and clients of the real kind."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from server_postgres import PostgresProcess, find_postgres
from server_process import PASSWORD_ENV, USER, ServerError, password, plain_env
from servers_mysql import MysqlDatabase, MysqlServer
from servers_mysql import quote as quote_mysql

__all__ = [
    "AWKWARD_DEFAULTS",
    "PASSWORD_ENV",
    "USER",
    "Database",
    "MysqlDatabase",
    "MysqlServer",
    "PostgresServer",
    "ServerError",
    "find_postgres",
    "literal",
    "password",
    "quote",
    "quote_mysql",
    "sqlite_shell",
]

#: Database defaults that would change how values are rendered, were a session not to pin them.
AWKWARD_DEFAULTS: Mapping[str, str] = {
    "timezone": "Asia/Kathmandu",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-3",
    "search_path": "pg_catalog",
}


def quote(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A quoted SQL string, for statements that take no bound values."""
    return "'" + value.replace("'", "''") + "'"


@dataclass(frozen=True)
class Database:
    """One database of a private server."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str:
        """As the product takes it, the password as ${SENSEI_TEST_PGPASSWORD}."""
        return self.server.url(self.name)

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.name)

    def connect(self, *, autocommit: bool = True, **options: Any) -> psycopg2.extensions.connection:
        return self.server.connect(self.name, autocommit=autocommit, **options)

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> None:
        """Run statements, committed at once."""
        self.query(sql, values)

    def query(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement in a connection of its own and return its rows ([] where there are none)."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def value(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        """The first column of the first row."""
        return self.query(sql, values)[0][0]

    def psql(self, script: str | Path) -> str:
        return self.server.psql(self.name, script)

    def set_defaults(self, settings: Mapping[str, str]) -> None:
        """Settings that every later session of this database begins with."""
        for key, value in settings.items():
            self.execute(f"ALTER DATABASE {quote(self.name)} SET {key} TO {value if ',' in value else literal(value)}")


class PostgresServer(PostgresProcess):
    """A private server with its databases and roles; see PostgresProcess for its life."""

    def url(self, dbname: str, user: str = USER, password_env: str = PASSWORD_ENV) -> str:
        """A URL as the product takes it: the password is named, not given."""
        return f"postgresql://{user}:${{{password_env}}}@127.0.0.1:{self.port}/{dbname}"

    def dsn(self, dbname: str, user: str = USER) -> str:
        """A connection string for the test's own driver, password included."""
        return psycopg2.extensions.make_dsn(
            host="127.0.0.1", port=self.port, dbname=dbname, user=user, password=password()
        )

    def connect(
        self, dbname: str, *, user: str = USER, autocommit: bool = True, **options: Any
    ) -> psycopg2.extensions.connection:
        connection: psycopg2.extensions.connection = psycopg2.connect(self.dsn(dbname, user), **options)
        connection.autocommit = autocommit
        return connection

    def database(self, name: str) -> Database:
        return Database(self, name)

    def create_db(self, name: str | None = None, *, template: str = "template0", owner: str = USER) -> Database:
        """A fresh database, UTF-8, with a name of its own unless one is given."""
        name = name or f"t_{secrets.token_hex(5)}"
        self._admin(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} OWNER {quote(owner)}")
        return Database(self, name)

    def drop_db(self, name: str) -> None:
        """Drop a database with its sessions and replication slots; no error where it is not there."""
        connection = self.connect("postgres")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", [name])
                for slot, pid in cursor.fetchall():
                    if pid:
                        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                    cursor.execute("SELECT pg_drop_replication_slot(%s)", [slot])
                cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")
        finally:
            connection.close()

    def create_role(self, name: str | None = None, *, attributes: str = "LOGIN", secret: str | None = None) -> str:
        """A role, by default one that may only log in, with the common password; returns its name."""
        name = name or f"r_{secrets.token_hex(5)}"
        self._admin(f"CREATE ROLE {quote(name)} {attributes} PASSWORD {literal(secret or password())}")
        return name

    def drop_role(self, name: str) -> None:
        """Drop a role. What it owns or was granted must be gone: drop its databases first."""
        self._admin(f"DROP ROLE IF EXISTS {quote(name)}")

    def psql(self, dbname: str, script: str | Path, *, user: str = USER, timeout: float = 300) -> str:
        """Run a script, text or file, through the real psql, stopping at the first error.

        Returns its output (stdout; unaligned, rows only); raises ServerError with both outputs.
        """
        command = [str(self.bindir / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]
        command += [str(script) if isinstance(script, Path) else "-"]
        done = subprocess.run(
            command,
            input=None if isinstance(script, Path) else script.encode(),
            stdin=subprocess.DEVNULL if isinstance(script, Path) else None,
            capture_output=True,
            env=self.client_env(dbname, user),
            timeout=timeout,
        )
        if done.returncode != 0:
            raise ServerError(
                f"psql ended with {done.returncode}\n{done.stderr.decode(errors='replace')}\n"
                f"{done.stdout.decode(errors='replace')[-4000:]}"
            )
        return done.stdout.decode()

    def client_env(self, dbname: str, user: str = USER) -> dict[str, str]:
        """The environment in which psql, pg_dump and the like talk to this database without a question."""
        return plain_env() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": user,
            "PGPASSWORD": password(),
            "PGDATABASE": dbname,
            "PGCLIENTENCODING": "UTF8",
        }

    def _admin(self, sql: str) -> None:
        Database(self, "postgres").execute(sql)


def sqlite_shell(path: str | Path, script: str | Path, *, timeout: float = 300) -> str:
    """Run a script, text or file, through the real sqlite3 shell, stopping at the first error.

    Returns its output; raises ServerError with both outputs, or when the shell is not installed.
    """
    shell = shutil.which("sqlite3")
    if shell is None:
        raise ServerError("no sqlite3 shell found: run tests/install-servers.sh")
    text = script.read_text() if isinstance(script, Path) else script
    done = subprocess.run(
        [shell, "-batch", "-bail", str(path)], input=text, capture_output=True, text=True, timeout=timeout
    )
    if done.returncode != 0:
        raise ServerError(f"sqlite3 ended with {done.returncode}\n{done.stderr}\n{done.stdout[-4000:]}")
    return done.stdout
