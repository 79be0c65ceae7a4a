"""Names that the target can't hold, or can't tell apart, are refused or renamed as the plan states: never merged."""

from __future__ import annotations

from typing import Any

import pytest

import ends
import fix_sensei
import moves
import reader

_LONG = "x" * 63


def _create(sensei: fix_sensei.Sensei, source: ends.End, target: ends.End, **more: Any) -> fix_sensei.Result:
    told = {
        "name": "names",
        "connections": {"from": moves.url(source), "to": moves.url(target)},
        "source": {"connection": "from"},
        "target": {"connection": "to"},
        **more,
    }
    return sensei("migrations", "create", "--config", sensei.write("names.yaml", told), json=True, expect=None)


def _tables(end: ends.End) -> list[str]:
    sql = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 's%\\_%' ESCAPE '\\'",
        "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema NOT LIKE 'pg%'"
        " AND table_schema NOT LIKE 'sensei%' AND table_schema <> 'information_schema'",
        "mysql": "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = database()"
        " AND TABLE_NAME NOT LIKE 'sensei%'",
    }[ends.engine(end)]
    return sorted(str(name) for (name,) in ends.ask(end, sql))


_TWINS = {
    "tables that differ in their case": (
        "postgres",
        "sqlite",
        'CREATE TABLE "Twin" (a int); CREATE TABLE twin (a int);',
    ),
    "columns that differ in their case": ("postgres", "mysql", 'CREATE TABLE t ("A" int, a int);'),
    "columns that differ in their case, in SQLite": ("postgres", "sqlite", 'CREATE TABLE t ("A" int, a int);'),
    "tables that are too long": ("mysql", "postgres", f"CREATE TABLE {_LONG}1 (a int); CREATE TABLE {_LONG}2 (a int);"),
    "columns that are too long": ("sqlite", "postgres", f"CREATE TABLE t ({_LONG}1 int, {_LONG}2 int);"),
    "tables of many bytes": ("sqlite", "postgres", f'CREATE TABLE "{"é" * 32}" (a int);'),
    "columns that are too long for MariaDB": ("sqlite", "mysql", f"CREATE TABLE t ({_LONG}12 int, {_LONG}13 int);"),
}


@pytest.mark.parametrize("twins", _TWINS)
def test_names_that_the_target_would_merge_or_cut_are_refused_before_anything_is_made(
    twins: str, sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source_engine, target_engine, sql = _TWINS[twins]
    source, target = maker(source_engine)(), maker(target_engine)()
    ends.run(source, sql)
    made = _create(sensei, source, target)
    assert made.returncode == 3 and made.data["error"]["code"] == "refused", made
    assert "tables: {" in (hint := made.data["error"]["details"]["hint"]) or "tables: …" in hint
    assert _tables(target) == []


def test_two_tables_of_one_name_but_for_its_case_arrive_each_with_its_own_rows_once_one_is_renamed(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("postgres")(), maker("sqlite")()
    ends.run(source, _TWINS["tables that differ in their case"][2])
    ends.run(source, 'INSERT INTO "Twin" VALUES (1); INSERT INTO twin VALUES (2), (3);')
    move = moves.plan_move(sensei, source, target, tables={"public.twin": {"target": "other"}})
    move.start()
    assert _tables(target) == ["Twin", "other"]
    assert ends.ask(target, "SELECT a FROM Twin") == [(1,)]
    assert ends.ask(target, "SELECT a FROM other ORDER BY a") == [(2,), (3,)]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


def test_constraints_and_indexes_whose_names_are_cut_stay_apart_and_are_named_in_the_plan(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    source, target = maker("mysql")(), maker("postgres")()
    ends.run(
        source,
        f"""
        CREATE TABLE p (id int PRIMARY KEY);
        CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, d int,
          UNIQUE KEY {_LONG}1 (a), UNIQUE KEY {_LONG}2 (b), KEY {_LONG}3 (c), KEY {_LONG}4 (d),
          CONSTRAINT {_LONG}5 CHECK (a > 0), CONSTRAINT {_LONG}6 CHECK (b > 0),
          CONSTRAINT {_LONG}7 FOREIGN KEY (c) REFERENCES p (id),
          CONSTRAINT {_LONG}8 FOREIGN KEY (d) REFERENCES p (id));
        INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 1, 1, 1, 1);
        """,
    )
    move = moves.plan_move(sensei, source, target, schema="public")
    move.start()
    kept = ends.ask(target, "SELECT conname FROM pg_constraint WHERE conrelid = 'public.t'::regclass")
    built = ends.ask(target, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename = 't'")
    names = {str(n) for (n,) in [*kept, *built]}
    assert len([n for n in names if n.startswith("xxx")]) == 8 and all(len(n) <= 63 for n in names), names
    told = " ".join(r["reason"] for r in move.plan["risks"]) + str(move.plan["inventory"])
    cut = {f"{_LONG}{n}" for n in range(1, 9)}
    assert {n for n in cut if n in told} == cut
    assert reader.compare_tables(source, "t", target, "t") == []
