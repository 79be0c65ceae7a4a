"""Fixtures of the sample databases: copies that a test may do anything to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import datasets
import fix_mysql
import servers


@pytest.fixture
def pg_dataset(pg_server: servers.PostgresServer) -> Iterator[Callable[[str], servers.Database]]:
    """``pg_dataset("pagila")``: a fresh database with that data set on the shared server."""
    made: list[servers.Database] = []

    def load(name: str) -> servers.Database:
        pg_server.start()
        database = datasets.load_postgres(name, pg_server)
        made.append(database)
        return database

    yield load
    for database in made:
        pg_server.start()
        pg_server.drop_db(database.name)


@pytest.fixture
def mysql_dataset(request: pytest.FixtureRequest) -> Iterator[Callable[[str], servers.MysqlDatabase]]:
    """``mysql_dataset("sakila")``: a fresh database with that data set on the shared MariaDB server.

    The server starts when the first data set is asked for.
    """
    made: list[servers.MysqlDatabase] = []

    def load(name: str) -> servers.MysqlDatabase:
        server: servers.MysqlServer = request.getfixturevalue("mysql_server")
        server.start()
        database = datasets.load_mysql(name, server)
        made.append(database)
        return database

    yield load
    fix_mysql.tidy(made)


@pytest.fixture
def sqlite_dataset(tmp_path: Path) -> Callable[[str], Path]:
    """``sqlite_dataset("chinook")``: a fresh SQLite file with that data set."""

    def load(name: str) -> Path:
        return datasets.load_sqlite(name, tmp_path / f"{name}.db")

    return load
