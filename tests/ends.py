"""An end of a move, whatever engine it is of: what tests ask of a database, beside what only one engine has."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import servers

#: A database on a private server, or an SQLite file (which need not be there as a target).
End = servers.Database | servers.MysqlDatabase | Path

#: Makes a fresh end of one engine; see the fixture `maker`.
Make = Callable[[], End]
#: Gives the maker of an engine.
Maker = Callable[[str], Make]

#: Engines that the product moves between.
ENGINES = ("postgres", "sqlite", "mysql")


def url(end: End) -> str:
    """The end as the product takes it."""
    return f"sqlite:///{end}" if isinstance(end, Path) else end.url


def engine(end: End) -> str:
    """The engine's name as the product has it."""
    if isinstance(end, Path):
        return "sqlite"
    return "mysql" if isinstance(end, servers.MysqlDatabase) else "postgres"


def title(end: End) -> str:
    """The engine's name as people know it."""
    return {"postgres": "PostgreSQL", "sqlite": "SQLite", "mysql": "MariaDB"}[engine(end)]


def run(end: End, sql: str) -> None:
    """Run statements, committed."""
    if not isinstance(end, Path):
        end.execute(sql)
        return
    connection = sqlite3.connect(end, timeout=60)
    try:
        connection.executescript(sql)
    finally:
        connection.close()


def ask(end: End, sql: str) -> list[tuple[Any, ...]]:
    """Run a query."""
    if not isinstance(end, Path):
        return end.query(sql)
    connection = sqlite3.connect(end, timeout=60)
    try:
        with connection:
            return connection.execute(sql).fetchall()
    finally:
        connection.close()


def client(end: End, script: str | Path) -> str:
    """Run a script by the engine's own client, as a DBA would; raises ServerError where it stops."""
    if isinstance(end, Path):
        return servers.sqlite_shell(end, script)
    return end.mariadb(script) if isinstance(end, servers.MysqlDatabase) else end.psql(script)


def quote(end: End, name: str) -> str:
    """A quoted identifier in the end's dialect."""
    return servers.quote_mysql(name) if isinstance(end, servers.MysqlDatabase) else servers.quote(name)


def ledger_table(end: End, name: str) -> str:
    """A table of the ledger as SQL names it."""
    return f"sensei_.{name}" if isinstance(end, servers.Database) else f"sensei_{name}"


def evidence(end: End) -> list[str]:
    """Names of the tables that rollbacks have set aside, without what tells whose they are."""
    if isinstance(end, servers.Database):
        found = end.query("SELECT tablename FROM pg_tables WHERE schemaname LIKE 'sensei\\_evidence\\_%' ORDER BY 1")
    elif isinstance(end, servers.MysqlDatabase):
        found = end.query(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema LIKE 'sensei\\_evidence\\_%' ORDER BY 1"
        )
    else:
        found = ask(
            end,
            "SELECT substr(name, instr(name, '_mig_') + 5) FROM sqlite_schema"
            " WHERE type = 'table' AND name LIKE 'sensei\\_evidence\\_%' ESCAPE '\\'",
        )
        return sorted(name.partition("_")[2] for (name,) in found)
    return [name for (name,) in found]
