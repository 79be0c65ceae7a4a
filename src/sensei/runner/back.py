"""Takes a migration back, and proves it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensei import catalog, errors, rollback, states
from sensei.config import home
from sensei.engines import base, ledger
from sensei.plan import model, steps, steps_append, steps_existing
from sensei.rollback import verify
from sensei.runner import control, hold, script, taken, world
from sensei.runner import desk as desks
from sensei.states import State, StepState
from sensei.work import sides


@dataclass
class Report:
    """What a rollback or its verification gives."""

    status: State
    lines: dict[str, str | bool]
    passed: bool
    duration_seconds: float
    differences: list[str] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    tables: list[str] | None = None  #: after a rollback of some: those that are taken back now
    #: Lines that do not hold and that the migration file does not demand, as it names others.
    waived: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the contract's document."""
        return {
            "rollback_verification": self.lines,
            "passed": self.passed,
            "duration_seconds": round(self.duration_seconds, 3),
            "differences": self.differences,
            "evidence": self.evidence,
            "status": str(self.status),
            "statements": self.statements,
            **({} if self.tables is None else {"tables": self.tables}),
            "waived": self.waived,
        }


NOT_CHECKED: dict[str, str | bool] = dict.fromkeys(verify.LINES, "not_checked")


def full(desk: desks.Desk, migration: str, *, reason: str, check: bool, check_source: bool) -> Report:
    """Roll back everything. Journaled; cut off anywhere, the same command goes on; repeated, it does nothing."""
    began = time.monotonic()
    loaded = desk.load(migration)
    if loaded.status is State.ROLLED_BACK:
        desk.screen.say(f"{loaded.id} is rolled back already")
    else:
        loaded.refuse_state(*(s for s in State if states.allowed(s, State.ROLLING_BACK)), State.ROLLING_BACK)
        stop_holder(desk, loaded, reason)
        _walk(desk, loaded.id, reason)
    if check or check_source:
        report = prove(desk, loaded.id, only_source=check_source and not check)
        report.duration_seconds = time.monotonic() - began
        return report
    row = desk.store.migration(loaded.id)
    return Report(
        row.status, dict(NOT_CHECKED), True, time.monotonic() - began, evidence=desk.store.evidence(loaded.id)
    )


def stop_holder(desk: desks.Desk, loaded: desks.Loaded, reason: str) -> None:
    """Ask whoever runs the migration to stop at the next boundary, and wait until it has."""
    lease = desk.store.lease(loaded.id)
    if loaded.status in (State.RUNNING, State.VALIDATING) and lease is not None and lease.alive:
        desk.screen.say(f"stopping process {lease.holder.pid} on {lease.holder.host} first")
        request = desk.store.request(loaded.id, "pause", {"reason": f"rollback: {reason}"}, desk.actor)
        control.wait_for(desk, loaded.id, request)
        control.wait_until_free(desk, loaded.id)


def _walk(desk: desks.Desk, migration: str, reason: str) -> None:
    with hold.hold(desk, migration) as held:
        loaded = desk.load(migration)
        if loaded.status is State.ROLLED_BACK:
            return
        if loaded.status is not State.ROLLING_BACK:
            desk.store.transition(
                migration, State.ROLLING_BACK, desk.actor, payload={"reason": reason, "epoch": held.epoch}
            )
        _, target = loaded.sides()
        book = loaded.book()
        try:
            again = hold.going_on(f"sensei migrations rollback {migration} --full")
            with again, target.session(f"sensei {migration} rollback") as session:
                world.refuse_other_target(loaded, target, session)
                number = taken.widen(loaded, book, session)
                if book.state(session) == "running":
                    # No transaction of an earlier runner can land from here on.
                    sides.retried(lambda: book.raise_epoch(session, held.epoch, after_script=True))
                    if loaded.config.options.evidence == "export" and not rollback.keeps(loaded.plan, "export"):
                        export(desk, loaded, loaded.plan, target, session, book, export_folder(migration, number))
                walked = sides.retried(
                    lambda: rollback.walk(
                        loaded.plan,
                        target,
                        session,
                        book,
                        loaded.config.options.evidence,
                        desk.screen.say,
                        number=number,
                    )
                )
                made = {name for _, _, name, _ in book.objects(session)} if book.exists(session) else set()
        except errors.SenseiError as error:
            desk.store.append(migration, "rollback_stopped", {"code": error.code, "message": error.message}, desk.actor)
            raise
        _journal(desk, loaded, made, number)
        desk.store.transition(
            migration, State.ROLLED_BACK, desk.actor, payload={"statements": walked.done, "already": walked.already}
        )
        script.renew(desk.load(migration), "rolled back")


def _journal(desk: desks.Desk, loaded: desks.Loaded, made: set[catalog.TableName], number: int) -> None:
    """Note what was taken back, and what of it is kept; `made` is what the target's ledger says was there.

    Each part is looked at by itself: an earlier rollback may have been cut off between any two.
    """
    journaled = desk.store.steps(loaded.id)
    keep = rollback.keeps(loaded.plan, loaded.config.options.evidence)
    place = rollback.evidence_name(loaded.id, number)
    known = {(e.get("object"), e.get("place")) for e in desk.store.evidence(loaded.id)}
    undone: dict[str, dict[str, Any]] = {}
    kept: list[dict[str, Any]] = []
    objects = {step.id: (kind, name) for step, kind, name in steps.objects(loaded.plan)}
    for step in reversed(loaded.plan.steps):
        if step.id not in objects and step.kind not in steps_existing.KINDS | steps_append.KINDS:
            continue
        kind, name = objects.get(step.id, ("", None))
        if step.kind == "merge":
            kind, name = steps_append.ROWS, loaded.plan.table(step.table or "").target.name
        record = journaled.get(step.id)
        if record is not None and record.state is not StepState.UNDONE:
            undone[step.id] = {"object": str(name or step.object)}
        if name is None:
            continue
        if keep and kind not in steps.NEVER_KEPT and name in made and (str(name), place) not in known:
            kept.append(taken.entry(loaded, kind, str(name), place))
    taken.enter(loaded, undone, kept)


def export_folder(migration: str, number: int) -> Path:
    """Return where a rollback's Parquet files go: each has a folder of its own."""
    return home.artifacts(migration) / ("evidence" if number == 1 else f"evidence-{number}")


def export(
    desk: desks.Desk,
    loaded: desks.Loaded,
    plan: model.Plan,
    target: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    folder: Path,
) -> None:
    """Write the plan's tables to Parquet and enter each file as evidence, once."""
    from sensei.rollback import evidence

    known = {(e.get("object"), e.get("place"), e.get("sha256")) for e in desk.store.evidence(loaded.id)}
    for path, table, rows, checksum in evidence.export(plan, target, session, book, folder, desk.screen.say):
        if (str(table), str(path), checksum) not in known:
            desk.store.add_evidence(
                loaded.id,
                {"object": str(table), "kind": "parquet", "place": str(path), "rows": rows, "sha256": checksum},
                desk.actor,
            )


def dry_run(desk: desks.Desk, migration: str) -> list[str]:
    """Return what a full rollback would do now; changes nothing."""
    loaded = desk.load(migration)
    loaded.refuse_state(
        *(s for s in State if states.allowed(s, State.ROLLING_BACK)), State.ROLLING_BACK, State.ROLLED_BACK
    )
    _, target = loaded.sides()
    with target.session("sensei dry run") as session:
        world.refuse_other_target(loaded, target, session)
        walked = rollback.walk(
            loaded.plan,
            target,
            session,
            loaded.book(),
            loaded.config.options.evidence,
            lambda text: None,
            dry_run=True,
            number=taken.next_number(taken.taken(loaded)),
        )
    return walked.done


@contextlib.contextmanager
def _ends(loaded: desks.Loaded) -> Iterator[verify.Ends]:
    source, target = loaded.sides()
    with source.session("sensei verify") as reading, target.session("sensei verify") as writing:
        yield verify.Ends(source, reading, target, writing)


def prove(desk: desks.Desk, migration: str, *, only_source: bool = False, partly: bool = False) -> Report:
    """Measure the five lines now; changes nothing on either side.

    `partly`: after a rollback of some tables, the others are not held against the target.
    """
    began = time.monotonic()
    loaded = desk.load(migration)
    before = loaded.fingerprint()
    if before is None:
        raise errors.WrongState(
            f"{loaded.id} is {loaded.status} and was never fingerprinted: neither side was touched, nothing can be"
            " compared",
            hint=f"sensei migrations status {loaded.id}",
        )
    with _ends(loaded) as ends:
        book, staying = loaded.book(), None
        if partly:
            staying = verify.Staying.of(loaded.plan, book, ends)
        found = verify.verify(
            loaded.plan, before, ends, book, loaded.config.options.parallelism, only_source, staying=staying
        )
    evidence = [e for e in desk.store.evidence(loaded.id) if not e["purged_at"]]
    demanded = loaded.config.verification_lines
    report = Report(
        desk.store.migration(loaded.id).status,
        found.lines,
        not any(line in demanded for line in found.failing),
        time.monotonic() - began,
        found.differences,
        evidence,
        waived=[line for line in found.failing if line not in demanded],
    )
    desk.store.append(
        loaded.id,
        "rollback_verified",
        {"lines": found.lines, "passed": report.passed, "differences": found.differences[:100],
         "chunks_read": found.chunks_read, "waived": report.waived},
        desk.actor,
    )  # fmt: skip
    return report
