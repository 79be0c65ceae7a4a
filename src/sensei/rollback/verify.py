"""Proof of a rollback: the five lines, each measured against the fingerprints taken before the first step."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from sensei import catalog, errors
from sensei import plan as planning
from sensei.catalog import diff
from sensei.engines import base, ledger
from sensei.plan import model, views
from sensei.transfer import copier
from sensei.work import executor, fingerprint, sides

LINES = ("source_row_counts", "source_data_integrity", "target_cleaned", "indexes_restored", "sequences_reset")
_GOOD: dict[str, str | bool] = {
    "source_row_counts": "unchanged",
    "source_data_integrity": "verified",
    "target_cleaned": True,
    "indexes_restored": True,
    "sequences_reset": True,
}
_BAD: dict[str, str | bool] = {
    "source_row_counts": "changed",
    "source_data_integrity": "damaged",
    "target_cleaned": False,
    "indexes_restored": False,
    "sequences_reset": False,
}
#: More chunks than this are read again by workers side by side.
_ALONE = 4


@dataclass
class Verification:
    """The five lines, and every difference behind a line that does not hold."""

    lines: dict[str, str | bool]
    differences: list[str] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    duration_seconds: float = 0.0
    chunks_read: int = 0

    @property
    def failing(self) -> list[str]:
        """Lines that were measured and do not hold."""
        return [name for name, value in self.lines.items() if value not in (_GOOD[name], "not_checked")]


@dataclass(frozen=True)
class Ends:
    """Both ends with open sessions."""

    source: sides.Side
    source_session: base.Session
    target: sides.Side
    target_session: base.Session


@dataclass(frozen=True)
class Staying:
    """What a rollback of some tables left in the target of the migration: it is neither old nor left behind."""

    tables: frozenset[catalog.TableName]
    sequences: frozenset[catalog.TableName]
    schemas: frozenset[str]
    #: Where tables of the target's own are still away, or have rows of others: those of them that are back.
    home: frozenset[catalog.TableName] | None = None
    views: frozenset[catalog.TableName] = frozenset()

    @classmethod
    def of(cls, plan: model.Plan, book: ledger.Ledger, ends: Ends) -> Staying:
        """Return what the ledger says is there."""
        made = book.objects(ends.target_session) if book.exists(ends.target_session) else []

        def names(kind: str) -> frozenset[catalog.TableName]:
            return frozenset(name for _, of, name, _ in made if of == kind)

        there = {step for step, _, _, _ in made}
        own = {h.name: h.name in names(h.kind) for h in plan.held}
        own |= {t.target.name: f"merge:{t.id}" in there for t in plan.tables if t.append is not None}
        home = frozenset(name for name, away in own.items() if not away) if any(own.values()) else None
        schemas = frozenset(n.name or n.schema for n in names("schema"))
        return cls(names("table"), names("sequence"), schemas, home, names("view"))

    def concerns(self, difference: diff.Difference) -> bool:
        """Tell whether a difference counts: while some of the target's own tables are away, only that of one at home.

        A foreign key may well point at another that is away.
        """
        if self.home is None:
            return True
        of_one = any(re.search(rf"(?<![\w.]){re.escape(str(n))}(?!\w)", difference.about) for n in self.home)
        return of_one and difference.kind != "foreign key"

    def out_of(self, found: base.Catalog) -> base.Catalog:
        """Return the catalog without it, and without what goes with its tables."""
        named = functools.partial(views.view_name, has_schemas=any(n.schema for n in self.views))
        return dataclasses.replace(
            found,
            schemas=tuple(s for s in found.schemas if s not in self.schemas),
            tables=tuple(t for t in found.tables if t.name not in self.tables),
            others=tuple(o for o in found.others if o.kind != "view" or named(o.name) not in self.views),
            sequences=tuple(
                s
                for s in found.sequences
                if s.name not in self.sequences and (s.owner is None or s.owner[0] not in self.tables)
            ),
        )


def source_differences(
    plan: model.Plan,
    before: fingerprint.Fingerprint,
    ends: Ends,
    book: ledger.Ledger,
    workers: int,
    only: Sequence[catalog.TableName] | None = None,
) -> tuple[list[str], list[str], int]:
    """Compare the source with its fingerprint: (count differences, content differences, chunks read again).

    Rows that were copied are read again and compared with the checksum of the bytes that were copied. What was
    never copied has no checksum: there the server is asked whether anything was written since. `only` names the
    tables whose content is read again (None: all).
    """
    rows, counts, contents = ends.source.engine.rows, [], []
    names = [t.source.name for t in plan.tables]
    told: set[str] = set()  # tables of which a difference is known
    with sides.told("source", ends.source.name):
        found = ends.source.engine.introspect.catalog(ends.source_session, plan.schemas)
        there = {t.name for t in found.tables}
        present = [n for n in names if n in there]
        recounted = rows.recount(ends.source_session, before.source.marker, present)
        for name in names:
            if name not in there:
                counts.append(f"source table {name} is gone")
                told.add(str(name))
                continue
            now, was = recounted[name].rows, before.source.rows[str(name)]
            if now != was:
                counts.append(f"source table {name}: had {was} rows, has {now}")
                told.add(str(name))
    wanted = there if only is None else there & set(only)
    tasks, whole = _check_tasks(plan, before, ends, book, {str(n) for n in wanted})
    for table, difference in read_again(tasks, workers):
        contents.append(difference)
        told.add(table)
    for name in names:
        suspect = name in recounted and recounted[name].suspect
        if suspect and str(name) not in whole and str(name) not in told:
            contents.append(
                f"source table {name}: written since the fingerprint, and not wholly copied, so its content"
                " can't be compared"
            )
    tables = [t for t in found.tables if t.name in set(names)]
    if planning.digest(tables) != plan.source_digest:
        old = diff.facts(_catalog_of(found, [t.source for t in plan.tables]))
        new = diff.facts(_catalog_of(found, tables))
        contents += [f"source {d}" for d in diff.compare(old, new)] or ["source: definitions changed"]
    return counts, contents, len(tasks)


def _catalog_of(found: base.Catalog, tables: Sequence[Any]) -> base.Catalog:
    return type(found)(found.engine, found.version, (), tuple(tables))


def _check_tasks(
    plan: model.Plan,
    before: fingerprint.Fingerprint,
    ends: Ends,
    book: ledger.Ledger,
    there: set[str],
) -> tuple[list[copier.CheckTask], set[str]]:
    if not book.exists(ends.target_session):
        return [], set()
    tasks: list[copier.CheckTask] = []
    whole: set[str] = set()
    applied: dict[str, dict[int, dict[int, ledger.Applied]]] = {}
    for a in book.ever_applied(ends.target_session):
        if a.number >= 0:
            applied.setdefault(a.table, {}).setdefault(a.attempt, {})[a.number] = a
    for table in plan.tables:
        if table.id not in applied or table.id not in there:
            continue
        # Of a table that was taken back and not taken up again, what was last copied still tells what was read.
        attempt = max(applied[table.id])
        mine = applied[table.id][attempt]
        job = table.job(before.source.stale_scan)
        planned = book.planned_chunks(ends.target_session, table.id, attempt)
        if planned and planned[-1].upper is None and len(mine) == len(planned):
            whole.add(table.id)
        for chunk in planned:
            if chunk.number in mine:
                done = mine[chunk.number]
                tasks.append(
                    copier.CheckTask(
                        ends.source,
                        base.ReadSpec(job.source, job.read, job.key, chunk.lower, chunk.upper),
                        base.Form(done.form),
                        table.id,
                        chunk.number,
                        done.checksum,
                    )
                )
    return tasks, whole


def read_again(
    tasks: Sequence[copier.CheckTask], workers: int, stop: Callable[[], bool] = lambda: False
) -> list[tuple[str, str]]:
    """Return (table, difference in words) of each chunk that is not what was copied.

    Raises Paused where `stop` asks for it.
    """
    pool: Executor
    if len(tasks) <= _ALONE:
        return _differing(tasks, map(copier.check_chunk, tasks), stop)
    with executor.local(workers) as pool:
        try:
            return _differing(tasks, pool.map(copier.check_chunk, tasks), stop)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _differing(
    tasks: Sequence[copier.CheckTask], results: Iterator[str | None], stop: Callable[[], bool]
) -> list[tuple[str, str]]:
    found = []
    for task, words in zip(tasks, results, strict=True):
        if stop():
            raise errors.Paused("stopped while the source was read again")
        if words:
            found.append((task.table, words))
    return found


def target_differences(
    plan: model.Plan, before: fingerprint.Fingerprint, ends: Ends, staying: Staying | None = None
) -> list[tuple[str, str]]:
    """Compare the target with its fingerprint: (line, difference in words); what is `staying` does not count."""
    none = Staying(frozenset(), frozenset(), frozenset())
    now = fingerprint.of_target(ends.target, ends.target_session, plan.target_schemas, (staying or none).out_of)
    result: list[tuple[str, str]] = []
    for difference in diff.compare(before.target.facts, now.facts):
        if difference.about.startswith("setting ") or (staying and not staying.concerns(difference)):
            continue
        line = {"index": "indexes_restored", "sequence position": "sequences_reset"}.get(
            difference.kind, "target_cleaned"
        )
        result.append((line, f"target {difference}"))
    for name, (count, checksum) in before.target.contents.items():
        after = now.contents.get(name)
        if after is None or (staying and staying.home is not None and name not in map(str, staying.home)):
            continue  # that the table is gone is said above
        if after[0] != count:
            result.append(("target_cleaned", f"target table {name}: had {count} rows, has {after[0]}"))
        elif after[1] != checksum:
            result.append(("target_cleaned", f"target table {name}: the content of its rows changed"))
    return result


def verify(
    plan: model.Plan,
    before: fingerprint.Fingerprint,
    ends: Ends,
    book: ledger.Ledger,
    workers: int,
    only_source: bool = False,
    staying: Staying | None = None,
) -> Verification:
    """Measure the lines; `only_source` leaves the target's as not_checked; see `target_differences` for `staying`."""
    counts, contents, read = source_differences(plan, before, ends, book, workers)
    found = [("source_row_counts", d) for d in counts] + [("source_data_integrity", d) for d in contents]
    if counts and not contents:
        # Rows came or went: the data is not what it was, whatever the chunks say.
        found += [("source_data_integrity", d) for d in counts]
    if not only_source:
        found += target_differences(plan, before, ends, staying)
    broken = {line for line, _ in found}
    lines: dict[str, str | bool] = {}
    for name in LINES:
        if only_source and not name.startswith("source_"):
            lines[name] = "not_checked"
        else:
            lines[name] = _BAD[name] if name in broken else _GOOD[name]
    if not only_source and (broken & {"indexes_restored", "sequences_reset"}):
        lines["target_cleaned"] = False  # equal to the fingerprint, or not
    return Verification(lines, list(dict.fromkeys(d for _, d in found)), chunks_read=read)
