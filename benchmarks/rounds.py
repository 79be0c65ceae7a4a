"""Interleaved rounds: every side moves the same rows into a fresh database, in turn, and is checked."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks import lineitem, measure, server, subject


class Side(Protocol):
    """A tool that moves the source into an empty database, named phase by phase."""

    @property
    def name(self) -> str: ...

    def move(self, database: str) -> dict[str, measure.Cost]: ...


@dataclasses.dataclass(frozen=True)
class Result:
    """One side's round."""

    pair: str
    side: str
    round: int
    scale: float
    rows: int
    #: "move" of a peer; "create", "start" and "rollback" of Sensei; "analyze" where a tool leaves that to us.
    phases: dict[str, measure.Cost]
    #: What was wrong; such a round is in no figure.
    complaints: tuple[str, ...] = ()

    def cost(self, *, create: bool = False) -> measure.Cost:
        """Of the move itself, with or without the planning before it."""
        wanted = ("move", "start", "analyze", *(("create",) if create else ()))
        first, *rest = [self.phases[name] for name in wanted if name in self.phases]
        for more in rest:
            first = first + more
        return first

    def plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return dataclasses.asdict(self)


def play(
    pg: server.Server,
    pair: str,
    sides: Sequence[Side],
    *,
    times: int,
    scale: float,
    wanted: tuple[Any, ...],
    folder: Path,
) -> list[Result]:
    """``times`` rounds in which each side has one turn; progress goes to standard error."""
    results = []
    for number in range(1, times + 1):
        for side in sides:
            result = _turn(pg, pair, side, number, scale, wanted, folder)
            if result.complaints:
                said = "; ".join(result.complaints)
            else:
                said = ", ".join(f"{name} {cost.wall:.2f} s" for name, cost in result.phases.items())
            busy = any(cost.disturbed for cost in result.phases.values())
            note = " (neighbours were busy)" if busy else ""
            print(
                f"{pair}, scale {scale:g}, round {number}, {side.name}: {said}{note}",
                file=sys.stderr,
                flush=True,
            )
            results.append(result)
    return results


def _turn(
    pg: server.Server, pair: str, side: Side, number: int, scale: float, wanted: tuple[Any, ...], folder: Path
) -> Result:
    database = "bench_target"
    pg.drop_db(database)
    pg.create_db(database)
    # Nobody should write what another left behind.
    pg.sql(database, "CHECKPOINT")
    phases: dict[str, measure.Cost] = {}
    complaints: list[str] = []
    try:
        phases.update(side.move(database))
        if not lineitem.is_analyzed(pg, database):
            phases["analyze"] = _analyze(pg, database, folder)
        complaints += lineitem.complaints(pg, database, wanted)
        if isinstance(side, subject.Sensei):
            phases["rollback"] = side.undo()
            if not lineitem.is_gone(pg, database):
                complaints.append("the rollback left the table in its place")
    except measure.Failed as failure:
        complaints.append(str(failure))
    pg.drop_db(database)
    return Result(pair, side.name, number, scale, wanted[0], phases, tuple(complaints))


def _analyze(pg: server.Server, database: str, folder: Path) -> measure.Cost:
    return measure.run(
        [str(pg.bindir / "psql"), "-X", "-q", "-c", "ANALYZE lineitem", pg.plain_url(database)],
        log=folder / "analyze.log",
        server_pid=pg.pid,
        environment=pg.environment(),
    )
