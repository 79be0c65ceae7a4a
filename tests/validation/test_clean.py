"""No false alarm: a clean move of a whole sample database shows no difference, in any direction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import comparing
import ends
import fix_sensei
import moves
import servers
from sensei.validation import spread, unit

AW_SCHEMAS = ["humanresources", "person", "production", "purchasing", "sales"]
DIRECTIONS = [
    *(("chinook", s, t) for s in ("sqlite", "postgres") for t in ("sqlite", "postgres")),
    *((d, "postgres", t) for d in ("pagila", "adventureworks") for t in ("sqlite", "postgres")),
    *((d, "postgres", "mysql") for d in ("pagila", "adventureworks")),
    ("chinook", "sqlite", "mysql"),
    *(("sakila", "mysql", t) for t in ("mysql", "postgres", "sqlite")),
]


@pytest.mark.parametrize(("name", "source", "target"), DIRECTIONS)
def test_a_clean_move_of_a_sample_database_shows_no_difference(
    request: pytest.FixtureRequest,
    sensei: fix_sensei.Sensei,
    pg_dataset: Callable[[str], servers.Database],
    sqlite_dataset: Callable[[str], Path],
    mysql_dataset: Callable[[str], servers.MysqlDatabase],
    maker: ends.Maker,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: str,
    target: str,
) -> None:
    load = {"sqlite": sqlite_dataset, "postgres": pg_dataset, "mysql": mysql_dataset}[source]
    here: ends.End = load(name)  # type: ignore[operator]
    there = maker(target)()
    schemas = AW_SCHEMAS if name == "adventureworks" else None
    move = moves.plan_move(sensei, here, there, schemas=schemas)
    move.start()
    if isinstance(there, servers.MysqlDatabase) and schemas:  # databases of their names, which nobody else drops
        request.addfinalizer(lambda: [there.server.drop_db(s) for s in schemas])

    # Sums of both sides agree by themselves: nothing has to be looked at row by row to be found equal.
    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("a closer look at equal rows")

    monkeypatch.setattr(unit, "_look_closer", unwanted)
    monkeypatch.setattr(spread, "_match", unwanted)
    for how in list[dict[str, Any]]([{}, {"quick": True, "block_rows": 100}]):
        found = comparing.compare(move, **how)
        assert [(d.table, d.samples[:3]) for d in found.values() if not d.same] == [], how
        assert all(d.rows_source == d.rows_target for d in found.values())
        compared = sum(d.rows_compared for d in found.values())
        rows = sum(d.rows_source for d in found.values())
        assert rows > 10_000
        assert compared == rows if not how.get("quick") else 0 < compared <= rows
