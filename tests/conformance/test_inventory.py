"""The plan accounts for every object of the source; the source's own catalog is counted beside it."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ends
import fix_sensei
import moves

_PG_OWN = "nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg_toast%'"
_PG_CLASS = "SELECT {} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " + _PG_OWN
_PG_TABLES = f"({_PG_CLASS.format('c.oid')} AND c.relkind IN ('r', 'p') AND NOT c.relispartition)"
_PG_CONSTRAINTS = (
    f"SELECT count(*) FROM pg_constraint WHERE conparentid = 0 AND conrelid IN {_PG_TABLES} AND contype = "
)
#: Kind -> how many of it the server knows.
POSTGRES = {
    "table": f"SELECT count(*) FROM {_PG_TABLES} t",
    "column": f"SELECT count(*) FROM pg_attribute WHERE attrelid IN {_PG_TABLES} AND attnum > 0 AND NOT attisdropped",
    "primary key": f"{_PG_CONSTRAINTS}'p'",
    "unique": f"{_PG_CONSTRAINTS}'u'",
    "foreign key": f"{_PG_CONSTRAINTS}'f'",
    "check": f"{_PG_CONSTRAINTS}'c'",
    "index": f"SELECT count(*) FROM pg_index i WHERE indrelid IN {_PG_TABLES} AND NOT EXISTS"
    " (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))",
    "default": "SELECT count(*) FROM pg_attrdef d JOIN pg_attribute a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum)"
    f" WHERE d.adrelid IN {_PG_TABLES} AND a.attgenerated = '' AND pg_get_expr(d.adbin, d.adrelid) NOT LIKE 'NULL%'",
    "sequence": _PG_CLASS.format("count(*)") + " AND relkind = 'S'",
    "view": _PG_CLASS.format("count(*)") + " AND relkind = 'v'",
    "materialized view": _PG_CLASS.format("count(*)") + " AND relkind = 'm'",
    "trigger": f"SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN {_PG_TABLES}",
    "function": "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE prokind = 'f'"
    f" AND {_PG_OWN} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
}
_MY = "FROM information_schema.{} WHERE TABLE_SCHEMA = database()"
_MY_KEYS = f"SELECT count(*) {_MY.format('TABLE_CONSTRAINTS')} AND CONSTRAINT_TYPE = "
_MY_ROUTINES = "SELECT count(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = database() AND ROUTINE_TYPE = "
MYSQL = {
    "table": f"SELECT count(*) {_MY.format('TABLES')} AND TABLE_TYPE = 'BASE TABLE'",
    "column": f"SELECT count(*) {_MY.format('COLUMNS')} AND TABLE_NAME NOT IN"
    f" (SELECT TABLE_NAME {_MY.format('VIEWS')})",
    "primary key": f"{_MY_KEYS}'PRIMARY KEY'",
    "foreign key": f"{_MY_KEYS}'FOREIGN KEY'",
    "unique or index": f"SELECT count(DISTINCT TABLE_NAME, INDEX_NAME) {_MY.format('STATISTICS')}"
    " AND INDEX_NAME <> 'PRIMARY'",
    "view": f"SELECT count(*) {_MY.format('VIEWS')}",
    "trigger": "SELECT count(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = database()",
    "function": f"{_MY_ROUTINES}'FUNCTION'",
    "procedure": f"{_MY_ROUTINES}'PROCEDURE'",
}
_TABLES = "(SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%')"
_KEYS = f"(SELECT DISTINCT t.name, f.id FROM {_TABLES} t, pragma_foreign_key_list(t.name) f)"
SQLITE = {
    "table": f"SELECT count(*) FROM {_TABLES}",
    "column": f"SELECT count(*) FROM {_TABLES} t, pragma_table_xinfo(t.name)",
    "foreign key": f"SELECT count(*) FROM {_KEYS}",
    "index": f"SELECT count(*) FROM {_TABLES} t, pragma_index_list(t.name) i WHERE i.origin = 'c'",
    "unique": f"SELECT count(*) FROM {_TABLES} t, pragma_index_list(t.name) i WHERE i.origin = 'u'",
    "view": "SELECT count(*) FROM sqlite_schema WHERE type = 'view'",
    "trigger": "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'",
}
COUNTS = {"postgres": POSTGRES, "mysql": MYSQL, "sqlite": SQLITE}
_MADE = [
    ("postgres", "pagila"),
    ("postgres", "adventureworks"),
    ("postgres", "chinook"),
    ("mysql", "sakila"),
    ("mysql", "chinook"),
    ("sqlite", "chinook"),
]
WAYS = [(e, name, to) for e, name in _MADE for to in ends.ENGINES]


@pytest.fixture
def dataset(request: pytest.FixtureRequest) -> Callable[[str, str], moves.End]:
    def made(engine: str, name: str) -> moves.End:
        fixture = {"postgres": "pg_dataset", "sqlite": "sqlite_dataset", "mysql": "mysql_dataset"}[engine]
        end: moves.End = request.getfixturevalue(fixture)(name)
        return end

    return made


def _counts(end: moves.End) -> dict[str, int]:
    found = {kind: int(ends.ask(end, sql)[0][0]) for kind, sql in COUNTS[ends.engine(end)].items()}
    return {kind: n for kind, n in found.items() if n}


def _accounted(inventory: list[dict[str, Any]], kinds: set[str]) -> dict[str, int]:
    found = collections.Counter(i["kind"] for i in inventory)
    if "unique or index" in kinds:
        found["unique or index"] = found["unique"] + found["index"]
    return {kind: found[kind] for kind in kinds if found[kind]}


@pytest.mark.parametrize(("engine", "name", "to"), WAYS, ids=[f"{e}-{n}-{t}" for e, n, t in WAYS])
def test_each_object_of_the_source_is_migrated_or_changed_or_left_with_a_reason(
    sensei: fix_sensei.Sensei,
    maker: ends.Maker,
    dataset: Callable[[str, str], moves.End],
    engine: str,
    name: str,
    to: str,
) -> None:
    source, target = dataset(engine, name), maker(to)()
    options: dict[str, Any] = {"schema": "public"} if (engine, to) == ("mysql", "postgres") else {}
    move = moves.plan_move(sensei, source, target, **options)
    inventory = move.plan["inventory"]
    there = _counts(source)
    assert _accounted(inventory, set(COUNTS[engine])) == there
    names = [(i["kind"], i["object"]) for i in inventory]
    assert len(set(names)) == len(names)
    assert all(i["reason"] for i in inventory if i["verdict"] != "migrated")
    assert {i["verdict"] for i in inventory} <= {"migrated", "changed", "not migrated"}
    left = {(kind, thing) for kind, thing, _ in move.left()}
    assert {(i["kind"], i["object"]) for i in inventory if i["verdict"] == "not migrated"} == left


def test_definitions_of_what_stays_behind_are_kept_beside_the_plan(
    sensei: fix_sensei.Sensei, maker: ends.Maker, dataset: Callable[[str, str], moves.End]
) -> None:
    source = dataset("postgres", "pagila")
    move = moves.plan_move(sensei, source, maker("sqlite")())
    said = sensei("migrations", "plan", move.id).stdout
    kept = Path(next(line for line in said.splitlines() if "not-migrated.sql" in line).split(": ", 1)[1])
    assert kept.stat().st_mode & 0o777 == 0o600
    text = kept.read_text(encoding="utf-8")
    assert "CREATE TRIGGER last_updated" in text
    assert "CREATE OR REPLACE FUNCTION public.inventory_in_stock" in text
    for kind, thing, reason in move.left():
        if kind in ("view", "trigger", "function"):
            assert f"-- {kind} {thing}: {reason}" in text
    (tables,) = [line.split() for line in said.splitlines() if line.split()[:1] == ["table"] and len(line.split()) == 4]
    fates = collections.Counter(i["verdict"] for i in move.plan["inventory"] if i["kind"] == "table")
    assert tables[1:] == [str(fates[f]) for f in ("migrated", "changed", "not migrated")]


INDEXES = """
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, s text COLLATE "C", gone boolean, w text COLLATE "en-x-icu");
CREATE INDEX "some" ON t (n) WHERE n > 10 AND s IS NOT NULL;
CREATE UNIQUE INDEX once ON t (n) WHERE s = 'x';
CREATE INDEX sorted_by_bytes ON t (n) WHERE s > 'm';
CREATE INDEX sorted_by_words ON t (n) WHERE w > 'm';
CREATE INDEX carried ON t (n) INCLUDE (s);
CREATE INDEX computed ON t (lower(w));
"""


def test_a_partial_index_is_carried_where_its_condition_means_the_same(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("postgres")(), maker("sqlite")()
    ends.run(source, INDEXES)
    move = moves.plan_move(sensei, source, target)
    fates = {
        i["object"].rpartition(".")[2]: (i["verdict"], i["reason"])
        for i in move.plan["inventory"]
        if i["kind"] == "index"
    }
    assert fates["some"] == ("migrated", "") or fates["some"][0] == "changed"
    verdict, reason = fates["sorted_by_words"]
    assert verdict == "not migrated" and "with w = 'é' the source says no, and the target says yes" in reason
    assert fates["sorted_by_bytes"] == ("changed", """its condition becomes ("s" > 'm')""")
    verdict, reason = fates["computed"]
    assert verdict == "not migrated" and "over an expression: with w = 'É'" in reason
    assert fates["carried"] == ("changed", "without s, which it only carried along")
    move.start()
    found = dict(ends.ask(target, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"))
    assert set(found) == {"some", "once", "carried", "sorted_by_bytes"}
    assert "WHERE" in found["some"] and "WHERE" in found["once"]
    ends.run(target, "INSERT INTO t VALUES (1, 1, 'x', 0, ''), (2, 1, 'y', 0, '')")
    with pytest.raises(Exception, match="UNIQUE"):
        ends.run(target, "INSERT INTO t VALUES (3, 1, 'x', 0, '')")


def test_a_partial_index_goes_from_sqlite_to_postgresql_and_stays_behind_on_the_way_to_mariadb(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source = maker("sqlite")()
    ends.run(
        source, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); CREATE UNIQUE INDEX once ON t (n) WHERE n > 10;"
    )
    target = maker("postgres")()
    move = moves.plan_move(sensei, source, target)
    move.start()
    assert "WHERE (n > 10)" in ends.ask(target, "SELECT indexdef FROM pg_indexes WHERE indexname = 'once'")[0][0]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    there = moves.plan_move(sensei, source, maker("mysql")(), name="there")
    assert ("index", "t.once", "partial: the target has no such indexes") in there.left()
