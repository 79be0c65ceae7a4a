"""What validations have found: the runs of a migration as the journal knows them, and their reports."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensei import errors
from sensei.config import home, loader, reader
from sensei.engines import base
from sensei.journal import events, migrations
from sensei.runner import desk as desks
from sensei.states import State
from sensei.validation import model, scope
from sensei.work import sides

BEGUN, TAKEN_UP, FINISHED = "validation_begun", "validation_taken_up", "validation_finished"


@dataclass(frozen=True)
class Run:
    """One run of a validation."""

    number: int
    kind: str  #: full or quick
    begun_at: str
    finished_at: str | None = None
    status: str | None = None  #: validated or validation_failed; None: it is not over
    digest: str = ""  #: SHA-256 of the report's file
    failures: int = 0
    perspectives: Mapping[str, str] = dataclasses.field(default_factory=dict)
    void: bool = False  #: tables were taken back, copied again or repaired since
    mark: str = ""  #: of the moment on the target at which it was begun

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "number": self.number,
            "type": self.kind,
            "status": self.status or "unfinished",
            "begun_at": self.begun_at,
            "finished_at": self.finished_at,
            "failures": self.failures,
            "perspectives": dict(self.perspectives),
            "digest": self.digest,
            "void": self.void,
        }


def runs(desk: desks.Desk, migration: str) -> list[Run]:
    """Return the runs of a migration, the oldest first."""
    found: dict[int, Run] = {}
    begun: dict[int, int] = {}
    # Sensei itself changed the target: what was found before is then no longer of it. A `resume` alone does not: a
    # validation that a lost server cut off goes on after it.
    changed = desk.store.last_of(migration, ("step_", "repair_"))
    for event in desk.store.events(migration, kinds=(migrations.TRANSITION, BEGUN, FINISHED)):
        payload = event.payload
        if event.kind == BEGUN:
            number = payload["number"]
            mark = str(payload.get("target_mark", ""))
            found[number] = Run(number, payload["type"], events.to_text(event.at), mark=mark)
            begun[number] = event.seq
        elif event.kind == FINISHED:
            found[payload["number"]] = dataclasses.replace(
                found[payload["number"]],
                finished_at=events.to_text(event.at),
                status=payload["status"],
                digest=payload["digest"],
                failures=payload["failures"],
                perspectives=payload["perspectives"],
            )
        elif payload.get("to") == State.ROLLING_BACK.value:
            changed = max(changed, event.seq)
    return [dataclasses.replace(run, void=begun[number] < changed) for number, run in found.items()]


def place(migration: str, number: int) -> Path:
    """Return where the report of a run is kept."""
    return _folder(migration) / f"{number}.json"


def memory(migration: str, number: int) -> Path:
    """Return where an unfinished run notes what it has finished."""
    return _folder(migration) / f"{number}.unfinished"


def _folder(migration: str) -> Path:
    folder = home.artifacts(migration) / "validations"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def places(path: str) -> Callable[[str], str]:
    """Return what tells "file:line: " of a key of the migration file as it is now; nothing where it can't be read."""
    lines: Mapping[str, int] = {}
    with contextlib.suppress(errors.SenseiError):
        lines = loader.lines(reader.parse(reader.read_text(Path(path)), path)) if path else {}
    return lambda key: f"{path}:{lines[key]}: " if key in lines else ""


def chosen(desk: desks.Desk, loaded: desks.Loaded, number: int | None) -> Run:
    """Return the run of that number, or the last that is over; raises UnknownName, WrongState."""
    known = runs(desk, loaded.id)
    if number is not None:
        for run in known:
            if run.number == number:
                if run.status is None:
                    raise errors.WrongState(
                        f"validation {number} of {loaded.id} is not over", hint=f"sensei validations run {loaded.id}"
                    )
                return run
        raise errors.UnknownName(f"{loaded.id} has no validation {number}", hint=f"sensei validations list {loaded.id}")
    over = [run for run in known if run.status is not None]
    if not over:
        raise errors.WrongState(
            f"{loaded.id} has not been validated yet" + (": its validation was cut off" if known else ""),
            hint=f"sensei validations run {loaded.id}",
            status=str(loaded.status),
        )
    return over[-1]


def document(loaded: desks.Loaded, run: Run) -> dict[str, Any]:
    """Return a run's report as it was written; raises TamperFound where it is another, StoreFailed where it is gone."""
    path = place(loaded.id, run.number)
    try:
        body = path.read_bytes()
    except OSError as error:
        raise errors.StoreFailed(
            f"the report of validation {run.number} can't be read: {path}: {error.strerror}",
            hint=f"sensei validations run {loaded.id} makes a new one",
        ) from error
    if hashlib.sha256(body).hexdigest() != run.digest:
        raise errors.TamperFound(
            f"{path} is not what validation {run.number} wrote: its digest differs from the journal's",
            hint=f"sensei validations run {loaded.id} makes a new one",
        )
    found: dict[str, Any] = json.loads(body)
    return {**found, "void": run.void, "finished_at": run.finished_at}


def refuse_written(
    loaded: desks.Loaded, run: Run, found: Mapping[str, Any], target: sides.Side, session: base.Session
) -> None:
    """Raise WorldChanged where somebody wrote to the target since a run began, as far as its server can tell.

    Rows are counted, too: not every server knows of rows that were deleted.
    """
    known = {t["name"]: int(t["rows_target"]) for t in found["divergence"]["tables"]}
    names = {t.target.name: t.id for t in loaded.plan.tables}
    rows = target.engine.rows
    with sides.told("target", target.name):
        written = {names[t] for t in rows.written(session, run.mark, list(names))} if run.mark else set(known)
        for name, table in names.items():
            if table in known and table not in written and rows.count(session, name) != known[table]:
                written.add(table)
    if written:
        shown = sorted(written)
        raise errors.WorldChanged(
            f"the target was written since validation {run.number} of {loaded.id} began: "
            + ", ".join(shown[:5])
            + (" …" if len(shown) > 5 else ""),
            hint=f"sensei validations run {loaded.id}",
            tables=shown,
        )


def report(found: Mapping[str, Any], failures_only: bool = False) -> dict[str, Any]:
    """Return the contract's document of a report: what `validations report` prints."""
    kept = {k: v for k, v in found.items() if k != "divergence"}
    if failures_only:
        bad = (model.Verdict.FAILED.value, model.Verdict.WARNED.value)
        kept["perspectives"] = {
            p: {k: v for k, v in of.items() if k != "facts"} if of["verdict"] in bad else {"verdict": of["verdict"]}
            for p, of in found["perspectives"].items()
        }
    return kept


def put_together(
    loaded: desks.Loaded,
    scoped: scope.Scope,
    number: Run,
    outcomes: Mapping[model.Perspective, model.Outcome],
    seconds: Mapping[model.Perspective, float],
) -> dict[str, Any]:
    """Return a run's report. Only what is critical fails it, and performance alone never does."""
    failures = [f for o in outcomes.values() for f in o.failures]
    failed = any(
        f.severity is model.Severity.CRITICAL and f.perspective is not model.Perspective.PERFORMANCE for f in failures
    )
    rank = list(model.Severity)
    failures.sort(key=lambda f: (rank.index(f.severity), list(model.Perspective).index(f.perspective), f.table or ""))
    return {
        "id": loaded.id,
        "name": loaded.config.name,
        "run": number.number,
        "type": number.kind,
        "status": str(State.VALIDATION_FAILED if failed else State.VALIDATED),
        "begun_at": number.begun_at,
        "source": loaded.row.source_label,
        "target": loaded.row.target_label,
        "perspectives": {
            str(p): {
                "verdict": str(outcomes[p].verdict),
                "summary": outcomes[p].summary,
                "failures": len(outcomes[p].failures),
                "seconds": seconds[p],
                "facts": dict(outcomes[p].facts),
            }
            for p in model.Perspective
        },
        "failures": [f.to_json() for f in failures],
        "tables": [
            {
                "name": p.id,
                "target": str(p.target),
                "rows": next((d.rows_source for d in scoped.divergences if d.table == p.id), p.rows),
                "rows_quarantined": len(p.quarantined),
            }
            for p in scoped.pairs
        ],
        "divergence": {
            "tables": [d.to_json() for d in scoped.divergences],
            "queries": [q for q in scoped.queries if q["differs"]],
        },
    }


class Progress:
    """How far a run is: shown while it goes, and kept for `status`."""

    def __init__(self, desk: desks.Desk, loaded: desks.Loaded, number: int, tables: Mapping[str, int]) -> None:
        self.desk, self.loaded, self.number = desk, loaded, number
        self.tables = dict(tables)
        self._began = self._last = 0.0
        self._done: dict[str, int] = {}
        self._perspective = ""

    def told(self, perspective: model.Perspective, table: str, done: int, total: int) -> None:
        """Take what a perspective tells."""
        if perspective != self._perspective:
            self._perspective = str(perspective)
            self.desk.screen.say(f"validating: {perspective}")
            self._done, self._began, self._last = {}, time.monotonic(), 0.0
        if time.monotonic() - self._last < 0.2 and done < total:
            return
        self._last = time.monotonic()
        if perspective is not model.Perspective.DATA:
            self.desk.screen.progress(self._share(table, done, total))
            return
        if table:
            self.tables[table] = max(self.tables.get(table, 0), total)
            self._done[table] = done
        self.desk.screen.progress(self.data(table))

    def _share(self, table: str, done: int, total: int) -> dict[str, Any]:
        """Return the progress of a perspective that goes from table to table."""
        return {
            "percent": round(100.0 * done / total, 1) if total else 0.0,
            "rows_copied": 0,
            "rows_total": 0,
            "tables": [],
            "rate": 0,
            "eta_seconds": 0,
            "current": f"validating: {self._perspective} {table}".rstrip(),
        }

    def data(self, table: str) -> dict[str, Any]:
        """Return the progress in the form in which a run's is shown."""
        rows, total = sum(self._done.values()), sum(self.tables.values())
        spent = time.monotonic() - self._began
        rate = rows / spent if spent > 1 else 0.0
        return {
            "percent": round(100.0 * rows / total, 1) if total else 100.0,
            "rows_copied": rows,
            "rows_total": total,
            "tables": [
                {
                    "name": name, "status": "copying" if name == table else "pending" if name not in self._done else "",
                    "rows_copied": self._done.get(name, 0), "rows_total": of, "rows_quarantined": 0,
                }
                for name, of in self.tables.items()
            ],
            "rate": round(rate),
            "eta_seconds": round((total - rows) / rate) if rate and total > rows else 0,
            "current": f"validating: {self._perspective} {table}".rstrip(),
        }  # fmt: skip
