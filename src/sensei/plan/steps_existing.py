"""Steps that make the target's own tables make way, and bind what hung on them to the new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from sensei import catalog, crashpoints, errors
from sensei.engines import base, keeping
from sensei.plan import existing, model, steps_alone
from sensei.plan.steps_context import Context, Facts

KINDS = frozenset({"keep_place", "hold_dependents", "set_aside_existing", "rebind"})


def _ports(engine: base.Engine) -> tuple[keeping.Keep, keeping.Bind]:
    if engine.keep is None or engine.bind is None:
        raise errors.Fault(f"{engine.name} sets nothing aside, but the plan says so")
    return engine.keep, engine.bind


def _held(plan: model.Plan, step: model.Step) -> keeping.Held:
    return plan.held[int(step.detail["held"])]


def undo(plan: model.Plan, step: model.Step, engine: base.Engine, migration: str, evidence: str) -> list[base.Guarded]:
    """Return the statements that take one of these steps back; `evidence` is where the migrated tables went before."""
    keep, bind = _ports(engine)
    made = {t.target.name: f"create_table:{t.id}" for t in plan.tables}
    if step.kind == "keep_place":
        place = catalog.TableName("", keep.place(migration, step.detail["slot"], step.detail["word"]))
        return engine.undo.drop(migration, step.id, "schema", place)
    if step.kind == "hold_dependents":
        return [g for h in plan.hanging for g in put_back(plan, h, engine, migration, evidence, made)]
    if step.kind == "rebind":
        return bind.unbind(migration, step.id, plan.hanging[int(step.detail["hanging"])], made)
    return keep.bring_back(migration, step.id, _held(plan, step), evidence)


def put_back(
    plan: model.Plan,
    hanging: keeping.Hanging,
    engine: base.Engine,
    migration: str,
    evidence: str,
    made: Mapping[catalog.TableName, str],
) -> list[base.Guarded]:
    """Return the statements that bind a dependant to old tables again; `made` are the new tables and their steps."""
    return _ports(engine)[1].put_back(migration, hanging, made, evidence)


def held_under(plan: model.Plan, engine: base.Engine, kind: str, name: catalog.TableName) -> keeping.Held | None:
    """Return the target's own object that made way for one that the migration makes."""
    fold = existing.folder(engine)
    return next((h for h in plan.held_as(kind, name) if fold(h.name) == fold(name)), None)


def while_held(
    plan: model.Plan,
    engine: base.Engine,
    migration: str,
    kind: str,
    name: catalog.TableName,
    undo: list[base.Guarded],
) -> list[base.Guarded]:
    """Return an undo that leaves a name alone whose own object has come back.

    Where each statement commits by itself a walk may be cut off behind that, and the own object may be of the new
    one's shape.
    """
    held = held_under(plan, engine, kind, name) if not engine.capabilities.transactional_ddl else None
    if held is None:
        return undo
    still = _ports(engine)[0].still_held(migration, held)
    return [dataclasses.replace(g, when=f"({still}) AND ({g.when})") for g in undo]


def is_back(
    plan: model.Plan, engine: base.Engine, session: base.Session, migration: str, name: catalog.TableName
) -> bool:
    """Tell whether what bears a planned name is the target's own table again, or still."""
    held = held_under(plan, engine, "table", name)
    if held is None:
        return False
    return not session.rows(f"SELECT {_ports(engine)[0].still_held(migration, held)}")[0][0]


# -- looks; each is asked before its step is begun


def look_at_held(ctx: Context, step: model.Step) -> None:
    """Raise WorldChanged where an object that is to make way is not the one that was planned on."""
    held = _held(ctx.plan, step)
    if not _ports(ctx.target.engine)[0].is_as_planned(ctx.target_session, held):
        raise errors.WorldChanged(
            f"the target's own {held.kind} {held.name} is not the one that was planned on",
            hint=f"sensei migrations rollback {ctx.migration} --full, then create anew",
        )
    if held.kind == "table" and ctx.book.taken_back(ctx.target_session):
        _refuse_fresh(ctx, held)  # it came back, and stood there for anybody to build upon


def look_at_bound(ctx: Context, step: model.Step) -> None:
    """Raise WorldChanged where something that hangs on the old tables was changed since they made way."""
    session, hanging = ctx.target_session, ctx.plan.hanging[int(step.detail["hanging"])]
    _, bind = _ports(ctx.target.engine)
    marks = [
        (ctx.book.step_done(session, s.id) or {}).get("marks", {}).get(hanging.words)
        for s in ctx.plan.steps
        if s.kind == "set_aside_existing" and _hangs_on(hanging, _held(ctx.plan, s))
    ]
    # One of several tables may have come back and made way once more: then the others' marks are of before.
    if marks and bind.mark(session, hanging) not in marks:
        raise errors.WorldChanged(
            f"{hanging.words} was changed while the tables under it were copied",
            hint=f"change it back, then sensei migrations resume {ctx.migration}",
        )


# -- acts; each runs inside the transaction that `steps.do` opened, where DDL can be in one


def making(ctx: Context, step: model.Step) -> steps_alone.Making | None:
    """Return the object that a step makes, if it makes one."""
    if step.kind != "keep_place":
        return None
    engine = ctx.target.engine
    name = _ports(engine)[0].place(ctx.migration, step.detail["slot"], step.detail["word"])
    return steps_alone.Making("schema", catalog.TableName("", name), tuple(engine.ddl.create_schema(name)))


def hold_dependents(ctx: Context, step: model.Step) -> Facts:
    """See that nothing but what was planned on hangs on the tables that are to make way."""
    engine, session, plan = ctx.target.engine, ctx.target_session, ctx.plan
    _, bind = _ports(engine)
    changed = [h.words for h in plan.hanging if bind.mark(session, h) != h.mark]
    known = {h.words for h in plan.hanging}
    known |= {words for h in plan.held for words in h.own}
    tables = [h.name for h in plan.held if h.kind == "table"]
    fresh = [w for w in engine.introspect.dependents(session, tables) if w not in known]
    if changed or fresh:
        raise errors.WorldChanged(
            "what hangs on tables that are to be set aside is not what was planned on: " + ", ".join(changed + fresh),
            hint=f"sensei migrations rollback {ctx.migration} --full, then create anew",
            dependents=changed + fresh,
        )
    return {"dependents": {h.words: h.definition for h in plan.hanging}}


def set_aside(ctx: Context, step: model.Step) -> Facts:
    """Move one of the target's own objects into its keeping place."""
    engine, session, held = ctx.target.engine, ctx.target_session, _held(ctx.plan, step)
    keep, bind = _ports(engine)
    if not session.rows(f"SELECT {keep.still_held(ctx.migration, held)}")[0][0]:  # else it was cut off behind that
        for statement in keep.aside(session, ctx.migration, held):
            session.run(statement)
            _passed(ctx, step)
    kept = keep.kept_name(ctx.migration, held)
    if engine.introspect.object_identity(session, held.kind, kept) is None:
        raise errors.Fault(f"the {held.kind} {held.name} was set aside but can't be found as {kept}")
    return {
        "kind": held.kind,
        "name": [held.name.schema, held.name.name],
        "kept": [kept.schema, kept.name],
        "identity": held.identity,
        "parts": {f"{p.kind} {p.name}": p.sql for p in held.parts},
        # As they are bound now: whoever changes one while tables are copied is found by that.
        "marks": {h.words: bind.mark(session, h) for h in ctx.plan.hanging if _hangs_on(h, held)},
    }


def _passed(ctx: Context, step: model.Step) -> None:
    if not ctx.target.engine.capabilities.transactional_ddl:  # else what was done so far comes undone
        crashpoints.reach(f"step:{step.kind}:statement")


def _refuse_fresh(ctx: Context, held: keeping.Held) -> None:
    engine, plan = ctx.target.engine, ctx.plan
    keep, _ = _ports(engine)
    known = {h.words for h in plan.hanging} | {words for h in plan.held for words in h.own}
    # Others of the old tables may point at it, from where they are held or from home.
    names = [held.name, *(keep.kept_name(ctx.migration, h) for h in plan.held if h.kind == "table")]
    for other in plan.held:
        away = ctx.target_session.rows(f"SELECT {keep.still_held(ctx.migration, other)}")[0][0]
        if other.kind == "table" and not away:
            names.append(other.name)
    fresh = [w for w in engine.introspect.dependents(ctx.target_session, names) if w not in known]
    if fresh:
        raise errors.WorldChanged(
            f"what hangs on {held.name} is not what was planned on: {', '.join(fresh)}",
            hint=f"take that off and resume, or: sensei migrations rollback {ctx.migration} --full",
            dependents=fresh,
        )


def _hangs_on(hanging: keeping.Hanging, held: keeping.Held) -> bool:
    return held.name in {name for name, _ in hanging.uses}


def rebind(ctx: Context, step: model.Step) -> Facts:
    """Bind something that hung on the old tables to the new ones."""
    session, hanging = ctx.target_session, ctx.plan.hanging[int(step.detail["hanging"])]
    _, bind = _ports(ctx.target.engine)
    for statement in bind.rebind(hanging):
        session.run(statement)
        _passed(ctx, step)
    count, statements = bind.settle(hanging)
    orphans = int(session.rows(count)[0][0]) if count else 0
    if orphans:
        ctx.say(
            f"{hanging.words}: {orphans} rows have no partner in the new table; the key is bound, but not validated"
        )
    for statement in statements if not orphans else []:
        session.run(statement)
    return {"mark": bind.mark(session, hanging), "rows_without_partner": orphans}
