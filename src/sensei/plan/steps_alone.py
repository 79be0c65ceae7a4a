"""Steps on engines whose DDL commits by itself: begun in the ledger, carried out behind a fence, then done in it.

A step is three parts. First a transaction looks that nothing of it is there, and notes it as begun. Then its
statements run, each looked at first, so that repeating them is harmless; a fence, which DDL can't shed as it sheds
every lock, keeps a runner that was taken over from running its own late. Last, a transaction notes what was made and
that it is done. Cut off anywhere, the next runner takes up what it finds under a step that is begun: nothing of it was
there before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sensei import catalog, crashpoints, errors
from sensei.engines import base, defining, ledger
from sensei.plan import model, steps_build
from sensei.plan.steps_context import Context, Facts
from sensei.work import sides


@dataclass(frozen=True)
class Making:
    """An object that a step makes."""

    kind: str  #: table, sequence, schema
    name: catalog.TableName
    statements: tuple[str, ...]


def do(
    ctx: Context,
    step: model.Step,
    act: Callable[[Context, model.Step], Facts],
    making: Making | None,
    look: Callable[[Context, model.Step], None] | None = None,
) -> Facts:
    """Carry out one step, or find in the target that it took effect; returns the facts that its undo needs."""
    target, engine = ctx.target_session, ctx.target.engine
    with sides.told("target", ctx.target.name):
        with base.transaction(target):
            ctx.book.hold_epoch(target, ctx.epoch)
            done = ctx.book.step_done(target, step.id)
            if done is not None:
                return done
            if step.id not in ctx.book.begun(target):
                if making is not None:
                    refuse_there(ctx, making)
                elif step.kind in _BUILDS and _is_built(ctx, step):
                    raise _other_build(ctx, step)
                if look is not None:
                    look(ctx, step)
                ctx.book.begin_step(target, step.id)
            target.confirm_pinned()
            crashpoints.reach(f"step:{step.kind}:begun:before")
        crashpoints.reach(f"step:{step.kind}:begun:after")
        with base.fenced(engine, target, ctx.migration):
            ctx.book.hold_epoch(target, ctx.epoch)  # outside a transaction: looks, now that nobody can raise it
            if making is not None:
                facts = _make(ctx, step, making)
            elif step.kind in _BUILDS:
                facts = _build(ctx, step)
            elif step.kind in _WHOLE:
                return _in_one(ctx, step, act)
            else:
                facts = act(ctx, step)
            crashpoints.reach(f"step:{step.kind}:acted")
            with base.transaction(target):
                ctx.book.hold_epoch(target, ctx.epoch)
                if making is not None and "identity" in facts:
                    ctx.book.record_object(target, step.id, making.kind, making.name, facts["identity"])
                elif step.table is not None:
                    record_again(ctx.plan, engine, target, ctx.book, step.table)
                ctx.book.record_step(target, step.id, facts)
                target.confirm_pinned()
                crashpoints.reach(f"step:{step.kind}:commit:before")
            crashpoints.reach(f"step:{step.kind}:commit:after")
    return facts


#: Kinds that define nothing, so that all of such a step can be in one transaction with its line in the ledger.
_WHOLE = frozenset({"merge"})


def _in_one(ctx: Context, step: model.Step, act: Callable[[Context, model.Step], Facts]) -> Facts:
    target = ctx.target_session
    for statement in ctx.target.engine.dialect.serial:
        target.run(statement)
    with base.transaction(target):
        ctx.book.hold_epoch(target, ctx.epoch)
        facts = act(ctx, step)
        ctx.book.record_step(target, step.id, facts)
        target.confirm_pinned()
        crashpoints.reach(f"step:{step.kind}:commit:before")
    crashpoints.reach(f"step:{step.kind}:commit:after")
    return facts


# -- objects


def refuse_there(ctx: Context, making: Making) -> None:
    """Raise Refused where something of that name is there already."""
    if ctx.target.engine.introspect.object_identity(ctx.target_session, making.kind, making.name) is not None:
        raise _not_ours(ctx, making)


def _not_ours(ctx: Context, making: Making) -> errors.Refused:
    return errors.Refused(
        f"the target already has a {making.kind} {making.name}, which this migration did not make",
        hint=f"rename it, then sensei migrations resume {ctx.migration}",
    )


def facts_of(ctx: Context, making: Making) -> Facts:
    """Return the facts of an object that was made."""
    identity = ctx.target.engine.introspect.object_identity(ctx.target_session, making.kind, making.name)
    if identity is None:
        raise errors.Fault(f"the {making.kind} {making.name} was created but can't be found")
    name = making.name
    return {"kind": making.kind, "name": [name.schema, name.name], "identity": identity, "existed_before": False}


def _make(ctx: Context, step: model.Step, making: Making) -> Facts:
    """Make the object, or adopt the one that this step made before it was cut off."""
    session = ctx.target_session
    if ctx.target.engine.introspect.object_identity(session, making.kind, making.name) is None:
        if refused := carry_out(ctx, making, lambda: crashpoints.reach(f"step:{step.kind}:statement")):
            return refused
    elif not as_made(ctx.plan, ctx.target.engine, session, step, making.kind, making.name):
        raise _not_ours(ctx, making)
    return facts_of(ctx, making)


def carry_out(ctx: Context, making: Making, after: Callable[[], None] = lambda: None) -> Facts:
    """Make an object, calling `after` behind each statement.

    Returns nothing, or of a view why the server does not take it, which is no reason to stop.
    """
    session = ctx.target_session

    def run() -> None:
        for statement in making.statements:
            session.run(statement)
            after()

    if making.kind == "view":
        return _unless_refused(ctx, run)
    run()
    return {}


def _unless_refused(ctx: Context, make: Callable[[], None]) -> Facts:
    session, together = ctx.target_session, ctx.target.engine.capabilities.transactional_ddl
    if together:
        session.run("SAVEPOINT sensei_view")
    try:
        make()
    except (errors.ServerFailed, errors.MissingPrivilege, errors.UnknownName, errors.DataRejected) as problem:
        if problem.retryable or problem.outcome_unknown:
            raise
        if together:
            session.run("ROLLBACK TO SAVEPOINT sensei_view")
            session.run("RELEASE SAVEPOINT sensei_view")
        # The lines behind the first show where in our own statement the server stopped.
        first, _, _ = problem.message.partition("\n")
        return {"kind": "view", "left": f"the target does not take it: {first}"}
    if together:
        session.run("RELEASE SAVEPOINT sensei_view")
    return {}


def as_made(
    plan: model.Plan,
    engine: base.Engine,
    session: base.Session,
    step: model.Step,
    kind: str,
    name: catalog.TableName,
) -> bool:
    """Tell whether what is there looks as its step makes it: a table of the planned columns, and empty."""
    if kind in ("sequence", "view"):
        return True
    if kind == "schema":
        found = engine.introspect.catalog(session, [name.name or name.schema])
        return not (found.tables or found.sequences or found.others)
    table = engine.introspect.catalog(session, [name.schema]).table(name)
    planned = plan.table(step.table or "").target
    return (
        table is not None
        and [(c.name, c.nullable) for c in table.columns] == [(c.name, c.nullable) for c in planned.columns]
        and engine.rows.count(session, name) == 0
    )


def record_again(
    plan: model.Plan, engine: base.Engine, session: base.Session, book: ledger.Ledger, table_id: str
) -> None:
    """Write a table's identity anew after a statement of our own that moved it; only of the very table that is ours."""
    step, name = f"create_table:{table_id}", plan.table(table_id).target.name
    ours = session.rows(f"SELECT {engine.undo.ours(book.migration, step, 'table', name)}")[0][0]
    identity = engine.introspect.object_identity(session, "table", name)
    if ours and identity is not None:
        book.record_object(session, step, "table", name, identity)


# -- keys, indexes and foreign keys

_BUILDS = frozenset({"primary_key", "unique", "index", "check", "foreign_key"})


def _is_built(ctx: Context, step: model.Step) -> bool:
    there = steps_build.finish_of(ctx, step).there
    return bool(there and ctx.target_session.rows(f"SELECT {there}")[0][0])


def _other_build(ctx: Context, step: model.Step) -> errors.Refused:
    return errors.Refused(
        f"{step.object}: there is one of that name already, which this migration did not build",
        hint=f"drop it, then sensei migrations resume {ctx.migration}",
    )


def _build(ctx: Context, step: model.Step) -> Facts:
    """Build one key, index or foreign key, unless that was done before the step was cut off.

    Rows that violate it go to quarantine in a transaction of their own, before it is tried again.
    """
    finish, turned_out = steps_build.finish_of(ctx, step), 0
    try:
        _build_once(ctx, step, finish)
    except errors.DataRejected as error:
        turned_out = _turn_out(ctx, step, finish, error.message)
        try:
            _build_once(ctx, step, finish)
        except errors.DataRejected as again:
            raise errors.Fault(f"{step.object}: rows violate it still: {again.message}") from again
    return {"built": finish.name, "kind": finish.kind, "rows_turned_out": turned_out}


def _build_once(ctx: Context, step: model.Step, finish: defining.Finish) -> None:
    """Build it unless it is there; raises DataRejected where rows violate it, and nothing of it is left then."""
    session = ctx.target_session
    if not _is_built(ctx, step):
        for statement in finish.statements:
            session.run(statement)
            crashpoints.reach(f"step:{step.kind}:statement")
    # Also of one that was built before the step was cut off: nobody knows whether it was proven.
    if finish.trusting and session.rows(f"{finish.proof} LIMIT 1"):
        for statement in finish.removal:
            session.run(statement)
        raise errors.DataRejected(f"rows violate {finish.name}")


def _turn_out(ctx: Context, step: model.Step, finish: defining.Finish, reason: str) -> int:
    session, words = ctx.target_session, ctx.target.engine.dialect
    keys = [(step, finish)]
    if finish.kind == "foreign_key":
        keys += steps_build.other_keys(ctx, step)
    for statement in words.alone:
        session.run(statement)
    with base.transaction(session):
        ctx.book.hold_epoch(session, ctx.epoch)
        turned_out = steps_build.turn_out_rounds(ctx, keys, reason)
        crashpoints.reach("step:turn_out:commit:before")
    crashpoints.reach("step:turn_out:commit:after")
    # An error leaves the session as it is: the run ends, or goes on with a fresh one.
    for statement in words.together:
        session.run(statement)
    return turned_out
