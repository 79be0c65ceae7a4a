"""Fixtures of private MariaDB servers and fresh databases on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import pymysql
import pytest

import server_mariadb
import servers


class MakeMysqlDatabase(Protocol):
    def __call__(
        self,
        name: str | None = None,
        *,
        server: servers.MysqlServer | None = None,
        charset: str | None = "utf8mb4",
    ) -> servers.MysqlDatabase: ...


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[servers.MysqlServer]:
    """The server that most tests share. A test that stops it starts it again."""
    yield from _running()


@pytest.fixture(scope="session")
def mysql_server2() -> Iterator[servers.MysqlServer]:
    """A second server, started for the first test that asks, for moves between servers."""
    yield from _running()


@pytest.fixture
def make_mysql_db(request: pytest.FixtureRequest) -> Iterator[MakeMysqlDatabase]:
    """Makes fresh databases on the shared server, or on the one given; all are dropped after the test.

    So are the databases that a migration's rollback left. The server starts when the first database is asked for.
    """
    made: list[servers.MysqlDatabase] = []

    def make(
        name: str | None = None,
        *,
        server: servers.MysqlServer | None = None,
        charset: str | None = "utf8mb4",
    ) -> servers.MysqlDatabase:
        on = server or request.getfixturevalue("mysql_server")
        on.start()  # an earlier test may have failed while it was down
        database = on.create_db(name, charset=charset)
        made.append(database)
        return database

    yield make
    tidy(made)


def tidy(made: list[servers.MysqlDatabase]) -> None:
    """Drop databases, and what Sensei left beside them."""
    for server in {id(d.server): d.server for d in made}.values():
        server.start()
        for name in [*(d.name for d in made if d.server is server), *server.databases("sensei_")]:
            try:
                server.drop_db(name)
            except pymysql.err.Error as failed:
                # Tidying must not turn a test's own failure into another one; the folder goes at the end anyway.
                print(f"could not drop {name}: {failed}")


@pytest.fixture
def mysql_db(make_mysql_db: MakeMysqlDatabase) -> servers.MysqlDatabase:
    """A fresh database on the shared server."""
    return make_mysql_db()


@pytest.fixture
def mysql_db2(make_mysql_db: MakeMysqlDatabase) -> servers.MysqlDatabase:
    """Another fresh database on the shared server, as the other side of a move."""
    return make_mysql_db()


def _running() -> Iterator[servers.MysqlServer]:
    if server_mariadb.find_mariadb() is None:
        message = "no MariaDB server found: run tests/install-servers.sh"
        # Only on request: a run that leaves out its most important tests must not look green by itself.
        (pytest.skip if os.environ.get("SENSEI_TEST_WITHOUT_SERVERS") else pytest.fail)(message)
    server = servers.MysqlServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
