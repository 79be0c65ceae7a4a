"""Steps that make the target's own tables make way, and bind what hung on them to the new ones."""

from __future__ import annotations

from sensei import catalog, errors
from sensei.engines import base, keeping
from sensei.plan import model, steps_alone
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
        return [g for h in plan.hanging for g in bind.put_back(migration, h, made, evidence)]
    if step.kind == "rebind":
        return bind.unbind(migration, step.id, plan.hanging[int(step.detail["hanging"])], made)
    return keep.bring_back(migration, _held(plan, step), evidence)


# -- acts; each runs inside the transaction that `steps.do` opened


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
    known |= {f"trigger {p.name}" for h in plan.held for p in h.parts if p.kind == "trigger"}
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
    if engine.introspect.object_identity(session, held.kind, held.name) != held.identity:
        raise errors.WorldChanged(
            f"the target's own {held.kind} {held.name} is not the one that was planned on",
            hint=f"sensei migrations rollback {ctx.migration} --full, then create anew",
        )
    for statement in keep.aside(session, ctx.migration, held):
        session.run(statement)
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


def _hangs_on(hanging: keeping.Hanging, held: keeping.Held) -> bool:
    return held.name in {name for name, _ in hanging.uses}


def rebind(ctx: Context, step: model.Step) -> Facts:
    """Bind something that hung on the old tables to the new ones."""
    session, hanging = ctx.target_session, ctx.plan.hanging[int(step.detail["hanging"])]
    _, bind = _ports(ctx.target.engine)
    marks = [
        (ctx.book.step_done(session, s.id) or {}).get("marks", {}).get(hanging.words)
        for s in ctx.plan.steps
        if s.kind == "set_aside_existing" and _hangs_on(hanging, _held(ctx.plan, s))
    ]
    if marks and bind.mark(session, hanging) != marks[-1]:
        raise errors.WorldChanged(
            f"{hanging.words} was changed while the tables under it were copied",
            hint=f"change it back, then sensei migrations resume {ctx.migration}",
        )
    for statement in bind.rebind(hanging):
        session.run(statement)
    count, statements = bind.settle(hanging)
    orphans = int(session.rows(count)[0][0]) if count else 0
    if orphans:
        ctx.say(
            f"{hanging.words}: {orphans} rows have no partner in the new table; the key is bound, but not validated"
        )
    for statement in statements if not orphans else []:
        session.run(statement)
    return {"mark": bind.mark(session, hanging), "rows_without_partner": orphans}
