"""Killed at every point that touches the target's own tables, a migration goes on to the same end and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import existing_shop
import fix_postgres
import moves
import reader
import small_shop
from fix_sensei import KILLED, Sensei

#: Points of the steps in question; those of all steps are taken by other tests.
_FORWARD = ("step:keep_place", "step:hold", "step:set_aside", "step:create_table", "step:rebind",
            "step:create_stage", "step:merge", "step:drop_stage", "merge:")  # fmt: skip
_BACK = ("rollback:",)


@pytest.mark.parametrize("how", ["replace", "append"])
@pytest.mark.parametrize("engine", ["postgres", "sqlite"])
def test_killed_at_every_point_in_turn_a_migration_comes_to_the_same_end_and_back(
    warm_sensei: Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path, engine: str, how: str
) -> None:
    source = small_shop.source("sqlite" if engine == "postgres" else "postgres", make_pg_db, tmp_path)
    target: moves.End = make_pg_db() if engine == "postgres" else tmp_path / "target.db"
    own = {"postgres": existing_shop.POSTGRES, "sqlite": existing_shop.SQLITE}
    small_shop.run(target, (own if how == "replace" else existing_shop.SHARED)[engine])
    before = reader.snapshot(target)

    def plan(name: str) -> moves.Move:
        return moves.plan_move(warm_sensei, source, target, name=name, options={"on_existing": how})

    def passed(wanted: tuple[str, ...], act: Any, *words: str) -> list[str]:
        log = tmp_path / "points"
        log.unlink(missing_ok=True)
        act(*words, env={"SENSEI_CRASH_LOG": str(log)})
        return [p for p in log.read_text().split() if p.startswith(wanted)]

    first = plan("first")
    forward, done = passed(_FORWARD, first.start), reader.snapshot(target)
    back = passed(_BACK, first.rollback)
    assert reader.diff_snapshots(before, reader.snapshot(target)) == []

    second = plan("second")
    go_on: Any = second.start
    for point in forward:
        go_on(crash_at=point, expect=KILLED)
        go_on = second.resume
    go_on()
    moved = reader.diff_snapshots(done, reader.snapshot(target))
    assert [d for d in moved if "sqlite_stat" not in d and "sensei_kept_" not in d] == []
    for point in dict.fromkeys(back):
        second.rollback(crash_at=f"{point}:{back.count(point)}", expect=KILLED)
    assert second.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(target)) == []
    assert len(forward) > 5 and len(back) > 5
