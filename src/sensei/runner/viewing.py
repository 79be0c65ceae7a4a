"""The proof of views: each is asked on both sides, and one that answers otherwise on the target is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensei import rollback
from sensei.engines import base
from sensei.plan import model, scoping, steps, steps_context
from sensei.runner import desk as desks
from sensei.states import StepState
from sensei.validation import answers, questions
from sensei.work import sides

Facts = dict[str, Any]

#: Rows of an answer that are compared, and seconds that it may take.
ROWS, SECONDS = 50_000, 600.0


def proven(
    loaded: desks.Loaded, ctx: steps_context.Context, made: Mapping[str, Facts], say: Callable[[str], None]
) -> dict[str, Facts]:
    """Return the facts of views that were made, with what the comparison showed; `left` says why one is not there.

    Safe to call again: a view that was taken back before is found to be gone.
    """
    found: dict[str, Facts] = {}
    lost = set(left(loaded))
    due = []
    with questions.opened(
        scoping.of(loaded.plan), ctx.source, ctx.target, SECONDS, application=f"sensei {loaded.id} views"
    ) as ends:
        for step_id, facts in made.items():
            view = loaded.plan.view(step_id.partition(":")[2])
            if "left" not in facts:
                without = [v for v in view.views if v in lost]
                facts = facts | (
                    {"left": f"it reads {', '.join(without)}, which is left behind"}
                    if without
                    else _compared(view, ctx, ends)
                )
                due += [step_id] if "left" in facts else []
            if "left" in facts:
                lost.add(str(view.target))
                say(f"view {view.target} is left behind: {facts['left']}")
            found[step_id] = facts
    for step_id in reversed(due):  # one that reads another goes first
        _take_back(loaded, ctx, step_id, say)
    return found


def left(loaded: desks.Loaded) -> dict[str, str]:
    """Return why views of the plan were left behind when they were compared, by their names on the target."""
    journaled = loaded.desk.store.steps(loaded.id)
    found = {}
    for view in loaded.plan.views:
        record = journaled.get(f"create_view:{view.target}")
        if record is not None and record.state is StepState.DONE and "left" in record.facts:
            found[str(view.target)] = str(record.facts["left"])
    return found


def _compared(view: model.ViewPlan, ctx: steps_context.Context, ends: questions.Ends) -> Facts:
    target = ctx.target.engine.introspect
    if target.object_identity(ctx.target_session, "view", view.target) is None:
        return {"left": "it was taken back when it was compared before, or somebody dropped it"}
    asked = [
        f"SELECT * FROM {side.engine.ddl.qualified(name)}"
        for side, name in ((ctx.source, view.source), (ctx.target, view.target))
    ]
    here, other = ends.answers(asked[0], asked[1], ROWS)
    if here.error or other.error:
        side, said = ("source", here.error) if here.error else ("target", other.error)
        return {"left": f"it can't be compared: the {side} does not answer: {said}"}
    if here.count != other.count:
        return {"left": f"it has {here.count:,} rows on the source and {other.count:,} on the target"}
    if here.count > ROWS:
        return {"rows": here.count, "says": f"{here.count:,} rows on both sides: too many to compare each"}
    result = answers.compare(here.rows, other.rows, answers.Asked())
    if result.kind not in (answers.Kind.SAME, answers.Kind.NOISE):
        only = f", such as {result.only_source[0]} and {result.only_target[0]}" if result.only_target else ""
        return {"left": f"its answers differ: {result.says}{only}"}
    if not here.count:
        return {"rows": 0, "says": "it has no rows on either side, so that nothing could be compared"}
    return {"rows": here.count, "says": f"{here.count:,} row{'s' * (here.count != 1)}, the same on both sides"}


def _take_back(loaded: desks.Loaded, ctx: steps_context.Context, step_id: str, say: Callable[[str], None]) -> None:
    step = next(s for s in loaded.plan.steps if s.id == step_id)
    engine, session = ctx.target.engine, ctx.target_session
    due = steps.undo(loaded.plan, step, engine, loaded.id, None)
    together = engine.capabilities.transactional_ddl
    with (
        sides.told("target", ctx.target.name),
        base.transaction(session) if together else base.fenced(engine, session, loaded.id),
    ):
        ctx.book.hold_epoch(session, ctx.epoch)
        rollback.run_due(due, session, rollback.Walked(), say)
