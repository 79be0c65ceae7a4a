"""Rules of the business are asked on both sides, in each server's own words, and a broken one has an owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ends
import fix_sensei
import moves
import small_shop

RULES: list[dict[str, Any]] = [
    {"name": "totals-are-positive", "table": "orders", "condition": "total >= 0 AND Total < 1000 / 2.0"},
    {
        "name": "orders-have-customers",
        "table": "orders",
        "condition": "EXISTS (SELECT 1 FROM customers AS c WHERE c.id = orders.customer)",
    },
    {"name": "names-are-short", "table": "customers", "condition": "length(name) <= 4", "severity": "warning"},
    {"name": "as-many-tags", "condition": "(SELECT count(*) FROM tags) >= (SELECT count(*) FROM orders)"},
    {"name": "revenue", "source": "SELECT sum(total), count(*), max(placed) FROM orders"},
    {
        "name": "tagged",
        "source": "SELECT o.id, t.tag FROM orders o JOIN tags t ON t.order_id = o.id ORDER BY t.tag, id",
    },
]
PAIRS = [("sqlite", "postgres"), ("postgres", "mysql"), ("mysql", "sqlite"), ("postgres", "sqlite")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_broken_rule_is_the_sources_where_the_source_breaks_it_too(
    sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, source: str, target: str
) -> None:
    here = small_shop.source(source, maker(source), tmp_path)
    small_shop.run(here, "INSERT INTO customers (id, name) VALUES (7, 'a long name')")
    there = small_shop.target(target, maker(target), tmp_path, own=False)
    renamed = {"customers": {"target": "clients", "columns": {"name": {"target": "Full Name"}}}}
    move = moves.plan_move(sensei, here, there, validation={"rules": RULES}, tables=renamed)
    move.start()
    found = sensei("validations", "run", move.id, json=True).data
    (failure,) = found["failures"]
    assert (failure["perspective"], failure["table"].rpartition(".")[2]) == ("semantic", "customers")
    assert (failure["severity"], failure["cause"]) == ("warning", "source_data_issue")
    assert "Clean source and retry" in failure["recommended_action"]
    assert "1 rows break length(name) <= 4, such as 7; the source has 1 such rows" in failure["detail"]

    small_shop.run(there, "DELETE FROM tags; UPDATE orders SET total = 600 WHERE id = 2")
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    told = {f["facts"]["rule"]: f for f in found["failures"] if f["perspective"] == "semantic"}
    assert set(told) == {"names-are-short", "totals-are-positive", "as-many-tags", "revenue", "tagged"}
    causes = {name: f["cause"] for name, f in told.items() if name != "names-are-short"}
    assert set(causes.values()) == {"transformation_bug"}
    assert "such as 2; the source has no such rows" in told["totals-are-positive"]["detail"]
    assert "is true on the source and not on the target" in told["as-many-tags"]["detail"]
    assert "2 rows on the source, 0 on the target" not in told["revenue"]["detail"]
    assert "3 rows on the source, 0 on the target" in told["tagged"]["detail"]
    assert "Fix and re-execute affected tables" in sensei("validations", "report", move.id, "--failures-only").stdout


HOSTILE = {
    "total >= 0); DELETE FROM orders; --": "this is not SQL that can be read",
    "total >= 0) OR (1 = 1": "this is no condition",
    "pg_sleep(100) IS NULL": "the function pg_sleep does more than read",
    "EXISTS (SELECT 1 FROM orders FOR UPDATE)": "lock rows",
    "total >=": "this is not SQL that can be read",
    "total ~ 'x'": "this is not SQL that can be read",
}


@pytest.mark.parametrize("condition", HOSTILE)
def test_sql_that_does_more_than_ask_is_refused_with_its_place_before_anything_is_planned(
    sensei: fix_sensei.Sensei, tmp_path: Path, condition: str
) -> None:
    here = small_shop.source("sqlite", lambda: tmp_path, tmp_path)
    file = tmp_path / "hostile.yaml"
    file.write_text(
        f"name: hostile\nconnections: {{from: 'sqlite:///{here}', to: 'sqlite:///{tmp_path / 'new.db'}'}}\n"
        "source: {connection: from}\ntarget: {connection: to}\nvalidation:\n  rules:\n"
        f'  - name: evil\n    table: orders\n    condition: "{condition}"\n'
    )
    said = sensei("migrations", "create", "--config", file, json=True, expect=2).data["error"]
    assert f"{file}:9:16: " in said["message"]
    assert HOSTILE[condition] in said["message"]
    assert "the rule 'evil'" in said["message"]


def test_a_rule_about_what_is_not_there_names_itself_and_its_line(sensei: fix_sensei.Sensei, tmp_path: Path) -> None:
    here = small_shop.source("sqlite", lambda: tmp_path, tmp_path)
    there = small_shop.target("sqlite", lambda: tmp_path, tmp_path, own=False)
    rules = [{"name": "odd", "table": "nowhere", "condition": "a > 0"}]
    move = moves.plan_move(sensei, here, there, validation={"rules": rules})
    move.start()
    said = sensei("validations", "run", move.id, json=True, expect=2).data["error"]
    assert "the rule odd: no table of the plan is called nowhere" in said["message"]
    assert "move.yaml:" in said["message"]
    assert move.status()["status"] == "completed"


def test_a_rule_that_a_server_cannot_answer_in_time_is_told(sensei: fix_sensei.Sensei, maker: ends.Maker,
                                                            tmp_path: Path) -> None:  # fmt: skip
    here = small_shop.source("sqlite", maker("sqlite"), tmp_path)
    there = small_shop.target("postgres", maker("postgres"), tmp_path, own=False)
    long = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500000000) SELECT count(*) FROM r"
    unknown = "no_such_column = 1"
    rules = [{"name": "long", "source": long}, {"name": "lost", "table": "orders", "condition": unknown}]
    move = moves.plan_move(sensei, here, there, validation={"rules": rules, "query_timeout": "300ms"})
    move.start()
    found = sensei("validations", "run", move.id, json=True, expect=4).data
    told = {f["facts"]["rule"]: f["detail"] for f in found["failures"]}
    assert "given up after" in told["long"]
    assert "it can't be asked on either side" in told["lost"] and "no_such_column" in told["lost"]
    assert move.status()["status"] == "validation_failed"
