"""Interleaved rounds: every side moves the same rows into a fresh database, in turn, and is checked."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks import lineitem, measure, server, subject


class Target(Protocol):
    """The server that is moved into."""

    @property
    def pid(self) -> int: ...

    @property
    def schema(self) -> str: ...

    def url(self, database: str) -> str: ...

    def fresh(self, database: str) -> None: ...

    def drop(self, database: str) -> None: ...

    def analyze(self, database: str, folder: Path) -> measure.Cost | None: ...

    def complaints(self, database: str, wanted: tuple[Any, ...]) -> Iterator[str]: ...

    def is_gone(self, database: str) -> bool: ...


class PostgresTarget:
    """PostgreSQL as the side that is moved into."""

    def __init__(self, pg: server.Server) -> None:
        self.pg = pg
        self.pid = pg.pid
        self.schema = "public"

    def url(self, database: str) -> str:
        """As Sensei takes it."""
        return self.pg.url(database)

    def fresh(self, database: str) -> None:
        """Make an empty database; nobody should write what another left behind."""
        self.pg.drop_db(database)
        self.pg.create_db(database)
        self.pg.sql(database, "CHECKPOINT")

    def drop(self, database: str) -> None:
        """Drop it with all that is in it."""
        self.pg.drop_db(database)

    def analyze(self, database: str, folder: Path) -> measure.Cost | None:
        """Analyze where the tool has not, as part of its time."""
        if lineitem.is_analyzed(self.pg, database):
            return None
        return measure.run(
            [str(self.pg.bindir / "psql"), "-X", "-q", "-c", "ANALYZE lineitem", self.pg.plain_url(database)],
            log=folder / "analyze.log",
            servers=(self.pid,),
            environment=self.pg.environment(),
        )

    def complaints(self, database: str, wanted: tuple[Any, ...]) -> Iterator[str]:
        """What is wrong with a target, in words."""
        return lineitem.complaints(self.pg, database, wanted)

    def is_gone(self, database: str) -> bool:
        """Whether it is no more where it was moved to."""
        return lineitem.is_gone(self.pg, database)


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
    target: Target,
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
            result = _turn(target, pair, side, number, scale, wanted, folder)
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
    target: Target, pair: str, side: Side, number: int, scale: float, wanted: tuple[Any, ...], folder: Path
) -> Result:
    database = "bench_target"
    target.fresh(database)
    phases: dict[str, measure.Cost] = {}
    complaints: list[str] = []
    try:
        phases.update(side.move(database))
        if (more := target.analyze(database, folder)) is not None:
            phases["analyze"] = more
        complaints += target.complaints(database, wanted)
        if isinstance(side, subject.Sensei):
            phases["rollback"] = side.undo()
            if not target.is_gone(database):
                complaints.append("the rollback left the table in its place")
    except measure.Failed as failure:
        complaints.append(str(failure))
    target.drop(database)
    return Result(pair, side.name, number, scale, wanted[0], phases, tuple(complaints))
