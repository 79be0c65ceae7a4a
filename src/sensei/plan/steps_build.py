"""Steps that make and finish objects: keys, indexes and foreign keys, positions of sequences, statistics."""

from __future__ import annotations

import dataclasses

from sensei import catalog, errors
from sensei.catalog import types
from sensei.engines import base, defining, ledger, ledger_quarantine
from sensei.plan import model
from sensei.plan.steps_context import Context, Facts


def finish_of(ctx: Context, step: model.Step) -> defining.Finish:
    """Return what a step builds."""
    table = ctx.plan.table(step.table or "").target
    return next(f for f in ctx.target.engine.ddl.finish(table) if f.kind == step.kind and f.name == step.detail["name"])


def build(ctx: Context, step: model.Step) -> Facts:
    """Build one key, index, check or foreign key; rows that violate it go to quarantine in the same transaction."""
    finish, session = finish_of(ctx, step), ctx.target_session
    turned_out = 0
    session.run("SAVEPOINT sensei_build")
    try:
        _run_all(session, finish)
    except errors.DataRejected as error:
        session.run("ROLLBACK TO SAVEPOINT sensei_build")
        if finish.kind == "foreign_key":
            turned_out = _turn_out_orphans(ctx, step, finish, error.message)
        else:
            turned_out = turn_out(ctx, step, finish, error.message)
        _run_all(session, finish)
    session.run("RELEASE SAVEPOINT sensei_build")
    if finish.kind == "index" and not ctx.target.engine.capabilities.has_schemas:
        name = catalog.TableName(ctx.plan.table(step.table or "").target.name.schema, finish.name)
        identity = ctx.target.engine.introspect.object_identity(session, "index", name)
        if identity is None:
            raise errors.Fault(f"the index {name} was built but can't be found")
        ctx.book.record_object(session, step.id, "index", name, identity)
    return {"built": finish.name, "kind": finish.kind, "rows_turned_out": turned_out}


def _run_all(session: base.Session, finish: defining.Finish) -> None:
    for statement in finish.statements:
        session.run(statement)
    # An engine that takes foreign keys on trust while loading (SQLite) is asked for orphans here.
    if finish.proof and not finish.statements and session.rows(finish.proof):
        raise errors.DataRejected(f"rows violate {finish.name}")


def _turn_out_orphans(ctx: Context, step: model.Step, finish: defining.Finish, reason: str) -> int:
    """Turn out orphans, and the orphans that their going leaves, until every foreign key holds.

    Foreign keys that are already built come off first: one with ON DELETE CASCADE would take rows along that are
    in no quarantine. They are put back before the transaction ends.
    """
    session = ctx.target_session
    known = other_keys(ctx, step)
    built = [f for other, f in known if ctx.book.step_done(session, other.id) is not None]
    for other_finish in built:
        for statement in other_finish.removal:
            session.run(statement)
    total = turn_out_rounds(ctx, [(step, finish), *known], reason)
    for other_finish in built:
        _run_all(session, other_finish)
    return total


def other_keys(ctx: Context, step: model.Step) -> list[tuple[model.Step, defining.Finish]]:
    """Return every other foreign key of the plan."""
    return [(s, finish_of(ctx, s)) for s in ctx.plan.steps if s.kind == "foreign_key" and s.id != step.id]


def turn_out_rounds(ctx: Context, keys: list[tuple[model.Step, defining.Finish]], reason: str) -> int:
    """Turn out the orphans of these keys until none is left; nothing may go with them by itself."""
    total, round_total = 0, -1
    while round_total:
        round_total = 0
        for one, finish in keys:
            if finish.violators:
                round_total += turn_out(ctx, one, finish, reason)
        total += round_total
    return total


def turn_out(
    ctx: Context, step: model.Step, finish: defining.Finish, reason: str, of: catalog.TableName | None = None
) -> int:
    """Move the rows that violate a constraint from the table into the quarantine, in the same transaction.

    `of` is the table that they lie in (None: the target table).
    """
    plan = ctx.plan.table(step.table or "")
    if ctx.config.options.on_row_error == "stop" or not finish.violators:
        raise errors.StoppedByRule(
            f"{plan.id}: {reason}",
            hint=f"mend the rows on the source, then sensei migrations rollback {ctx.migration} --full and start anew",
            table=plan.id,
            constraint=finish.name,
            reason=reason,
        )
    session, ddl, words = ctx.target_session, ctx.target.engine.ddl, ctx.target.engine.dialect
    name = ddl.qualified(of or plan.target.name)
    columns = [c.target for c in plan.columns]
    listed = ", ".join(
        (words.shown_bytes if c.source_type.kind is types.Kind.BYTES else words.shown).format(
            column=f"c.{ddl.quote(c.target)}"
        )
        for c in plan.columns
    )
    keys = plan.target.primary.columns if plan.target.primary else ()
    at = ctx.book.quarantine_count(session, plan.id, ledger.AFTER_LOAD)
    rejected = []
    for n, row in enumerate(session.rows(f"SELECT {listed} FROM {name} AS c WHERE {finish.violators}"), at):
        values = dict(zip(columns, row, strict=True))
        key = {k: values[k] for k in keys} or {"position": str(n)}
        rejected.append(
            ledger_quarantine.Rejected(
                plan.id, ledger.AFTER_LOAD, n, ledger.as_json(key), ", ".join(finish.columns),
                f"violates {finish.kind.replace('_', ' ')} {finish.name}", ledger.as_json(values),
            )
        )  # fmt: skip
    removed = session.run(words.delete.format(table=name, condition=finish.violators))
    if removed != len(rejected):
        raise errors.Fault(f"{plan.id}: {len(rejected)} rows violate {finish.name}, but {removed} were moved")
    ctx.book.quarantine(session, ctx.book.attempts(session).get(plan.id, 1), rejected)
    ctx.turned_out(plan.id, removed, finish.name)
    return removed


def prime(ctx: Context, step: model.Step) -> Facts:
    """Put a table's identities and sequences where the source's stand."""
    plan = ctx.plan.table(step.table or "")
    renamed = {c.name: t.name for c, t in zip(plan.source.columns, plan.target.columns, strict=True)}
    sequences = []
    for column, sequence in ctx.positions_of(plan.source.name):
        name = ctx.plan.sequence_of(str(sequence.name)) or sequence.name
        sequences.append(dataclasses.replace(sequence, name=name, owner=(plan.target.name, renamed[column])))
    for statement in ctx.target.engine.ddl.prime(plan.target, sequences):
        ctx.target_session.run(statement)
    return {"positions": {str(s.name): s.last_value for s in sequences}}


def prime_sequence(ctx: Context, step: model.Step) -> Facts:
    """Put a stand-alone sequence where the source's stands."""
    sequence = ctx.plan.sequence(step.object)
    now = ctx.positions().get(ctx.plan.sequence_sources[step.object], sequence)
    moved = dataclasses.replace(now, name=sequence.name, owner=None)
    drawing = [
        (t.target.name, c.name)
        for t in ctx.plan.tables
        for c in t.target.columns
        if c.default is not None and c.default.kind == "nextval" and c.default.value == str(sequence.name)
    ]
    for statement in ctx.target.engine.ddl.prime_alone(moved, drawing):
        ctx.target_session.run(statement)
    return {"position": now.last_value}


def analyze(ctx: Context, step: model.Step) -> Facts:
    """Let the target's planner know what was loaded; after a rollback of some tables, of those alone."""
    session, look = ctx.target_session, ctx.target.engine.introspect.object_identity
    statistics = catalog.TableName("", "statistics")
    before = look(session, "statistics", statistics)
    rollbacks = ctx.book.taken_back(session)
    earlier = ctx.book.undone_facts(session, step.id)
    tables = {t.id for t in ctx.plan.tables}
    if earlier is not None and "rollbacks" in earlier:
        tables = {t for n, facts in rollbacks.items() if n > int(earlier["rollbacks"]) for t in facts["tables"]}
    together, looked_at = ctx.target.engine.capabilities.locking_together, 0
    for table in ctx.plan.tables:
        # Statistics of the target's own tables that lie outside of them would be lost with what is written there now.
        own = table.append is not None and ctx.target.engine.undo.forget_statistics("", "", [table.target.name])
        if table.id in tables and not own:
            name = ctx.target.engine.ddl.qualified(table.target.name)
            session.run(ctx.target.engine.dialect.analyze.format(table=name))
            looked_at += 1
            if together and looked_at % together == 0:
                # What is looked at stays known, and looking again does no harm; the locks go.
                session.confirm_pinned()
                session.commit()
                session.begin()
                ctx.book.hold_epoch(session, ctx.epoch)
    after = look(session, "statistics", statistics)
    made = sorted(set((after or "").split()) - set((before or "").split()))
    if made:
        ctx.book.record_object(session, step.id, "statistics", statistics, " ".join(made))
    return {"tables": len(tables), "rollbacks": max(rollbacks, default=0)}
