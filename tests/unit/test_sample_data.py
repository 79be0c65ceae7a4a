"""The sample databases hold what their READMEs say."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import datasets
import servers


@pytest.mark.parametrize("name", datasets.NAMES)
def test_a_postgres_data_set_has_the_rows_that_its_readme_states(
    name: str, pg_dataset: Callable[[str], servers.Database]
) -> None:
    database = pg_dataset(name)
    found = {}
    for table in datasets.counts(name, "postgres"):
        schema, _, bare = table.rpartition(".")
        quoted = f"{servers.quote(schema or 'public')}.{servers.quote(bare)}"
        # A materialised view that was never filled can't be read; the README counts it as empty.
        filled = database.value("SELECT relispopulated FROM pg_class WHERE oid = %s::regclass", [quoted])
        found[table] = database.value(f"SELECT count(*) FROM {quoted}") if filled else 0
    assert found == datasets.counts(name, "postgres")
    assert sum(found.values()) > 10_000


@pytest.mark.parametrize("name", datasets.MYSQL_NAMES)
def test_a_mariadb_data_set_has_the_rows_that_its_readme_states(
    name: str, mysql_dataset: Callable[[str], servers.MysqlDatabase]
) -> None:
    database = mysql_dataset(name)
    stated = datasets.counts(name, "mariadb")
    tables = database.query("SHOW FULL TABLES WHERE table_type = 'BASE TABLE'")
    assert {t for t, _ in tables} == set(stated)
    for table, rows in stated.items():
        assert database.value(f"SELECT count(*) FROM `{table}`") == rows
    if name == "sakila":
        assert database.value("SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = database()") == 6
        assert (
            database.value(
                "SELECT engine FROM information_schema.tables WHERE table_schema = database()"
                " AND table_name = 'film_text'"
            )
            == "MyISAM"
        )


def test_a_sqlite_data_set_has_the_rows_that_its_readme_states(sqlite_dataset: Callable[[str], Path]) -> None:
    connection = sqlite3.connect(sqlite_dataset("chinook"))
    try:
        stated = datasets.counts("chinook", "sqlite")
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        assert {t for (t,) in tables if not t.startswith("sqlite_")} == set(stated)
        for table, rows in stated.items():
            assert connection.execute(f"SELECT count(*) FROM {servers.quote(table)}").fetchone() == (rows,)
    finally:
        connection.close()


def test_copies_of_a_data_set_are_independent(pg_dataset: Callable[[str], servers.Database]) -> None:
    one, other = pg_dataset("chinook"), pg_dataset("chinook")
    one.execute("TRUNCATE playlist_track")
    assert one.value("SELECT count(*) FROM playlist_track") == 0
    assert other.value("SELECT count(*) FROM playlist_track") == 8715
