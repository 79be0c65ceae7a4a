"""Fixtures of private PostgreSQL servers and fresh databases on them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol

import psycopg2
import pytest

import servers


class MakeDatabase(Protocol):
    def __call__(
        self,
        name: str | None = None,
        *,
        server: servers.PostgresServer | None = None,
        template: str = "template0",
    ) -> servers.Database: ...


@pytest.fixture(scope="session")
def pg_server() -> Iterator[servers.PostgresServer]:
    """The server that most tests share. A test that stops it starts it again."""
    yield from _running()


@pytest.fixture(scope="session")
def pg_server2() -> Iterator[servers.PostgresServer]:
    """A second server, started for the first test that asks, for moves between servers."""
    yield from _running()


@pytest.fixture
def make_pg_db(pg_server: servers.PostgresServer) -> Iterator[MakeDatabase]:
    """Makes fresh databases on the shared server, or on the one given; all are dropped after the test."""
    made: list[servers.Database] = []

    def make(
        name: str | None = None, *, server: servers.PostgresServer | None = None, template: str = "template0"
    ) -> servers.Database:
        on = server or pg_server
        on.start()  # an earlier test may have failed while it was down
        database = on.create_db(name, template=template)
        made.append(database)
        return database

    yield make
    for database in made:
        database.server.start()
        try:
            database.server.drop_db(database.name)
        except psycopg2.Error as failed:
            # Tidying must not turn a test's own failure into another one; the folder goes at the end anyway.
            print(f"could not drop {database.name}: {failed}")


@pytest.fixture
def pg_db(make_pg_db: MakeDatabase) -> servers.Database:
    """A fresh database on the shared server."""
    return make_pg_db()


@pytest.fixture
def pg_db2(make_pg_db: MakeDatabase) -> servers.Database:
    """Another fresh database on the shared server, as the other side of a move."""
    return make_pg_db()


def _running() -> Iterator[servers.PostgresServer]:
    if servers.find_postgres() is None:
        message = "no PostgreSQL server binaries found: run tests/install-servers.sh"
        # Only on request: a run that leaves out its most important tests must not look green by itself.
        (pytest.skip if os.environ.get("SENSEI_TEST_WITHOUT_SERVERS") else pytest.fail)(message)
    server = servers.PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
