"""Rows that differ are put right one by one, what they were is kept, and every part of it can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import comparing
import ends
import fix_sensei
import moves
import small_shop
from sensei import errors
from sensei.runner import repair
from sensei.validation import apart

PAIRS = [("postgres", "sqlite"), ("sqlite", "mysql"), ("mysql", "postgres"), ("sqlite", "sqlite"), ("mysql", "mysql"),
         ("postgres", "postgres")]  # fmt: skip


@pytest.fixture
def shop(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, request: pytest.FixtureRequest
) -> moves.Move:
    """A small shop that was moved."""
    source, target = request.param
    (tmp_path / "s").mkdir()
    move = moves.plan_move(
        warm_sensei,
        small_shop.source(source, maker(source), tmp_path / "s"),
        small_shop.target(target, maker(target), tmp_path),
        **({"schema": "shop"} if target == "postgres" else {}),
    )
    move.start()
    return move


def _in_target(shop: moves.Move, sql: str) -> None:
    """Run statements; tables are written as in the shop."""
    names = ("customers", "orders", "tags")
    if moves.engine(shop.target) == "postgres":
        for name in names:
            sql = sql.replace(f" {name} ", f" shop.{name} ")
    small_shop.run(shop.target, sql)


def _rows(shop: moves.Move) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the target's three tables."""
    where = "shop." if moves.engine(shop.target) == "postgres" else ""
    order = {"customers": "id", "orders": "id", "tags": "order_id, tag"}
    return {t: small_shop.ask(shop.target, f"SELECT * FROM {where}{t} ORDER BY {by}") for t, by in order.items()}


def _repair(shop: moves.Move, *words: str, **how: Any) -> fix_sensei.Result:
    return shop.sensei("validations", "repair", shop.id, *words, **{"json": True, **how})


#: A row lost, values changed, and rows that the source has not; one of them is pointed at by another of them, and a row
#: that is to be changed points at it as well.
DAMAGE = """
DELETE FROM orders WHERE id = 2;
UPDATE orders SET note = NULL, total = 1.51 WHERE id = 1;
INSERT INTO customers (id, name) VALUES (77, 'nobody');
INSERT INTO orders (id, customer, total, note) VALUES (99, 77, 0, 'x');
UPDATE orders SET customer = 77 WHERE id = 3;
DELETE FROM tags WHERE order_id = 1 AND tag = 'b';
INSERT INTO tags VALUES (1, 'B2');
"""


@pytest.mark.parametrize("shop", PAIRS, indirect=True, ids="-".join)
def test_rows_are_put_right_and_taken_back_and_put_right_again(shop: moves.Move) -> None:
    clean = _rows(shop)
    _in_target(shop, DAMAGE)
    damaged = _rows(shop)
    shop.sensei("validations", "run", shop.id, expect=4)

    words = ("--tables", "customers,orders", "--tables", "tags")
    asked = _repair(shop, *words, expect=3)
    assert asked.data["error"]["code"] == "refused" and "77" in asked.stderr
    assert _rows(shop) == damaged, "nothing is done without consent"

    done = _repair(shop, *words, "--yes").data
    assert {t["name"].rpartition(".")[2]: (t["missing"], t["extra"], t["different"]) for t in done["tables"]} == {
        "customers": (0, 1, 0),
        "orders": (1, 1, 2),
        "tags": (1, 1, 0),
    }
    assert (done["repair"], _rows(shop) == clean) == (1, True)
    assert shop.status()["status"] == "completed"
    assert "void" in shop.sensei("validations", "report", shop.id).stdout
    assert f"next: sensei validations run {shop.id}" in _repair(shop, *words, "--yes", json=False).stdout

    undone = _repair(shop, "--undo", "--yes").data
    assert (undone["repair"], undone["undoes"], _rows(shop) == damaged) == (2, 1, True)
    shop.sensei("validations", "run", shop.id, expect=4)
    assert _repair(shop, "--undo", "--yes", expect=3).data["error"]["code"] == "wrong_state"

    assert _repair(shop, *words, "--yes").data["repair"] == 3
    assert _rows(shop) == clean
    assert shop.sensei("validations", "run", shop.id, json=True).data["status"] == "validated"
    done = shop.rollback("--verify").data
    assert (done["passed"], done["rollback_verification"]) == (True, moves.LINES)


_FILE, _MARIADB, _SERVER = ("sqlite", "sqlite"), ("sqlite", "mysql"), ("sqlite", "postgres")


@pytest.mark.parametrize(
    ("shop", "point"),
    [
        (_FILE, "journal:repair_begun:before"),
        (_FILE, "repair:commit:before"),
        (_FILE, "journal:repair_finished:after"),
        (_FILE, "journal:transition:after"),
        (_MARIADB, "journal:repair_begun:after"),
        (_MARIADB, "repair:places:after"),
        (_MARIADB, "repair:commit:after"),
        (_SERVER, "repair:commit:before"),
        (_SERVER, "repair:commit:after"),
    ],
    indirect=["shop"],
)
def test_killed_anywhere_a_repair_has_happened_or_not_and_the_same_command_goes_on(
    shop: moves.Move, point: str
) -> None:
    clean = _rows(shop)
    _in_target(shop, DAMAGE)
    damaged = _rows(shop)
    shop.sensei("validations", "run", shop.id, expect=4)
    words = ("--tables", "customers,orders,tags", "--yes")
    _repair(shop, *words, json=False, crash_at=point)
    happened = point in ("repair:commit:after", "journal:repair_finished:after", "journal:transition:after")
    assert _rows(shop) == (clean if happened else damaged)
    if point == "journal:transition:after":
        shop.resume()
    done = _repair(shop, *words)
    assert done.data["repair"] == (None if happened else 1 if point.endswith("begun:before") else 2)
    assert _rows(shop) == clean
    _repair(shop, "--undo", "--yes", crash_at="repair:commit:before")
    assert _rows(shop) == clean
    _repair(shop, "--undo", "--yes")
    assert _rows(shop) == damaged
    _repair(shop, *words)
    shop.sensei("validations", "run", shop.id)
    assert shop.rollback("--verify").data["passed"]


TABLES = ("--tables", "customers,orders,tags", "--yes")


@pytest.mark.parametrize("shop", [_FILE, _SERVER], indirect=True, ids="-".join)
def test_rows_that_point_at_a_row_to_be_taken_out_are_not_taken_along(shop: moves.Move) -> None:
    _in_target(
        shop,
        "INSERT INTO customers (id, name) VALUES (77, 'nobody'); UPDATE orders SET customer = 77 WHERE id = 3",
    )
    damaged = _rows(shop)
    refused = _repair(shop, "--tables", "customers", "--yes", expect=3).data["error"]
    assert "point at 1 rows" in refused["message"] and "orders" in refused["details"]["hint"]
    assert _rows(shop) == damaged
    _repair(shop, *TABLES)
    assert _rows(shop)["customers"] == [(1, "ann"), (2, "bob "), (3, "çem")]


@pytest.mark.parametrize("shop", [_FILE], indirect=True, ids="-".join)
def test_what_was_written_to_repaired_rows_since_is_kept_when_the_repair_is_taken_back(shop: moves.Move) -> None:
    _in_target(shop, "UPDATE orders SET total = 7 WHERE id = 1")
    _repair(shop, *TABLES)
    _in_target(shop, "UPDATE orders SET total = 8 WHERE id = 1")
    _repair(shop, "--undo", "--yes")
    assert small_shop.ask(shop.target, "SELECT total FROM orders WHERE id = 1") == [(7,)]
    kept = small_shop.ask(shop.target, "SELECT name FROM sqlite_master WHERE name GLOB 'sensei_repair_*_2_*_old'")
    assert small_shop.ask(shop.target, f"SELECT id, total FROM {kept[0][0]}") == [(1, 8)]
    shop.sensei("migrations", "rollback", shop.id, "--tables", "orders", "--yes")
    shop.resume()
    shop.sensei("validations", "run", shop.id)
    issued = shop.sensei("validations", "certificate", shop.id, "--output", "c.json")
    assert "repair 1 of 1 row after the copy" in issued.stdout
    assert "repair 2 of 1 row after the copy, which took repair 1 back" in issued.stdout
    _in_target(shop, "UPDATE tags SET tag = 'zz' WHERE order_id = 2")
    _repair(shop, "--tables", "tags", "--yes")
    shop.sensei("migrations", "rollback", shop.id, "--tables", "tags", "--yes")
    shop.resume()
    refused = _repair(shop, "--undo", "--yes", expect=3).data["error"]
    assert (refused["code"], "made anew" in refused["message"]) == ("world_changed", True)


@pytest.mark.parametrize("shop", [_FILE], indirect=True, ids="-".join)
def test_what_single_rows_can_not_put_right_is_refused_in_plain_words(shop: moves.Move) -> None:
    assert _repair(shop, "--yes", expect=2).data["error"]["code"] == "bad_input"
    assert _repair(shop, *TABLES, "--undo", expect=2).data["error"]["code"] == "bad_input"
    assert _repair(shop, "--tables", "order", "--yes", expect=2).data["error"]["code"] == "unknown_name"
    assert _repair(shop, *TABLES).data["repair"] is None, "nothing differs"
    _in_target(shop, "UPDATE orders SET total = 7 WHERE id = 1; CREATE TRIGGER loud AFTER UPDATE ON orders BEGIN"
               " DELETE FROM tags; END")  # fmt: skip
    refused = _repair(shop, *TABLES, expect=3).data["error"]
    assert "trigger loud" in refused["message"]
    _in_target(shop, "DROP TRIGGER loud")
    # Two rows exchanged a unique value: neither can have its own while the other has it.
    _in_target(shop, "UPDATE customers SET name = 'x' WHERE id = 1; UPDATE customers SET name = 'ann' WHERE id = 2;"
               " UPDATE customers SET name = 'bob ' WHERE id = 1")  # fmt: skip
    damaged = _rows(shop)
    refused = _repair(shop, *TABLES, expect=3).data["error"]
    assert "nothing was changed" in refused["message"] and shop.id in refused["details"]["hint"]
    assert _rows(shop) == damaged
    with (
        comparing.at_desk(shop) as desk,
        mock.patch.object(apart, "MOST", 1),
        pytest.raises(errors.Refused, match="customers: more than 1 rows differ"),
    ):
        repair.run(desk, shop.id, ["customers"], lambda shown: True)
    shop.rollback()
    assert _repair(shop, *TABLES, expect=3).data["error"]["code"] == "wrong_state"


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mysql"])
@pytest.mark.parametrize("way", ["append", "replace"])
def test_rows_in_a_table_that_was_there_before_are_put_right_and_the_way_back_stays(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path, engine: str, way: str
) -> None:
    other = {"sqlite": "postgres", "postgres": "sqlite", "mysql": "sqlite"}[engine]
    (tmp_path / "s").mkdir()
    target: moves.End = tmp_path / "t.db" if engine == "sqlite" else maker(engine)()
    small_shop.run(
        target,
        f"CREATE TABLE customers (id {'integer' if engine == 'sqlite' else 'bigint'} PRIMARY KEY,"
        " name varchar(60) NOT NULL, level int DEFAULT 7);"
        " INSERT INTO customers VALUES (1, 'old ann', 3), (50, 'own', 4)",
    )
    source = small_shop.source(other, maker(other), tmp_path / "s")
    move = moves.plan_move(warm_sensei, source, target, options={"on_existing": way}, schemas=None)
    before = small_shop.ask(target, "SELECT * FROM customers ORDER BY id")
    move.start()
    clean = small_shop.ask(target, "SELECT * FROM customers ORDER BY id")
    small_shop.run(
        target,
        "DELETE FROM orders WHERE customer = 3; DELETE FROM customers WHERE id = 3;"
        " UPDATE customers SET name = 'z' WHERE id = 1; UPDATE customers SET name = 'y' WHERE id = 2",
    )
    damaged = small_shop.ask(target, "SELECT * FROM customers ORDER BY id")
    _repair(move, "--tables", "customers,orders", "--yes")
    fixed = small_shop.ask(target, "SELECT * FROM customers ORDER BY id")
    assert [row[:2] for row in fixed] == [row[:2] for row in clean]
    _repair(move, "--undo", "--yes")
    assert small_shop.ask(target, "SELECT * FROM customers ORDER BY id") == damaged
    _repair(move, "--tables", "customers,orders", "--yes")
    assert move.sensei("validations", "run", move.id, json=True).data["status"] == "validated"
    done = move.rollback("--verify").data
    assert (done["passed"], done["rollback_verification"]) == (True, moves.LINES)
    assert small_shop.ask(target, "SELECT * FROM customers ORDER BY id") == before


@pytest.mark.parametrize("shop", [("postgres", "sqlite")], indirect=True, ids="-".join)
def test_rows_that_the_source_changed_since_are_taken_over_and_said_to_be_such(shop: moves.Move) -> None:
    small_shop.run(shop.source, "UPDATE orders SET total = 2.50 WHERE id = 1")
    done = _repair(shop, *TABLES)
    assert "get what the source holds now" in done.stderr
    assert [t["cause"] for t in done.data["tables"] if t["different"]] == ["source_moved_on"]
    assert shop.sensei("validations", "run", shop.id, json=True).data["status"] == "validated"
    done = shop.rollback("--verify", expect=4).data
    assert done["rollback_verification"] == {**moves.LINES, "source_data_integrity": "damaged"}


def test_more_rows_than_samples_and_columns_left_out_are_put_right_and_no_key_is_refused(
    warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path
) -> None:
    source, target = tmp_path / "s.db", maker("postgres")()
    numbers = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {})"
    small_shop.run(
        source,
        "CREATE TABLE many (id INTEGER PRIMARY KEY, v TEXT, w TEXT); CREATE TABLE loose (a INT);"
        " CREATE TABLE words (w VARCHAR(20) PRIMARY KEY, n INT); INSERT INTO loose VALUES (1);"
        f" INSERT INTO many {numbers.format(2000)} SELECT value, 'v' || value, 'w' || value FROM n;"
        f" INSERT INTO words {numbers.format(500)} SELECT 'word ' || value, value FROM n",
    )
    move = moves.plan_move(warm_sensei, source, target, validation={"tolerances": {"ignore_columns": ["many.w"]}})
    move.start()
    small_shop.run(
        target,
        "UPDATE many SET v = 'x' WHERE id % 2 = 0; DELETE FROM many WHERE id % 5 = 0;"
        " UPDATE many SET w = 'mine' WHERE id = 1; UPDATE many SET w = 'mine', v = 'x' WHERE id = 3;"
        " UPDATE words SET n = 0 WHERE n > 350",
    )
    shown = _repair(move, "--tables", "many,words", "--yes").data["tables"]
    assert [(t["name"], t["missing"], t["different"]) for t in shown] == [("many", 400, 801), ("words", 0, 150)]
    rows = small_shop.ask(target, "SELECT id, v, w FROM many ORDER BY id")
    assert [(i, v) for i, v, _ in rows] == [(i, f"v{i}") for i in range(1, 2001)]
    # What is not compared is no difference; a row that is put right comes whole.
    assert [w for _, _, w in rows[:5]] == ["mine", "w2", "w3", "w4", "w5"]
    assert small_shop.ask(target, "SELECT count(*) FROM words WHERE w <> 'word ' || n") == [(0,)]
    small_shop.run(target, "UPDATE loose SET a = 2")
    refused = _repair(move, "--tables", "loose", "--yes", expect=3).data["error"]
    assert "no key" in refused["message"] and move.id in refused["details"]["hint"]
