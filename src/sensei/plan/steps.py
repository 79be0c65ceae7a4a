"""What a step does, how it is taken back, and how it is proven: one entry a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sensei import catalog, crashpoints, errors
from sensei.engines import base
from sensei.plan import model, steps_build
from sensei.plan.steps_context import Context, Facts
from sensei.work import sides

Act = Callable[[Context, model.Step], Facts]


def do(ctx: Context, step: model.Step) -> Facts:
    """Carry out one step, or find in the target that it took effect; returns the facts that its undo needs."""
    act = _ACTS[step.kind]
    target = ctx.target_session
    with sides.told("target", ctx.target.name), base.transaction(target):
        ctx.book.hold_epoch(target, ctx.epoch)
        facts = ctx.book.step_done(target, step.id)
        if facts is None:
            facts = act(ctx, step)
            ctx.book.record_step(target, step.id, facts)
            target.confirm_pinned()
        crashpoints.reach(f"step:{step.kind}:commit:before")
    crashpoints.reach(f"step:{step.kind}:commit:after")
    return facts


def is_target_step(step: model.Step) -> bool:
    """Tell whether `do` carries the step out (the others are the runner's own: fingerprint, ledger, copy, prove)."""
    return step.kind in _ACTS


def undo(
    plan: model.Plan, step: model.Step, engine: base.Engine, migration: str, evidence: str | None
) -> list[base.Guarded]:
    """Return the statements that take a step back: set aside where `evidence` names a place, else dropped."""
    made = _MADE.get(step.kind)
    if step.kind == "analyze":
        return engine.undo.forget_statistics(migration, step.id, [t.target.name for t in plan.tables])
    if step.kind == "index" and not engine.capabilities.has_schemas:
        # Names of indexes count in the whole file: one that went aside with its table would hinder a later migration.
        schema = plan.table(step.table or "").target.name.schema
        return engine.undo.drop(migration, step.id, "index", catalog.TableName(schema, step.detail["name"]))
    if made is None:
        return []  # it goes with the object that another step made
    name = _object_name(plan, step)
    if evidence is not None and made != "schema":
        return engine.undo.set_aside(migration, step.id, made, name, evidence)
    return engine.undo.drop(migration, step.id, made, name)


#: Step kinds that make an object which rollback has to take away.
_MADE = {"create_schema": "schema", "create_sequence": "sequence", "create_table": "table"}


def _object_name(plan: model.Plan, step: model.Step) -> catalog.TableName:
    if step.kind == "create_schema":
        return catalog.TableName("", step.object)
    if step.kind == "create_sequence":
        return plan.sequence(step.object).name
    return plan.table(step.table or "").target.name


def objects(plan: model.Plan) -> list[tuple[model.Step, str, catalog.TableName]]:
    """Return every object that the plan makes: its step, kind and name."""
    return [(s, _MADE[s.kind], _object_name(plan, s)) for s in plan.steps if s.kind in _MADE]


# -- acts; each runs inside the transaction that `do` opened


def _create_schema(ctx: Context, step: model.Step) -> Facts:
    return _create(
        ctx,
        step,
        "schema",
        catalog.TableName("", step.object),
        ctx.target.engine.ddl.create_schema(step.object),
    )


def _create_sequence(ctx: Context, step: model.Step) -> Facts:
    sequence = ctx.plan.sequence(step.object)
    return _create(ctx, step, "sequence", sequence.name, ctx.target.engine.ddl.create(sequence))


def _create_table(ctx: Context, step: model.Step) -> Facts:
    table = ctx.plan.table(step.table or "").target
    return _create(ctx, step, "table", table.name, ctx.target.engine.ddl.create(table))


def _create(ctx: Context, step: model.Step, kind: str, name: catalog.TableName, statements: list[str]) -> Facts:
    introspect, session = ctx.target.engine.introspect, ctx.target_session
    if introspect.object_identity(session, kind, name) is not None:
        raise errors.Refused(
            f"the target already has a {kind} {name}, which this migration did not make",
            hint=f"rename it, then sensei migrations resume {ctx.migration}",
        )
    for statement in statements:
        session.run(statement)
    identity = introspect.object_identity(session, kind, name)
    if identity is None:
        raise errors.Fault(f"the {kind} {name} was created but can't be found")
    ctx.book.record_object(session, step.id, kind, name, identity)
    return {"kind": kind, "name": [name.schema, name.name], "identity": identity, "existed_before": False}


_ACTS: Mapping[str, Act] = {
    "create_schema": _create_schema,
    "create_sequence": _create_sequence,
    "create_table": _create_table,
    "primary_key": steps_build.build,
    "unique": steps_build.build,
    "index": steps_build.build,
    "check": steps_build.build,
    "foreign_key": steps_build.build,
    "prime": steps_build.prime,
    "prime_sequence": steps_build.prime_sequence,
    "analyze": steps_build.analyze,
}
