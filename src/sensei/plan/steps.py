"""What a step does, how it is taken back, and how it is proven: one entry a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sensei import catalog, crashpoints, errors
from sensei.engines import base
from sensei.plan import model, steps_alone, steps_append, steps_build, steps_existing, views
from sensei.plan.steps_context import Context, Facts
from sensei.work import sides

Act = Callable[[Context, model.Step], Facts]


def do(ctx: Context, batch: Sequence[model.Step]) -> dict[str, Facts]:
    """Carry out steps, in one transaction where DDL can be in one, or find in the target that they took effect.

    Returns the facts that their undo needs, by step. The crash points bear the kind of the first step.
    """
    if not ctx.target.engine.capabilities.transactional_ddl:
        return {
            step.id: steps_alone.do(ctx, step, _ACTS[step.kind], _making(ctx, step), _LOOKS.get(step.kind))
            for step in batch
        }
    target, kind = ctx.target_session, batch[0].kind
    found: dict[str, Facts] = {}
    with sides.told("target", ctx.target.name), base.transaction(target):
        ctx.book.hold_epoch(target, ctx.epoch)
        for step in batch:
            facts = ctx.book.step_done(target, step.id)
            if facts is None:
                if step.kind in _LOOKS:
                    _LOOKS[step.kind](ctx, step)
                facts = _ACTS[step.kind](ctx, step)
                ctx.book.record_step(target, step.id, facts)
            found[step.id] = facts
        target.confirm_pinned()
        crashpoints.reach(f"step:{kind}:commit:before")
    crashpoints.reach(f"step:{kind}:commit:after")
    return found


def is_target_step(step: model.Step) -> bool:
    """Tell whether `do` carries the step out (the others are the runner's own: fingerprint, ledger, copy, prove)."""
    return step.kind in _ACTS


def undo(
    plan: model.Plan, step: model.Step, engine: base.Engine, migration: str, evidence: str | None
) -> list[base.Guarded]:
    """Return the statements that take a step back: set aside where `evidence` names a place, else dropped."""
    if step.kind in steps_existing.KINDS:
        return steps_existing.undo(plan, step, engine, migration, evidence or "")
    if step.kind in steps_append.KINDS:
        return steps_append.undo(plan, step, engine, migration, evidence or "")
    if step.kind == "foreign_key" and (keys := steps_append.keys_into(plan, step)):
        # What it points at stays, and must neither be held by evidence nor act on it.
        return engine.undo.detach(migration, f"create_table:{step.table}", plan.table(step.table or "").target, keys)
    made = _MADE.get(step.kind)
    if step.kind == "analyze":
        made_here = [t.target.name for t in plan.tables if t.append is None]
        return engine.undo.forget_statistics(migration, step.id, made_here) if made_here else []
    if step.kind == "index" and not engine.capabilities.has_schemas:
        # Names of indexes count in the whole file: one that went aside with its table would hinder a later migration.
        schema = plan.table(step.table or "").target.name.schema
        return engine.undo.drop(migration, step.id, "index", catalog.TableName(schema, step.detail["name"]))
    if made is None:
        return []  # it goes with the object that another step made
    name = _object_name(plan, step)
    if evidence is not None and made not in NEVER_KEPT:
        aside = engine.undo.set_aside(migration, step.id, made, name, evidence)
        return steps_existing.while_held(plan, engine, migration, made, name, aside)
    return engine.undo.drop(migration, step.id, made, name)


#: Step kinds that make an object which rollback has to take away.
_MADE = {"create_schema": "schema", "create_sequence": "sequence", "create_table": "table", "create_view": "view"}
#: What has no rows of its own, so that a rollback never sets it aside.
NEVER_KEPT = ("schema", "view")


def _object_name(plan: model.Plan, step: model.Step) -> catalog.TableName:
    if step.kind == "create_schema":
        return catalog.TableName("", step.object)
    if step.kind == "create_sequence":
        return plan.sequence(step.object).name
    if step.kind == "create_view":
        return plan.view(step.object).target
    return plan.table(step.table or "").target.name


def objects(plan: model.Plan) -> list[tuple[model.Step, str, catalog.TableName]]:
    """Return every object that the plan makes: its step, kind and name."""
    return [(s, _MADE[s.kind], _object_name(plan, s)) for s in plan.steps if s.kind in _MADE]


# -- acts; each runs inside the transaction that `do` opened


def _making(ctx: Context, step: model.Step) -> steps_alone.Making | None:
    """Return what a step makes, and by which statements; None for one that makes no object of its own."""
    if step.kind not in _MADE:
        return steps_existing.making(ctx, step)
    ddl = ctx.target.engine.ddl
    match step.kind:
        case "create_schema":
            statements = ddl.create_schema(step.object)
        case "create_sequence":
            statements = ddl.create(ctx.plan.sequence(step.object))
        case "create_view":
            statements = [views.statement(ctx.plan.view(step.object), ctx.target.engine)]
        case _:
            statements = ddl.create(ctx.plan.table(step.table or "").target)
    return steps_alone.Making(_MADE[step.kind], _object_name(ctx.plan, step), tuple(statements))


def _create(ctx: Context, step: model.Step) -> Facts:
    making, session = _making(ctx, step), ctx.target_session
    if making is None:
        raise errors.Fault(f"the step {step.id} makes nothing")
    steps_alone.refuse_there(ctx, making)
    if refused := steps_alone.carry_out(ctx, making):
        return refused
    facts = steps_alone.facts_of(ctx, making)
    ctx.book.record_object(session, step.id, making.kind, making.name, facts["identity"])
    return facts


#: What is looked at before a step is begun: raises where the world is no longer the one that was planned on.
_LOOKS: Mapping[str, Callable[[Context, model.Step], None]] = {
    "set_aside_existing": steps_existing.look_at_held,
    "rebind": steps_existing.look_at_bound,
}

_ACTS: Mapping[str, Act] = {
    "create_schema": _create,
    "create_sequence": _create,
    "create_table": _create,
    "create_view": _create,
    "primary_key": steps_build.build,
    "unique": steps_build.build,
    "index": steps_build.build,
    "check": steps_build.build,
    "foreign_key": steps_build.build,
    "prime": steps_build.prime,
    "prime_sequence": steps_build.prime_sequence,
    "analyze": steps_build.analyze,
    "keep_place": _create,
    "hold_dependents": steps_existing.hold_dependents,
    "set_aside_existing": steps_existing.set_aside,
    "rebind": steps_existing.rebind,
    "create_stage": steps_append.create_stage,
    "merge": steps_append.merge,
    "drop_stage": steps_append.drop_stage,
}
