"""The way back: one list of guarded statements that `rollback` runs and `rollback-script` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sensei import catalog, crashpoints, errors
from sensei.engines import base, keeping, ledger
from sensei.plan import model, steps, steps_alone, steps_append, steps_existing
from sensei.work import sides


def evidence_name(migration: str, number: int = 1) -> str:
    """Return the place that keeps a migration's tables after a rollback.

    Each rollback has its own: number 1 is the first, later ones come after rollbacks of some tables. The hyphen can't
    begin a name that is put behind a place, so no two places share one.
    """
    return keeping.place_name("evidence", migration) + (f"-{number}" if number > 1 else "")


def keeps(plan: model.Plan, evidence: str) -> bool:
    """Tell whether migrated tables are set aside: they are only dropped on request, from a target that was empty."""
    return not (evidence in ("drop", "export") and plan.target_was_empty)


def statements(
    plan: model.Plan, engine: base.Engine, migration: str, evidence: str, number: int = 1, alone: bool = False
) -> list[base.Guarded]:
    """Return what takes every step back, last step first; `number` names the place of evidence.

    `alone`: the caller has raised the epoch, and each statement commits by itself. One that raised it once more would
    keep a walk that was cut off from going on.
    """
    place = evidence_name(migration, number) if keeps(plan, evidence) else None
    result = list(engine.undo.place(migration, place) if alone else engine.undo.prepare(migration, place))
    for step in reversed(plan.steps):
        result += steps.undo(plan, step, engine, migration, place)
    return stops_first(engine, result)


def stops_first(engine: base.Engine, due: list[base.Guarded]) -> list[base.Guarded]:
    """Return an undo in which nothing is done before all that could stop it was looked at.

    In one transaction this is so by itself: whatever was done before the stop comes undone.
    """
    if engine.capabilities.transactional_ddl:
        return due
    return sorted(due, key=lambda g: not (g.stops or g.looks))


def kept(plan: model.Plan) -> list[catalog.TableName]:
    """Return the names of the tables and sequences that a rollback sets aside, as they were."""
    return [name for _, kind, name in steps.objects(plan) if kind not in steps.NEVER_KEPT] + [
        t.target.name for t in plan.tables if t.append is not None
    ]


def script(
    plan: model.Plan,
    engine: base.Engine,
    migration: str,
    evidence: str,
    state: str,
    number: int = 1,
    earlier: Sequence[tuple[str, Sequence[catalog.TableName]]] = (),
) -> str:
    """Print the way back for the engine's own client; `state` says up to which step it was made.

    `earlier` are the places of evidence that rollbacks of some tables filled before, with what is in each.
    """
    keep = keeps(plan, evidence)
    head = [
        f"Rollback of {migration} ({plan.name}): takes the target back to what it was before the migration.",
        "Safe to run twice: each statement looks first whether it is still to be done.",
        "It refuses any other database than the one that was migrated into.",
        f"Made for: {state}",
        "",
        "Constraints, indexes and sequences of the migrated tables go with their tables.",
        "The target's own constraints, indexes and sequences were not changed: none is to be restored."
        if not plan.held
        else "The target's own tables that made way are brought back, with what hangs on them.",
    ]
    if keep:
        head.append(
            f"Migrated tables are set aside as {evidence_name(migration, number)}; the drops stand last, commented out."
        )
    elif evidence == "export":
        head.append("evidence is export: this script can't write Parquet, so it drops. Export first if you need them.")
    else:
        head.append("evidence is drop and the target was empty: migrated tables are dropped.")
    places = [*earlier, (evidence_name(migration, number), kept(plan))] if keep else []
    tail = [f"{s};" for place, names in places for s in engine.undo.discard(place, names)]
    body = statements(plan, engine, migration, evidence, number)
    return engine.undo.script(migration, plan.token, head, body, tail)


@dataclass
class Walked:
    """What a walk back did, or would do."""

    done: list[str] = field(default_factory=list)
    already: int = 0
    kept: list[str] = field(default_factory=list)


def walk(
    plan: model.Plan,
    side: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    evidence: str,
    say: Callable[[str], None],
    dry_run: bool = False,
    number: int = 1,
) -> Walked:
    """Run the way back, see `together`; or only tell what is due.

    Raises Refused, naming them, where things that the migration did not make hang on its tables.
    """
    walked = Walked()
    with sides.told("target", side.name):
        if not book.exists(session):
            return walked  # nothing was begun on this target
        if book.state(session) == "running":
            refuse_dependents(plan, plan.tables, side, session, book)
        due = statements(plan, side.engine, book.migration, evidence, number)
        if dry_run:
            run_due(due, session, walked, say, dry_run=True)
        elif side.engine.capabilities.transactional_ddl:

            def end(done: Sequence[str]) -> None:
                book.mark_rolled_back(session)
                crashpoints.reach("rollback:commit:before")

            together(due, side.engine, session, walked, say, lambda: book.hold_alone(session), end)
            crashpoints.reach("rollback:commit:after")
        else:
            _walk_alone(plan, side, session, book, evidence, number, walked, say)
    return walked


def together(
    due: Sequence[base.Guarded],
    engine: base.Engine,
    session: base.Session,
    walked: Walked,
    say: Callable[[str], None],
    begin: Callable[[], None],
    end: Callable[[Sequence[str]], None],
) -> None:
    """Run statements in one transaction; in several where they are more than one bears, or the server says so.

    `begin` runs first in each transaction, `end` last in the last one, with what was done in it. Each statement looks
    whether it is still to be done, so that a walk that was cut off between two transactions goes on when it is called
    again.
    """
    size = engine.capabilities.locking_together or len(due)
    if len(due) > size:
        _stop_first(due, session)
    at, over = 0, False
    while not over:
        piece = due[at : at + size]
        found = Walked()
        try:
            with base.transaction(session):
                begin()
                run_due(piece, session, found, say)
                over = at + len(piece) >= len(due)
                if over:
                    end(found.done)
                else:
                    crashpoints.reach("rollback:piece:before")
        except errors.OutOfMemory:
            if len(piece) < 2:
                raise
            over, size = False, len(piece) // 2
            _stop_first(due[at:], session)
            continue
        at += len(piece)
        walked.done += found.done
        walked.already += found.already
        if not over:
            crashpoints.reach("rollback:piece:after")


def _stop_first(due: Sequence[base.Guarded], session: base.Session) -> None:
    """Raise Refused for what can't be done before the first of several transactions, while nothing was changed."""
    run_due([g for g in due if g.stops], session, Walked(), lambda text: None)


def _walk_alone(
    plan: model.Plan,
    side: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    evidence: str,
    number: int,
    walked: Walked,
    say: Callable[[str], None],
) -> None:
    """Run the way back statement by statement, the ledger's state last: cut off anywhere, the same call goes on.

    The epoch was raised before, so that no runner's DDL lands any more.
    """
    if book.state(session) == "running":
        settle_begun(plan, side, session, book)
    run_due(statements(plan, side.engine, book.migration, evidence, number, alone=True), session, walked, say)
    with base.transaction(session):
        book.mark_rolled_back(session)
        crashpoints.reach("rollback:commit:before")
    crashpoints.reach("rollback:commit:after")


def settle_begun(plan: model.Plan, side: sides.Side, session: base.Session, book: ledger.Ledger) -> None:
    """Note what steps made that were begun and cut off, where DDL commits by itself, so that the way back finds it."""
    begun = book.begun(session)
    known = {step for step, _, _, _ in book.objects(session)}
    for step, kind, name in steps.objects(plan):
        if step.id not in begun or step.id in known or _is_own(plan, side, session, book, name):
            continue
        identity = side.engine.introspect.object_identity(session, kind, name)
        if identity is not None and steps_alone.as_made(plan, side.engine, session, step, kind, name):
            with base.transaction(session):
                book.record_object(session, step.id, kind, name, identity)
                crashpoints.reach("rollback:settle:before")
            crashpoints.reach("rollback:settle:after")
    for step in plan.steps:
        if step.kind == "create_stage" and step.id in begun:
            with base.transaction(session):
                steps_append.record_made(plan, side.engine, session, book, step)
    for table in {s.table for s in plan.steps if s.id in begun and s.table is not None and s.kind != "create_table"}:
        if _is_own(plan, side, session, book, plan.table(table).target.name):
            continue
        with base.transaction(session):
            steps_alone.record_again(plan, side.engine, session, book, table)


def _is_own(
    plan: model.Plan, side: sides.Side, session: base.Session, book: ledger.Ledger, name: catalog.TableName
) -> bool:
    """Tell whether a table of the target's own is back under its name already: a walk was cut off behind that."""
    alone = not side.engine.capabilities.transactional_ddl
    return alone and steps_existing.is_back(plan, side.engine, session, book.migration, name)


def run_due(
    due: Sequence[base.Guarded],
    session: base.Session,
    walked: Walked,
    say: Callable[[str], None],
    dry_run: bool = False,
) -> None:
    """Run, in the caller's transaction, each statement whose condition holds; or only tell of it."""
    for guarded in due:
        if not session.rows(f"SELECT {guarded.when}")[0][0]:
            walked.already += 1
            continue
        if guarded.stops and not dry_run:
            raise errors.Refused(
                guarded.says, hint="nothing was changed; once that is mended, give the same command again"
            )
        walked.done.append(f"stop: {guarded.says}" if guarded.stops else guarded.says)
        say(guarded.says)
        if not dry_run:
            try:
                session.run(guarded.run)
            except errors.DataRejected as error:
                raise errors.Refused(
                    f"this can't be done: {guarded.says}: {error.message}",
                    hint="once that is mended, give the same command again",
                ) from error
            crashpoints.reach("rollback:statement")


def refuse_dependents(
    plan: model.Plan,
    tables: Sequence[model.TablePlan],
    side: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
) -> None:
    """Raise Refused, naming them, where things that the migration did not make hang on these tables of it.

    What hung on the target's own tables before is bound to them again.
    """
    made = {name for _, kind, name, _ in book.objects(session) if kind == "table"}
    names = [t.target.name for t in tables if t.target.name in made]
    names = [n for n in names if not _is_own(plan, side, session, book, n)]
    if names and not side.engine.capabilities.transactional_ddl:
        # A walk that was cut off, or a rollback of some of them, has set tables aside already, and may have forgotten
        # them: their foreign keys are the migration's own.
        places = [evidence_name(book.migration, n) for n in range(1, len(book.taken_back(session)) + 3)]
        own = {name.name for name in made} | {t.target.name.name for t in tables}
        names += [catalog.TableName(place, name) for place in places for name in sorted(own)]
    # One that was cut off between two transactions has moved tables: they are known by identity, wherever they are.
    asked = {t.target.name for t in tables}
    identities = [identity for _, kind, name, identity in book.objects(session) if kind == "table" and name in asked]
    identities += [h.identity for h in plan.held if h.kind == "table"]
    bound = {h.words for h in plan.hanging}
    going = {t.id for t in tables}
    for _, kind, name, identity in book.objects(session):
        # The migration's own views go before their tables; what somebody built on them would break.
        if kind == "view" and side.engine.introspect.object_identity(session, kind, name) == identity:
            bound |= {f"view {name}", f"view {side.engine.ddl.qualified(name)}", f"view {name.name}"}
            identities += [identity] if identity.isdigit() else []
            if going.intersection(plan.view(str(name)).tables):
                names.append(name)
    hanging = (
        [w for w in side.engine.introspect.dependents(session, names, identities) if w not in bound] if names else []
    )
    if hanging:
        raise errors.Refused(
            f"these hang on migrated tables and were not made by the migration: {', '.join(hanging)}",
            hint="they would break or follow the tables away: drop them or move them off, then roll back again",
            dependents=hanging,
        )
