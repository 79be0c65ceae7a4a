"""Names that break careless SQL arrive as they are, or are refused in plain words before anything is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cli_case
import pytest
from cli_case import Case, refusal

import ends
import reader
import servers
from fix_sensei import Sensei

NAMES = [
    'quo"ted',
    "apo'strophe",
    "semi;colon; DROP TABLE x",
    "new\nline\r\ttab",
    "select",
    "Group By",
    "größe ñ 表 🙈",
    "what?",
    "100% %s %(x)s %%",
    "$1 ${HOME} {0}",
    "--comment",
    "/* open",
    "back\\slash\\",
    " blanks ",
    "dot.ted",
    "[bracket]`tick`",
    "x" * 63,
    "é" * 31,
]


def script() -> str:
    """A table for each name: columns, key, unique, check, foreign key and index are named so as well."""
    lines = []
    for at, name in enumerate(NAMES):
        other = NAMES[(at + 1) % len(NAMES)]

        # An index's and a constraint's name share one room with tables' in PostgreSQL.
        def named(kind: str, name: str = name) -> str:
            return servers.quote(f"{kind}{name}".encode()[:63].decode(errors="ignore"))

        table, a, b = (servers.quote(n) for n in (name, name, other))
        lines.append(
            f"CREATE TABLE {table} (id integer, {a} text DEFAULT {servers.literal(name)}, {b} integer,"
            f" CONSTRAINT {named('p')} PRIMARY KEY (id), CONSTRAINT {named('u')} UNIQUE ({a}),"
            f" CONSTRAINT {named('c')} CHECK ({b} >= 0),"
            f" CONSTRAINT {named('f')} FOREIGN KEY ({b}) REFERENCES {servers.quote(NAMES[0])} (id));"
        )
        lines.append(f"CREATE INDEX {named('i')} ON {table} ({b}, {a});")
        lines.append(f"INSERT INTO {table} VALUES (1, {servers.literal(name)}, 1), (2, 'x', NULL);")
    return "\n".join(lines)


def test_hostile_names_arrive_as_they_are_and_are_taken_back(case: Case) -> None:
    cli_case.fill(case.source, "DROP TABLE orders; DROP TABLE customers")
    cli_case.fill(case.source, script())
    before = clean(case.target)
    migration = case.create()
    assert case.run("migrations", "start", migration, json=True).data["rows_quarantined"] == 0
    assert reader.compare_databases(case.source, case.target) == []
    assert tables(case) == sorted(NAMES)
    shown = case.run("migrations", "status", migration)
    assert "\\n" in shown.stdout, "a line break in a name is shown, not obeyed"
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", shown.stdout)
    carried = case.run("migrations", "plan", migration, json=True).data
    assert carried["not_migrated"] == []
    for kind in ("index", "unique", "foreign_key"):
        assert len(definitions(case, kind)) == len(NAMES), kind
    # Single tables, too: all but the one that the others point at, whose foreign keys come off what is set aside.
    words = [w for name in NAMES[1:] for w in ("--tables", name)]
    done = case.run("migrations", "rollback", migration, *words, "--keep-progress", json=True, real=True).data
    assert (len(done["tables"]), len(done["evidence"])) == (len(NAMES) - 1, len(NAMES) - 1)
    assert tables(case) == [NAMES[0]]
    assert case.run("migrations", "resume", migration, json=True).data["rows_quarantined"] == 0
    assert reader.compare_databases(case.source, case.target) == []
    report = case.run("migrations", "rollback", migration, "--full", "--verify", json=True, real=True).data
    assert report["passed"] is True
    assert reader.diff_snapshots(before, clean(case.target)) == []


def tables(case: Case) -> list[str]:
    """The target's tables without Sensei's and the one that made the file."""
    return sorted(t for t in reader.tables(case.target) if not t.startswith("sensei_") and t != "own")


def clean(where: cli_case.Where) -> Any:
    """A snapshot without Sensei's own; a file that is not there holds nothing."""
    if isinstance(where, Path) and not where.exists():
        cli_case.fill(where, "CREATE TABLE own (a integer); ")
    return reader.snapshot(where)


def definitions(case: Case, kind: str) -> list[Any]:
    """Objects of a kind that the target has, by its own catalogue."""
    if isinstance(case.target, servers.Database):
        if kind == "index":
            return case.query(
                case.target, "SELECT 1 FROM pg_indexes WHERE schemaname = 'public' AND left(indexname, 1) = 'i'"
            )
        code = {"unique": "u", "foreign_key": "f"}[kind]
        return case.query(
            case.target,
            f"SELECT conname FROM pg_constraint WHERE contype = '{code}' AND connamespace = 'public'::regnamespace",
        )
    if kind == "foreign_key":
        return case.query(
            case.target,
            "SELECT s.name FROM sqlite_schema s, pragma_foreign_key_list(s.name) k"
            " WHERE s.type = 'table' AND s.name NOT LIKE 'sensei%'",
        )
    origin = {"index": "c", "unique": "u"}[kind]
    return case.query(
        case.target,
        f"SELECT i.name FROM sqlite_schema s, pragma_index_list(s.name) i"
        f" WHERE s.type = 'table' AND s.name NOT LIKE 'sensei%' AND i.origin = '{origin}'",
    )


@pytest.mark.parametrize("schema", ['odd "schema"; --', "Ünïcode %s", "select"])
def test_hostile_schemas_are_made_and_taken_back(between_postgres: Case, schema: str) -> None:
    case = between_postgres
    assert isinstance(case.source, servers.Database)
    assert isinstance(case.target, servers.Database)
    quoted = servers.quote(schema)
    case.source.execute(
        f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.t (id serial PRIMARY KEY, v text);"
        f" INSERT INTO {quoted}.t (v) VALUES ('a'), ('b')"
    )
    before = reader.snapshot(case.target)
    migration = case.completed({"source": {"connection": "here", "schemas": [schema]}})
    assert reader.compare_databases(case.source, case.target, schema_a=schema, schema_b=schema) == []
    report = case.run("migrations", "rollback", migration, "--full", "--verify", json=True, real=True).data
    assert report["passed"] is True
    assert reader.diff_snapshots(before, reader.snapshot(case.target)) == []


def test_case_twins_stay_apart_between_two_postgres_databases(between_postgres: Case) -> None:
    case = between_postgres
    cli_case.fill(
        case.source, 'CREATE TABLE "Orders" (id integer PRIMARY KEY, "ID" text); INSERT INTO "Orders" VALUES (7, \'x\')'
    )
    migration = case.completed()
    assert reader.compare_databases(case.source, case.target) == []
    case.run("migrations", "rollback", migration, "--full", "--verify")


@pytest.fixture
def to_sqlite(sensei: Sensei, maker: ends.Maker) -> Case:
    return cli_case.new_case(sensei, ("postgres", "sqlite"), maker)


def test_tables_that_would_merge_are_refused_and_can_be_renamed(to_sqlite: Case) -> None:
    cli_case.fill(to_sqlite.source, 'CREATE TABLE "Orders" (id integer PRIMARY KEY)')
    words = ["migrations", "create", "--config", to_sqlite.file()]
    refusal(to_sqlite, words, "refused", 3, "Orders", "would both become", "target:")
    to_sqlite.completed({"tables": {"Orders": {"target": "orders_2"}}})
    assert tables(to_sqlite) == ["customers", "orders", "orders_2"]


def test_columns_that_would_merge_are_refused(to_sqlite: Case) -> None:
    cli_case.fill(to_sqlite.source, 'CREATE TABLE t (id integer PRIMARY KEY, name text, "NAME" text)')
    words = ["migrations", "create", "--config", to_sqlite.file()]
    refusal(to_sqlite, words, "refused", 3, "NAME", "would both become", "columns:")


@pytest.mark.parametrize("name", ["x" * 64, "é" * 32], ids=["64 letters", "64 bytes"])
def test_a_name_that_the_target_would_cut_is_refused(to_postgres: Case, name: str) -> None:
    cli_case.fill(to_postgres.source, f'CREATE TABLE "{name}" (id integer PRIMARY KEY)')
    words = ["migrations", "create", "--config", to_postgres.file()]
    refusal(to_postgres, words, "refused", 3, "64 bytes", "63", "target:")
    cli_case.fill(to_postgres.source, f'DROP TABLE "{name}"; CREATE TABLE t (id integer PRIMARY KEY, "{name}" text)')
    refusal(to_postgres, words, "refused", 3, "column", "64 bytes", "63")


def test_long_names_of_indexes_are_shortened_without_meeting_each_other(to_postgres: Case) -> None:
    long = "i" * 70
    cli_case.fill(
        to_postgres.source,
        f'CREATE INDEX "{long}1" ON orders (total); CREATE INDEX "{long}2" ON orders (total, id)',
    )
    to_postgres.completed()
    names = to_postgres.query(to_postgres.target, "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'iiii%'")
    assert len(names) == 2


def test_control_characters_in_a_migrations_name_are_refused(files: Case) -> None:
    for name in ("shop\u001b[31m", "Shop", "shop;x", "", "a" * 300, "1shop"):
        refusal(files, ["migrations", "create", "--config", files.file({"name": name})], "config_error", 2, ":2:")
