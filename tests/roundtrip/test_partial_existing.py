"""Single tables taken back where the target had tables of their names: the old ones, or the old rows, are back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ends
import existing_shop
import fix_sensei
import moves
import reader
import servers
import small_shop

ENGINES = ["postgres", "sqlite", "mysql"]
OTHER = {"postgres": "sqlite", "sqlite": "postgres", "mysql": "sqlite"}

MakeMove = Callable[..., moves.Move]


@pytest.fixture
def make_move(warm_sensei: fix_sensei.Sensei, maker: ends.Maker, tmp_path: Path) -> MakeMove:
    """A planned move of the small shop, from another engine, into a target that has customers and orders."""

    def make(engine: str, how: str, **more: Any) -> moves.Move:
        origin = OTHER[engine]
        source = small_shop.source(origin, maker(origin), tmp_path)
        target = existing_shop.target(engine, maker(engine), tmp_path, origin, how)
        if how == "append":
            small_shop.run(target, "ALTER TABLE orders ADD COLUMN remark text")
        options = {"on_existing": how, "chunk_rows": 2}
        return moves.plan_move(warm_sensei, source, target, options=options, **more)

    return make


def back(move: moves.Move, tables: str, *words: str, **how: Any) -> fix_sensei.Result:
    return move.sensei("migrations", "rollback", move.id, "--tables", tables, *words, **{"json": True, **how})


def totals(move: moves.Move) -> Any:
    """How many orders the target has, by its own name and through a view over both tables."""
    view = "SELECT count(total) FROM totals" if isinstance(move.target, servers.Database) else "SELECT 0"
    return small_shop.ask(move.target, f"SELECT (SELECT count(*) FROM orders), ({view})")[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_replaced_table_comes_back_alone_is_replaced_again_and_all_come_back(
    make_move: MakeMove, engine: str
) -> None:
    move = make_move(engine, "replace")
    before = existing_shop.seen(move.target)
    old = totals(move)[0]
    move.start()
    whole, new = existing_shop.seen(move.target), totals(move)

    # The old orders are at home again; what hangs on both tables is bound to them and to the new customers.
    done = back(move, "orders", "--verify").data
    assert (done["status"], done["passed"], done["differences"]) == ("paused", True, [])
    assert totals(move)[0] == old and (engine == "sqlite" or totals(move)[1] == 0)
    assert small_shop.ask(move.target, "SELECT count(*) FROM names")[0][0] == 3, "customers stay the new ones"
    move.resume()
    assert totals(move) == new
    assert reader.diff_snapshots(whole, existing_shop.seen(move.target)) == []

    # Customers take the orders along: everything is as it was before.
    done = back(move, "customers", "--yes", "--verify").data
    assert (done["passed"], done["rollback_verification"]) == (True, moves.LINES)
    staying = ("tags", "sqlite_stat")  # the tags stay, with their lines in SQLite's tables of statistics
    differing = reader.diff_snapshots(before, existing_shop.seen(move.target))
    assert [d for d in differing if not any(word in d for word in staying)] == []

    # What came to hang on the old table meanwhile is not led astray by the next resume.
    small_shop.run(move.target, "CREATE VIEW fresh AS SELECT id FROM customers")
    assert "fresh" in move.resume(expect=3).stderr
    small_shop.run(move.target, "DROP VIEW fresh")
    move.resume()
    assert reader.diff_snapshots(whole, existing_shop.seen(move.target)) == []
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []


CORRECTED = {"orders": {"columns": {"note": {"target": "remark"}}}}


def corrected(move: moves.Move, **how: Any) -> fix_sensei.Result:
    """Resume with another mapping of the orders, which are taken back."""
    path = move.sensei.folder / "move.yaml"
    asked = json.loads(path.read_text())
    other = move.sensei.write("corrected.yaml", {**asked, "tables": CORRECTED})
    return move.sensei("migrations", "resume", move.id, "--config", other, **how)


@pytest.mark.parametrize("engine", ENGINES)
def test_added_rows_leave_alone_and_join_again_also_from_the_stage(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine, "append")
    before = reader.snapshot(move.target)
    own = small_shop.ask(move.target, "SELECT id, total, note FROM orders ORDER BY id")
    # Killed while all rows of the shop are in their stages and none is merged.
    move.start(crash_at="step:merge:commit:before")
    back(move, "tags")
    move.resume()
    whole = reader.snapshot(move.target)

    done = back(move, "orders", "--verify").data
    assert (done["status"], done["passed"], done["differences"]) == ("paused", True, [])
    assert small_shop.ask(move.target, "SELECT id, total, note FROM orders ORDER BY id") == own
    assert small_shop.ask(move.target, "SELECT count(*) FROM customers")[0][0] > 3, "what joined the customers stays"
    move.resume()
    assert small_shop.ask(move.target, "SELECT id, total, note FROM orders ORDER BY id") != own
    same = reader.diff_snapshots(whole, reader.snapshot(move.target))
    assert [d for d in same if "sequence" not in d and "sqlite_" not in d] == []

    # A corrected mapping of the table that is taken back is taken, and the others' plans are what they were.
    back(move, "orders", "--keep-progress")
    corrected(move)
    assert {" none "} == {r for (r,) in small_shop.ask(move.target, "SELECT remark FROM orders WHERE id <= 3")}
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(move.target)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_corrected_configuration_is_taken_for_a_replaced_table(make_move: MakeMove, engine: str) -> None:
    move = make_move(engine, "replace")
    before = existing_shop.seen(move.target)
    move.start()
    back(move, "orders")
    corrected(move)
    assert {" none "} == {r for (r,) in small_shop.ask(move.target, "SELECT remark FROM orders")}
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, existing_shop.seen(move.target)) == []
