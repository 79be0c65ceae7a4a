"""Databases, accounts and the client of a private MariaDB server."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pymysql.constants.CLIENT

import server_mariadb
from server_process import PASSWORD_ENV, USER, ServerError, password, plain_env

#: What a session of the tests' own is set to, whatever the server's defaults are. An empty sql_mode would let values
#: be cut off in silence.
PLAIN: Mapping[str, str] = {
    "sql_mode": "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "time_zone": "'+00:00'",
    "sql_select_limit": "18446744073709551615",
    "sql_safe_updates": "0",
    "sql_quote_show_create": "1",
    "group_concat_max_len": "1073741824",
    "div_precision_increment": "4",
    "explicit_defaults_for_timestamp": "1",
    "default_storage_engine": "InnoDB",
    "innodb_strict_mode": "1",
    "tx_isolation": "'REPEATABLE-READ'",
}

#: The same as the beginning of a script for the client.
PREAMBLE = "SET NAMES utf8mb4; SET autocommit = 1, " + ", ".join(f"{k} = {v}" for k, v in PLAIN.items()) + ";\n"


def quote(name: str) -> str:
    """A quoted SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str) -> str:
    """A quoted SQL string, for statements that take no bound values; sessions need the sql_mode of `PLAIN`."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


@dataclass(frozen=True)
class MysqlDatabase:
    """One database of a private server."""

    server: MysqlServer
    name: str

    @property
    def url(self) -> str:
        """As the product takes it, the password as ${SENSEI_TEST_PGPASSWORD}."""
        return self.server.url(self.name)

    @property
    def address(self) -> dict[str, Any]:
        """What a driver needs, password included."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": USER,
            "password": password(),
            "database": self.name,
        }

    def connect(self, *, user: str = USER, autocommit: bool = True, **options: Any) -> pymysql.connections.Connection:
        """A session with the settings of `PLAIN`."""
        return self.server.connect(self.name, user=user, autocommit=autocommit, **options)

    def execute(self, sql: str, values: Sequence[Any] | None = None, *, user: str = USER) -> None:
        """Run statements, each committed by itself; stops at the first error."""
        connection = self.connect(user=user)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                while cursor.nextset():
                    pass
        finally:
            connection.close()

    def query(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def value(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        """The first column of the first row."""
        return self.query(sql, values)[0][0]

    def mariadb(self, script: str | Path) -> str:
        return self.server.mariadb(self.name, script)


class MysqlServer(server_mariadb.MariadbProcess):
    """A private server with its databases and accounts; see MariadbProcess for its life."""

    def url(self, database: str, user: str = USER, password_env: str = PASSWORD_ENV) -> str:
        """A URL as the product takes it: the password is named, not given."""
        return f"mysql://{user}:${{{password_env}}}@127.0.0.1:{self.port}/{database}"

    def connect(
        self, database: str | None, *, user: str = USER, autocommit: bool = True, **options: Any
    ) -> pymysql.connections.Connection:
        """A session with the settings of `PLAIN`, several statements in one allowed."""
        return pymysql.connect(
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "user": user,
                "password": password(),
                "database": database,
                "charset": "utf8mb4",
                "autocommit": autocommit,
                "init_command": "SET " + ", ".join(f"{k} = {v}" for k, v in PLAIN.items()),
                "client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS,
                "connect_timeout": 30,
                **options,
            }
        )

    def database(self, name: str) -> MysqlDatabase:
        return MysqlDatabase(self, name)

    def create_db(self, name: str | None = None, *, charset: str | None = "utf8mb4") -> MysqlDatabase:
        """A fresh database, with a name of its own unless one is given; ``charset=None``: what the server likes."""
        name = name or f"t_{secrets.token_hex(5)}"
        self.run(f"CREATE DATABASE {quote(name)}" + (f" CHARACTER SET {charset}" if charset else ""))
        return MysqlDatabase(self, name)

    def drop_db(self, name: str) -> None:
        """Drop a database with its sessions; no error where it is not there."""
        connection = self.connect(None)
        try:
            with connection.cursor() as cursor:
                # An open transaction holds the metadata of what it read: DROP would wait for it.
                cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", [name])
                for (session,) in cursor.fetchall():
                    try:
                        cursor.execute(f"KILL {session:d}")
                    except pymysql.err.Error as error:
                        if error.args[0] != pymysql.constants.ER.NO_SUCH_THREAD:
                            raise
                # Tables of another database may point at these.
                cursor.execute("SET lock_wait_timeout = 60, foreign_key_checks = 0")
                cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")
        finally:
            connection.close()

    def databases(self, prefix: str = "") -> list[str]:
        """Names of the databases that begin so, without the server's own."""
        found = self.rows(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN"
            " ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY 1"
        )
        return [name for (name,) in found if name.startswith(prefix)]

    def create_user(self, *grants: str, name: str | None = None, secret: str | None = None) -> str:
        """An account with the common password that may only log in, and what ``grants`` say; returns its name.

        A grant is what stands between GRANT and TO: "SELECT ON `shop`.*".
        """
        name = name or f"r_{secrets.token_hex(5)}"
        self.run(f"CREATE USER {literal(name)}@'%' IDENTIFIED BY {literal(secret or password())}")
        for grant in grants:
            self.run(f"GRANT {grant} TO {literal(name)}@'%'")
        return name

    def drop_user(self, name: str) -> None:
        self.run(f"DROP USER IF EXISTS {literal(name)}@'%'")

    def run(self, *statements: str) -> None:
        """Run statements with no database selected."""
        connection = self.connect(None)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def rows(self, sql: str, values: Iterable[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a query with no database selected."""
        connection = self.connect(None)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, list(values) if values is not None else None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def mariadb(self, database: str, script: str | Path, *, user: str = USER, timeout: float = 300) -> str:
        """Run a script, text or file, through the real client, with the server's own defaults as a DBA would.

        It stops at the first error. Returns its output (stdout; tab separated, rows only); raises ServerError with
        both outputs.
        """
        command = [server_mariadb.client(), "--no-defaults", "--batch", "--skip-column-names", f"--user={user}"]
        done = subprocess.run(
            [*command, database],
            input=script.read_bytes() if isinstance(script, Path) else script.encode(),
            capture_output=True,
            env=self.client_env(),
            timeout=timeout,
        )
        if done.returncode != 0:
            raise ServerError(
                f"mariadb ended with {done.returncode}\n{done.stderr.decode(errors='replace')}\n"
                f"{done.stdout.decode(errors='replace')[-4000:]}"
            )
        return done.stdout.decode()

    def client_env(self) -> dict[str, str]:
        """The environment in which the client, told whose it is by ``--user``, asks no question."""
        return plain_env() | {
            "MYSQL_HOST": "127.0.0.1",
            "MYSQL_TCP_PORT": str(self.port),
            "MYSQL_PWD": password(),
        }
