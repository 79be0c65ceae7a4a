"""Single tables taken back while the others stay: alone or with what depends on them, and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fix_postgres
import fix_sensei
import moves
import reader
import servers
import small_shop

ENGINES = ["postgres", "sqlite"]
PAIRS = [("sqlite", "postgres"), ("postgres", "sqlite"), ("postgres", "postgres"), ("sqlite", "sqlite")]

MakeMove = Callable[..., moves.Move]


@pytest.fixture
def make_move(warm_sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path) -> MakeMove:
    """A planned migration of the small shop into a target of that engine, from the other one if none is named."""

    def make(engine: str, source: str = "", *, own: bool = True, extra: str = "", **options: Any) -> moves.Move:
        source = source or ("sqlite" if engine == "postgres" else "postgres")
        a = small_shop.source(source, make_pg_db, tmp_path)
        if extra:
            small_shop.run(a, extra)
        b = small_shop.target(engine, make_pg_db, tmp_path, own=own)
        return moves.plan_move(warm_sensei, a, b, options={"chunk_rows": 2, **options})

    return make


def back(move: moves.Move, tables: str, *words: str, **how: Any) -> fix_sensei.Result:
    return move.sensei("migrations", "rollback", move.id, "--tables", tables, *words, **{"json": True, **how})


def tables(move: moves.Move) -> dict[str, tuple[str, int]]:
    """Each table's status and rows, by the name without a schema."""
    return {t["name"].rpartition(".")[2]: (t["status"], t["rows_copied"]) for t in move.status()["progress"]["tables"]}


def evidence(move: moves.Move) -> list[tuple[str, str]]:
    """(object, place) of all that is kept, without the migration's id and the schema."""
    found = move.sensei("evidence", "list", move.id, json=True).data["evidence"]
    return [(e["object"].rpartition(".")[2], e["place"].partition(move.id)[2]) for e in found]


def rows_aside(move: moves.Move, place: str, table: str) -> int:
    name = f"sensei_evidence_{move.id}{place}"
    full = f'"{name}"."{table}"' if isinstance(move.target, servers.Database) else f'"{name}_{table}"'
    return int(small_shop.ask(move.target, f"SELECT count(*) FROM {full}")[0][0])


def same(move: moves.Move) -> None:
    assert reader.compare_databases(move.source, move.target) == []


def lasting(end: moves.End) -> Any:
    # SQLite makes this table of its own with the first AUTOINCREMENT, and nobody can drop it.
    return {k: v for k, v in reader.snapshot(end).items() if k != "table sqlite_sequence"}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_tables_are_done_taken_back_done_again_and_everything_taken_back(
    make_move: MakeMove, source: str, target: str
) -> None:
    move = make_move(target, source)
    empty = lasting(move.target)
    move.start()
    whole = lasting(move.target)

    # customers have to take their orders along; the tags stay.
    done = back(move, "customers", "--yes", "--verify").data
    assert (done["status"], done["passed"], done["rollback_verification"]) == ("paused", True, moves.LINES)
    assert [t.rpartition(".")[2] for t in done["tables"]] == ["customers", "orders"]
    assert tables(move) == {"customers": ("rolled_back", 0), "orders": ("rolled_back", 0), "tags": ("done", 3)}
    gone = reader.diff_snapshots(whole, lasting(move.target))
    assert gone and all("customers" in d or "orders" in d or " sqlite_" in d for d in gone)
    assert evidence(move) == [("customers", ""), ("orders", "")]
    assert (rows_aside(move, "", "customers"), rows_aside(move, "", "orders")) == (3, 3)

    assert move.resume(json=True).data["rows_copied"] == small_shop.ROWS
    assert tables(move) == {"customers": ("done", 3), "orders": ("done", 3), "tags": ("done", 3)}
    same(move)
    assert reader.diff_snapshots(whole, lasting(move.target)) == []

    # Once more, alone, to a place of its own; what is set aside no longer holds on to what stays.
    back(move, "orders", "--keep-progress")
    assert evidence(move) == [("customers", ""), ("orders", ""), ("orders", "-2")]
    checked = "PRAGMA foreign_keys = ON;" if target == "sqlite" else ""
    small_shop.run(move.target, f"{checked} DELETE FROM customers WHERE id = 3")
    assert rows_aside(move, "-2", "orders") == 3

    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(empty, lasting(move.target)) == []
    assert evidence(move)[3:] == [("tags", "-3"), ("customers", "-3")]
    move.sensei("evidence", "purge", move.id, "--yes")
    found = reader.snapshot(move.target, ignore_prefixes=())
    assert not [name for name in found if "sensei_evidence" in name]
