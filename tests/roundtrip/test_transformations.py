"""`where` takes some rows, `expression` computes a column, and `inverse` is proven to undo it before data moves."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

import ends
import fix_sensei
import moves
import servers

DIRECTIONS = [
    ("postgres", "mysql"), ("mysql", "postgres"), ("sqlite", "postgres"), ("postgres", "postgres"),
    ("sqlite", "sqlite"), ("mysql", "mysql"), ("mysql", "sqlite"),
]  # fmt: skip
ROWS = 700


def _shop(end: ends.End) -> None:
    """Goods with prices in cents, a third of them deleted, and lines that point at them."""
    engine = "ENGINE=InnoDB" if isinstance(end, servers.MysqlDatabase) else ""
    ends.run(
        end,
        "CREATE TABLE goods (id integer NOT NULL PRIMARY KEY, name varchar(40) NOT NULL, price_cents integer NOT NULL,"
        f" deleted_at date, note varchar(20)) {engine}",
    )
    ends.run(
        end,
        "CREATE TABLE sold (id integer NOT NULL PRIMARY KEY, good integer NOT NULL, n integer,"
        f" FOREIGN KEY (good) REFERENCES goods (id)) {engine}",
    )
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    deleted = "CASE WHEN i % 3 = 0 THEN '2026-01-02' END"
    if isinstance(end, servers.Database):
        deleted = f"({deleted})::date"
    name = "concat('good ', i)" if ends.engine(end) != "sqlite" else "'good ' || i"
    ends.run(end, f"INSERT INTO goods {numbers} SELECT i, {name}, i * 7, {deleted}, 'x' FROM n")
    ends.run(end, "INSERT INTO sold SELECT id, id, 1 FROM goods WHERE id % 3 <> 0")


HOW: dict[str, Any] = {
    "goods": {
        "target": "articles",
        "where": "deleted_at IS NULL AND name <> 'it''s -- no comment'",
        "columns": {
            "price_cents": {
                "target": "price", "type": "numeric(12,2)", "expression": "price_cents / 100.0",
                "inverse": "price * 100",
            }
        },
    }
}  # fmt: skip


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_rows_are_left_out_and_a_column_is_computed_and_everything_else_knows_it(
    sensei: fix_sensei.Sensei, maker: ends.Maker, source: str, target: str
) -> None:
    here, there = maker(source)(), maker(target)()
    _shop(here)
    how = copy.deepcopy(HOW)
    if target == "sqlite":  # which multiplies as doubles do
        how["goods"]["columns"]["price_cents"]["inverse"] = "CAST(round(price * 100) AS INTEGER)"
    move = moves.plan_move(
        sensei,
        here,
        there,
        tables=how,
        schema="public" if target == "postgres" else None,
        options={"chunk_rows": 100, "parallelism": 2},
    )
    risks = {(r["table"].rpartition(".")[2], r["column"]): r for r in move.plan["risks"]}
    move.start()
    rows = ends.ask(there, "SELECT id, price FROM articles ORDER BY id")
    kept = [i for i in range(1, ROWS + 1) if i % 3]
    assert [(int(i), Decimal(str(p))) for i, p in rows] == [(i, Decimal(i * 7) / 100) for i in kept]
    found = sensei("validations", "run", move.id, json=True).data
    assert found["status"] == "validated", found["failures"]
    assert "computed by" in risks["goods", "price_cents"]["reason"]
    (counted,) = move.status()["coerced"]
    assert counted["column"] == "price_cents" and counted["values"] == counted["rows"] == len(kept)
    assert counted["decision"].startswith("expression: ")
    move.rollback()


def _bad(sensei: fix_sensei.Sensei, here: ends.End, there: ends.End, exit_code: int, **goods: Any) -> str:
    """Write a migration file with these words for goods, and return what `create` says."""
    path = sensei.write(
        "bad.yaml",
        {
            "name": "bad",
            "connections": {"from": moves.url(here), "to": moves.url(there)},
            "source": {"connection": "from"},
            "target": {"connection": "to"},
            "tables": {"goods": goods},
        },
    )
    return str(sensei("migrations", "create", "--config", path, expect=exit_code).stderr)


@pytest.mark.parametrize("source", ["postgres", "mysql", "sqlite"])
def test_what_is_no_expression_over_the_row_is_refused_and_nothing_else_is_done(
    sensei: fix_sensei.Sensei, maker: ends.Maker, source: str
) -> None:
    here, there = maker(source)(), maker("sqlite")()
    _shop(here)
    for where, word in {
        "1=1; DROP TABLE sold": "not SQL that can be read",
        "1=1) OR (1=1": "no condition",
        "1=1 -- x": "comment",
        "id > /* x */ 1": "comment",
        "id > (SELECT 1)": "query",
        "EXISTS (SELECT 1 FROM sold)": "query",
        "colour = 'red'": "no column colour",
        "goods.id > 1": "without its table",
        "count(*) > 1": "aggregate",
        "id > random()": "each time",
        "deleted_at < CURRENT_DATE": "moment itself",
        "id = ?": "placeholder",
        "id >": "read",
        "": "",
    }.items():
        if where:
            assert word in _bad(sensei, here, there, 2, where=where), where
    for expression, word in {"pg_sleep(9)": "more than read", "nextval('x')": "more", "now()": "moment"}.items():
        column = {"note": {"type": "varchar(20)", "expression": expression}}
        assert word in _bad(sensei, here, there, 2, columns=column), expression
    assert "no such function" in _bad(sensei, here, there, 2, where="no_such_function(id) = 1").lower().replace(
        "does not exist", "no such function"
    )
    key = {"id": {"type": "integer", "expression": "id + 1"}}
    assert "part of a key" in _bad(sensei, here, there, 3, columns=key)
    assert len(ends.ask(here, "SELECT 1 FROM sold")) == ROWS - ROWS // 3


def test_an_inverse_that_does_not_undo_its_expression_needs_consent_with_a_counterexample(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("postgres")(), maker("mysql")()
    _shop(here)
    column = {"target": "price", "type": "decimal(12,0)", "expression": "price_cents / 100.0", "inverse": "price * 100"}
    move = moves.plan_move(sensei, here, there, tables={"goods": {"columns": {"price_cents": column}}})
    (risk,) = [r for r in move.plan["risks"] if r["severity"] == "blocking"]
    assert "rounds" in risk["reason"] and "becomes" in risk["reason"] and risk["back"] == "lossy"
    assert "accept_lossy: [goods.price_cents]" in risk["reason"]
    move.start(expect=3)
    assert ends.ask(there, "SHOW TABLES") == []
    agreed = moves.plan_move(
        sensei, here, there, name="agreed", tables={"goods": {"columns": {"price_cents": column}}},
        options={"accept_lossy": ["goods.price_cents"]},
    )  # fmt: skip
    agreed.start()
    assert sensei("validations", "run", agreed.id, json=True).data["status"] == "validated"


def test_rows_whose_parent_is_left_out_are_told_before_and_kept_aside(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("mysql")(), maker("postgres")()
    _shop(here)
    move = moves.plan_move(sensei, here, there, schema="public", tables={"goods": {"where": "id > 10"}})
    (risk,) = [r for r in move.plan["risks"] if r["severity"] == "high"]
    assert risk["column"] == "good" and risk["reason"].startswith("7 rows point at rows of")
    move.start()
    assert ends.ask(there, "SELECT count(*) FROM goods") == [(ROWS - 10,)]
    assert sorted(q["row"]["id"] for q in move.quarantine()) == sorted(str(i) for i in (1, 2, 4, 5, 7, 8, 10))


def test_damage_outside_of_what_was_taken_is_none_and_inside_it_is_found_and_repaired(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("postgres")(), maker("sqlite")()
    _shop(here)
    how = copy.deepcopy(HOW)
    how["goods"]["columns"]["price_cents"]["inverse"] = "CAST(round(price * 100) AS INTEGER)"
    move = moves.plan_move(sensei, here, there, tables=how)
    move.start()
    ends.run(there, "UPDATE articles SET price = 1.25 WHERE id = 4; DELETE FROM articles WHERE id = 5")
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    (failure,) = [f for f in found["failures"] if f["perspective"] == "data"]
    assert (
        failure["table"].endswith("goods") and "1 missing" in failure["detail"] and "1 different" in failure["detail"]
    )
    sensei("validations", "repair", move.id, "--tables", "goods", "--yes")
    assert ends.ask(there, "SELECT id, price FROM articles WHERE id IN (4, 5) ORDER BY id") == [(4, 0.28), (5, 0.35)]
    assert sensei("validations", "run", move.id, json=True).data["status"] == "validated"


def test_killed_in_the_middle_a_table_of_which_some_rows_are_taken_is_resumed(
    sensei: fix_sensei.Sensei, maker: ends.Maker
) -> None:
    here, there = maker("sqlite")(), maker("mysql")()
    _shop(here)
    move = moves.plan_move(sensei, here, there, tables=HOW, options={"chunk_rows": 50})
    move.start(crash_at="chunk:commit:after:3", expect=None)
    assert move.status()["status"] != "completed"
    move.resume()
    assert ends.ask(there, "SELECT count(*), sum(price) FROM articles") == [
        (ROWS - ROWS // 3, sum(Decimal(i * 7) / 100 for i in range(1, ROWS + 1) if i % 3))
    ]
