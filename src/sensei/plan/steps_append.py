"""Steps that add rows to the target's own tables by way of a stage, and what takes the rows out again."""

from __future__ import annotations

import dataclasses
import hashlib

from sensei import catalog, crashpoints, errors
from sensei.engines import base, defining, keeping, ledger, merging
from sensei.plan import model, steps_build
from sensei.plan.steps_context import Context, Facts

KINDS = frozenset({"create_stage", "merge", "drop_stage"})
#: What the ledger and the evidence call rows that were brought into a table of the target's own.
ROWS = "rows"


def _ports(engine: base.Engine) -> tuple[keeping.Keep, merging.Merge]:
    if engine.keep is None or engine.merge is None:
        raise errors.Fault(f"{engine.name} adds to no table, but the plan says so")
    return engine.keep, engine.merge


def stage_name(table: model.TablePlan, engine: base.Engine, migration: str) -> catalog.TableName:
    """Return where a table's rows are copied to: the table itself, but for one that is added to."""
    if table.append is None:
        return table.target.name
    return _ports(engine)[0].placed(migration, table.append.slot, merging.STAGE, table.target.name)


def addition(table: model.TablePlan, engine: base.Engine, migration: str) -> merging.Addition:
    """Return a table to add to, in the target's names."""
    if table.append is None:
        raise errors.Fault(f"{table.id} is not added to an existing table")
    keep, _ = _ports(engine)
    stage, kept, added = (keep.placed(migration, table.append.slot, word, table.target.name) for word in merging.PLACES)
    return merging.Addition(
        table=table.target.name,
        stage=stage,
        kept=kept,
        added=added,
        key=table.append.key,
        columns=tuple(c.target for c in table.columns),
        others=table.append.others,
        incoming=table.append.incoming,
        counters=table.append.counters,
    )


def _plain(column: catalog.Column, nullable: bool) -> catalog.Column:
    return dataclasses.replace(column, nullable=nullable, default=None, identity=None, generated=None, comment=None)


def _stage(table: model.TablePlan, add: merging.Addition, engine: base.Engine) -> catalog.Table:
    """Return the stage: it takes what the table would take, row by row, and turns the same away.

    Where DDL commits by itself it has its key from the beginning: the transaction that merges can't build one.
    """
    keyed = not engine.capabilities.transactional_ddl
    columns = tuple(
        _plain(c, c.nullable and c.name not in add.key) for c in table.target.columns if c.name in add.columns
    )
    assert table.append is not None
    primary = catalog.Key(_key_name(add.stage), add.key) if keyed else None
    return catalog.Table(name=add.stage, columns=columns, primary=primary, checks=table.append.checks)


def _beside(table: model.TablePlan, add: merging.Addition) -> list[catalog.Table]:
    """Return the tables for overwritten rows and for the keys of new ones."""
    whole = tuple(_plain(c, c.name not in add.key) for c in table.target.columns if c.name in add.whole)
    keys = tuple(c for c in whole if c.name in add.key)
    return [
        catalog.Table(name=name, columns=columns, primary=catalog.Key(_key_name(name), add.key))
        for name, columns in ((add.kept, whole), (add.added, keys))
    ]


def _key_name(name: catalog.TableName) -> str:
    return "sensei_key_" + hashlib.sha256(str(name).encode()).hexdigest()[:16]


def undo(plan: model.Plan, step: model.Step, engine: base.Engine, migration: str, evidence: str) -> list[base.Guarded]:
    """Return the statements that take one of these steps back."""
    add = addition(plan.table(step.table or ""), engine, migration)
    if step.kind == "merge":
        add = dataclasses.replace(add, planned=frozenset(t.target.name for t in plan.tables))
        return _ports(engine)[1].undo(migration, step.id, add, evidence)
    if step.kind == "create_stage":
        names = (add.stage, add.kept, add.added)
        return [
            g
            for word, name in zip(merging.PLACES, names, strict=True)
            for g in engine.undo.drop(migration, f"{step.id}:{word}", "table", name)
        ]
    return []


# -- acts; each runs inside the transaction that `steps.do` opened


def create_stage(ctx: Context, step: model.Step) -> Facts:
    """Make the stage and what is beside it, and note where the table's counters stand."""
    plan, engine, session = ctx.plan.table(step.table or ""), ctx.target.engine, ctx.target_session
    add = addition(plan, engine, ctx.migration)
    alone = not engine.capabilities.transactional_ddl
    for table in [_stage(plan, add, engine), *_beside(plan, add)]:
        # An earlier run may have been cut off behind it: nobody else makes tables in a place of the migration.
        if not alone or engine.introspect.object_identity(session, "table", table.name) is None:
            for statement in engine.ddl.create(table):
                session.run(statement)
            for finish in engine.ddl.finish(table) if table.name != add.stage else []:
                for statement in finish.statements:
                    session.run(statement)
        if alone:
            crashpoints.reach(f"step:{step.kind}:statement")
    if alone:
        with base.transaction(session):
            made = record_made(ctx.plan, engine, session, ctx.book, step)
    else:
        made = record_made(ctx.plan, engine, session, ctx.book, step)
    if set(made) != set(merging.PLACES):
        raise errors.Fault(f"{plan.id}: a stage was made but can't be found; there are {', '.join(made) or 'none'}")
    return {**made, "positions": _ports(engine)[1].positions(session, add)}


def record_made(
    plan: model.Plan, engine: base.Engine, session: base.Session, book: ledger.Ledger, step: model.Step
) -> dict[str, list[str]]:
    """Write into the ledger what of a stage is there, and return it; a run may have been cut off while it was made."""
    add = addition(plan.table(step.table or ""), engine, book.migration)
    made = {}
    for word, name in zip(merging.PLACES, (add.stage, add.kept, add.added), strict=True):
        identity = engine.introspect.object_identity(session, "table", name)
        if identity is not None:
            book.record_object(session, f"{step.id}:{word}", "table", name, identity)
            made[word] = [name.schema, name.name]
    return made


def drop_stage(ctx: Context, step: model.Step) -> Facts:
    """Drop the stage, whose rows are in the table by now."""
    add = addition(ctx.plan.table(step.table or ""), ctx.target.engine, ctx.migration)
    ctx.target_session.run(f"DROP TABLE IF EXISTS {ctx.target.engine.ddl.qualified(add.stage)}")
    return {"dropped": [add.stage.schema, add.stage.name]}


def merge(ctx: Context, step: model.Step) -> Facts:
    """Bring the staged rows into the table: overwritten rows are kept, the keys of new ones are noted.

    Rows that would violate a unique key or a foreign key of the table go to quarantine first; what is left of others'
    objections stops the step, and all of it is undone.
    """
    plan, engine, session = ctx.plan.table(step.table or ""), ctx.target.engine, ctx.target_session
    _, port = _ports(engine)
    add = addition(plan, engine, ctx.migration)
    _refuse_changes(ctx, plan, port)
    begun = port.begin(session, add)
    turned_out = _turn_out(ctx, step, plan, add, port)
    before = engine.rows.count(session, add.table)
    found = port.positions(session, add)
    try:
        session.run(merging.keep(engine.ddl, add))
        session.run(merging.note(engine.ddl, add))
        crashpoints.reach("merge:noted")
        for statement in (*port.overwrite(add), *port.insert(add)):
            session.run(statement)
    except errors.DataRejected as error:
        raise errors.StoppedByRule(
            f"{plan.id}: the staged rows can't be brought into {add.table}: {error.message}",
            hint=f"mend that, then sensei migrations resume {ctx.migration}, or rollback {ctx.migration} --full",
            table=plan.id,
            reason=error.message,
        ) from error
    counts = {name: engine.rows.count(session, getattr(add, name)) for name in ("stage", "kept", "added", "table")}
    if counts["stage"] != counts["kept"] + counts["added"] or counts["table"] != before + counts["added"]:
        raise errors.Fault(
            f"{plan.id}: {counts['stage']} rows were staged for {add.table}, {counts['kept']} overwritten and"
            f" {counts['added']} added; it had {before} rows and has {counts['table']}"
        )
    ctx.book.record_object(session, step.id, ROWS, add.table, "")
    port.advance(session, add)
    port.end(session, add, begun)
    after = port.positions(session, add)
    ctx.say(f"{plan.id}: {counts['added']} rows added to {add.table}, {counts['kept']} overwritten")
    first = (ctx.book.step_done(session, f"create_stage:{plan.id}") or {}).get("positions", {})
    return {
        "before": before,
        "added": counts["added"],
        "overwritten": counts["kept"],
        "rows_turned_out": turned_out,
        "after": after,
        # Moved since the stage was made: by whoever uses the table, so that it must not go back further; or by an
        # earlier attempt of this step, as sequences do not roll back.
        "restore": {k: first.get(k) if found[k] in (first.get(k), after[k]) else found[k] for k in found},
    }


def _refuse_changes(ctx: Context, plan: model.TablePlan, port: merging.Merge) -> None:
    assert plan.append is not None
    now = port.look(ctx.target_session, [plan.target.name]).get(plan.target.name)
    known = {i.words for i in plan.append.incoming}
    made = {t.target.name for t in ctx.plan.tables if t.append is None}
    if now is None:
        raise errors.WorldChanged(f"the target's own table {plan.target.name} is gone")
    fresh = [*now.hinders, *(i.words for i in now.incoming if i.words not in known and i.table not in made)]
    if fresh:
        raise errors.WorldChanged(
            f"the target's own table {plan.target.name} is not as it was planned on: {', '.join(fresh)}",
            hint=f"take that back and resume, or: sensei migrations rollback {ctx.migration} --full",
        )


def _turn_out(ctx: Context, step: model.Step, plan: model.TablePlan, add: merging.Addition, port: merging.Merge) -> int:
    """Move staged rows that the table would not take into the quarantine, until none is left; then index the key."""
    engine, session = ctx.target.engine, ctx.target_session
    assert plan.append is not None
    stage, total = _stage(plan, add, engine), 0
    if stage.primary is None:
        key = catalog.Index(_key_name(add.stage), tuple(catalog.IndexColumn(c) for c in add.key), unique=True)
        (by_key,) = engine.ddl.finish(dataclasses.replace(stage, indexes=(key,)))
        total = _out(ctx, step, add, by_key)
        for statement in by_key.statements:
            session.run(statement)
    conditions = [*_unique_conditions(plan, add, engine, port, stage), *_orphan_conditions(plan, add, engine, stage)]
    moved = -1
    while moved:
        moved = sum(_out(ctx, step, add, finish) for finish in conditions)
        total += moved
    return total


def _unique_conditions(
    plan: model.TablePlan, add: merging.Addition, engine: base.Engine, port: merging.Merge, stage: catalog.Table
) -> list[defining.Finish]:
    found = []
    assert plan.append is not None
    for index in plan.append.uniques:
        for finish in engine.ddl.finish(dataclasses.replace(stage, indexes=(index,))):
            if finish.violators:
                found.append(finish)
        columns = tuple(c.name or str(c.expression) for c in index.columns)
        found.append(defining.Finish("unique", index.name, (), columns, violators=port.conflict(add, index)))
    return found


def _orphan_conditions(
    plan: model.TablePlan, add: merging.Addition, engine: base.Engine, stage: catalog.Table
) -> list[defining.Finish]:
    found = []
    for key in plan.target.foreign_keys:
        if not set(key.columns) <= set(add.columns):
            continue
        key = dataclasses.replace(key, validated=True)

        def violators(parent: catalog.TableName, key: catalog.ForeignKey = key) -> str:
            to = dataclasses.replace(key, table=parent)
            return engine.ddl.finish(dataclasses.replace(stage, foreign_keys=(to,)))[-1].violators

        condition = violators(key.table)
        if key.table == add.table:  # a partner may be on its way in as well
            condition = f"({condition}) AND ({violators(add.stage)})"
        if condition:
            found.append(defining.Finish("foreign_key", key.name, (), key.columns, violators=condition))
    return found


def _out(ctx: Context, step: model.Step, add: merging.Addition, finish: defining.Finish) -> int:
    if not finish.violators:
        return 0
    name = ctx.target.engine.ddl.qualified(add.stage)
    if not ctx.target_session.rows(f"SELECT 1 FROM {name} AS c WHERE {finish.violators} LIMIT 1"):
        return 0
    return steps_build.turn_out(ctx, step, finish, f"rows violate {finish.name}", add.stage)


def total(ctx: Context, table: model.TablePlan) -> tuple[int, int] | None:
    """Return (rows of the table before, rows added and overwritten) of one that was added to; None for others."""
    if table.append is None:
        return None
    facts = ctx.book.step_done(ctx.target_session, f"merge:{table.id}")
    if facts is None:
        return None
    return int(facts["before"]) + int(facts["added"]), int(facts["added"]) + int(facts["overwritten"])


def keys_into(plan: model.Plan, step: model.Step) -> list[catalog.ForeignKey]:
    """Return the foreign key that a step builds where it points at a table that is added to, and so stays."""
    table = plan.table(step.table or "")
    return [k for k in table.target.foreign_keys if k.name == step.detail["name"] and k.table in plan.added_to]
