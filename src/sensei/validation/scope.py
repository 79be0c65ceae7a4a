"""What a perspective is given: both ends, what was planned, what was asked for, and a memory that outlives a crash."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sensei import catalog, errors
from sensei.config import validation as configuration
from sensei.engines import base, comparing
from sensei.validation import model
from sensei.work import sides

T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """One table as the plan has it, on both sides."""

    id: str
    source: catalog.Table
    target: catalog.Table
    #: Source column -> target column. The target's own table has columns besides, and in another order.
    names: Mapping[str, str]
    computed: frozenset[str] = frozenset()  #: columns of the source in whose place an expression stands
    where: str = ""  #: the rows that are taken; "": all

    def columns(self) -> Iterator[tuple[catalog.Column, catalog.Column]]:
        """Yield each column of the source with the target's that holds the same."""
        there = {c.name: c for c in self.target.columns}
        for column in self.source.columns:
            if (found := there.get(self.names.get(column.name, ""))) is not None:
                yield column, found


@dataclass(frozen=True)
class Plan:
    """What the plan promised of the target, as far as validation has to know."""

    tables: tuple[Planned, ...]
    sequences: tuple[catalog.Sequence, ...]  #: in the target's names
    sequence_sources: Mapping[str, str]  #: target's name -> source's name
    schemas: tuple[str, ...]  #: of the source that were looked at
    target_schemas: tuple[str, ...]
    same_engine: bool
    not_migrated: tuple[tuple[str, str, str], ...] = ()  #: kind, object, why it stays behind

    def resolve(self, name: str) -> Planned | None:
        """Return the table that an operator means: its id, or its bare name on either side if only one has it."""
        found = [t for t in self.tables if name in (t.id, str(t.target.name))]
        found = found or [t for t in self.tables if name in (t.source.name.name, t.target.name.name)]
        return found[0] if len(found) == 1 else None


class Memory:
    """What a run has finished, one line a unit; a run that was cut off reads it and goes on behind it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):  # the last line may be half written
                    entry = json.loads(line)
                    self._known[entry["unit"]] = entry["found"]

    def get(self, unit: str) -> Any:
        """Return what was noted of a unit, or None."""
        return self._known.get(unit)

    def put(self, unit: str, found: Any) -> None:
        """Note what a unit gave; JSON-able data."""
        self._known[unit] = found
        with self._path.open("a", encoding="utf-8") as file:
            # A line of its own, whatever a killed run left of the one before.
            file.write("\n" + json.dumps({"unit": unit, "found": found}, ensure_ascii=False) + "\n")

    def units(self) -> Iterator[str]:
        """Yield the names of all units that were noted."""
        yield from self._known


def _go_on() -> None:
    """Nobody asks to stop."""


def _unheard(perspective: model.Perspective, table: str, done: int, total: int) -> None:
    """Nobody listens."""


def _nowhere(path: str) -> str:
    """Nobody knows the file."""
    return ""


@dataclass
class Scope:
    """One run, as its perspectives see it."""

    migration: str
    kind: str  #: "full" or "quick"
    source: sides.Side
    target: sides.Side
    plan: Plan
    pairs: tuple[model.Pair, ...]
    asked: configuration.Validation
    memory: Memory
    workers: int = 1
    folder: Path | None = None  #: of the migration file: names of files in it count from here
    pause: Callable[[], None] = _go_on  #: raises Paused or TakenOver where it is time to stop
    #: Told how far a perspective is: table, rows done, rows in all.
    progress: Callable[[model.Perspective, str, int, int], None] = _unheard
    #: Returns "file:line: " for a key's path, such as validation.rules[0], or nothing where the file is gone.
    where: Callable[[str], str] = _nowhere
    #: What the perspectives leave for `validations divergence`.
    divergences: list[model.Divergence] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)

    #: Tables of which something is gone on the target, and what: they can't be compared beyond that.
    gone: dict[str, str] = field(default_factory=dict)

    def comparable(self) -> tuple[model.Pair, ...]:
        """Return the pairs that are there on both sides with all their columns."""
        return tuple(p for p in self.pairs if p.id not in self.gone)

    def left_out(self) -> str:
        """Tell in words what can't be compared; empty where everything can."""
        shown = "; ".join(list(self.gone.values())[:3])
        return f"; not compared: {shown}{' …' if len(self.gone) > 3 else ''}" if self.gone else ""

    def ignored(self, pair: model.Pair, column: str) -> bool:
        """Tell whether `tolerances.ignore_columns` leaves a column out."""
        return is_ignored(self.asked.tolerances.ignore_columns, pair, column)

    @contextlib.contextmanager
    def both(self) -> Iterator[Both]:
        """Open a session on each side, asked at the same time."""
        name = f"sensei {self.migration} validation"
        with (
            self.source.session(name) as reading,
            self.target.session(name) as writing,
            ThreadPoolExecutor(1, "sensei-validation") as beside,
        ):
            yield Both(self.source, self.target, reading, writing, beside)


def is_ignored(ignored: Collection[str], pair: model.Pair, column: str) -> bool:
    """Tell whether a list of columns, as the file writes them, names this one."""
    return not {f"{pair.id}.{column}", f"{pair.source.name}.{column}"}.isdisjoint(ignored)


@dataclass(frozen=True)
class Both:
    """Both ends with open sessions."""

    source: sides.Side
    target: sides.Side
    source_session: base.Session
    target_session: base.Session
    beside: ThreadPoolExecutor

    def ask(
        self, of_source: Callable[[base.Engine, base.Session], T], of_target: Callable[[base.Engine, base.Session], T]
    ) -> tuple[T, T]:
        """Ask both servers at once; errors tell which side failed."""

        def there() -> T:
            with sides.told("source", self.source.name):
                return of_source(self.source.engine, self.source_session)

        asked = self.beside.submit(there)
        try:
            with sides.told("target", self.target.name):
                answer = of_target(self.target.engine, self.target_session)
        finally:
            # The session is this thread's again only when its question is answered.
            asked.exception()
        return asked.result(), answer


def survey(engine: base.Engine) -> comparing.Survey:
    """Return the engine's survey; raises NotYet."""
    if engine.survey is None:
        raise errors.NotYet(f"validation can't ask {engine.name} yet")
    return engine.survey


def outcome(
    perspective: model.Perspective,
    summary: str,
    failures: list[model.Failure],
    facts: Mapping[str, Any] | None = None,
) -> model.Outcome:
    """Put together what a perspective found; the verdict follows from the failures."""
    severities = {f.severity for f in failures}
    verdict = model.Verdict.PASSED
    if model.Severity.CRITICAL in severities:
        verdict = model.Verdict.FAILED
    elif model.Severity.WARNING in severities:
        verdict = model.Verdict.WARNED
    return model.Outcome(perspective, verdict, summary, tuple(failures), dict(facts or {}))


def not_asked(perspective: model.Perspective, why: str) -> model.Outcome:
    """Say that a perspective had nothing to look at, and why."""
    return model.Outcome(perspective, model.Verdict.NOT_ASKED, why)
