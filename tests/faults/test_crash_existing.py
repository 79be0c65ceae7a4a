"""Killed at every point that touches the target's own tables, a migration goes on to the same end and back."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

import ends
import existing_shop
import moves
import reader
import small_shop
from fix_sensei import KILLED, Sensei

#: Points of the steps in question; those of all steps are taken by other tests.
_FORWARD = ("step:keep_place", "step:hold", "step:set_aside", "step:create_table", "step:rebind",
            "step:create_stage", "step:merge", "step:drop_stage", "merge:")  # fmt: skip
_BACK = ("rollback:",)


CASES = [(engine, how) for engine in ends.ENGINES for how in ("replace", "append")]


@pytest.mark.parametrize(("engine", "how"), CASES)
def test_killed_at_every_point_in_turn_a_migration_comes_to_the_same_end_and_back(
    warm_sensei: Sensei, maker: ends.Maker, tmp_path: Path, engine: str, how: str
) -> None:
    origin = "sqlite" if engine == "postgres" else "postgres"
    source = small_shop.source(origin, maker(origin), tmp_path)
    target = existing_shop.target(engine, maker(engine), tmp_path, origin, how)
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
    for n, point in enumerate(forward):
        # Of a step's statements that commit by themselves each is followed by a crash.
        times = len(list(itertools.takewhile(lambda p, point=point: p == point, reversed(forward[: n + 1]))))
        go_on(crash_at=f"{point}:{times}", expect=KILLED)
        go_on = second.resume
    go_on()
    moved = reader.diff_snapshots(done, reader.snapshot(target))
    assert [d for d in moved if "sqlite_stat" not in d and "sensei_kept_" not in d] == []
    for point in dict.fromkeys(back):
        second.rollback(crash_at=f"{point}:{back.count(point)}", expect=KILLED)
    assert second.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.diff_snapshots(before, reader.snapshot(target)) == []
    assert len(forward) > 5 and len(back) > 5
