"""The proof of views: each is asked on both sides, and one that answers otherwise on the target is taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sensei import errors, rollback
from sensei.engines import asking, base
from sensei.plan import model, steps, steps_context
from sensei.runner import desk as desks
from sensei.states import StepState
from sensei.validation import answers
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
    with contextlib.ExitStack() as stack:
        ends = _open(loaded, ctx, stack)
        beside = stack.enter_context(ThreadPoolExecutor(1, "sensei-view"))
        lost = _lost_before(loaded)
        due = []
        for step_id, facts in made.items():
            view = loaded.plan.view(step_id.partition(":")[2])
            if "left" not in facts:
                without = [v for v in view.views if v in lost]
                facts = facts | (
                    {"left": f"it reads {', '.join(without)}, which is left behind"}
                    if without
                    else _compared(view, ctx, ends, beside)
                )
                due += [step_id] if "left" in facts else []
            if "left" in facts:
                lost.add(str(view.target))
                say(f"view {view.target} is left behind: {facts['left']}")
            found[step_id] = facts
    for step_id in reversed(due):  # one that reads another goes first
        _take_back(loaded, ctx, step_id, say)
    return found


def _lost_before(loaded: desks.Loaded) -> set[str]:
    """Return the views that were left behind by steps before these."""
    journaled = loaded.desk.store.steps(loaded.id)
    return {str(v.target) for v in loaded.plan.views if _is_left(journaled.get(f"create_view:{v.target}"))}


def _is_left(record: Any) -> bool:
    return record is not None and record.state is StepState.DONE and "left" in record.facts


_End = tuple[sides.Side, base.Session, asking.Ask]


def _open(loaded: desks.Loaded, ctx: steps_context.Context, stack: contextlib.ExitStack) -> tuple[_End, _End]:
    result = []
    for side, schemas in ((ctx.source, loaded.plan.schemas), (ctx.target, loaded.plan.target_schemas)):
        ask = side.engine.ask
        if ask is None:
            raise errors.Fault(f"{side.engine.name} can't be asked, and views were planned")
        # Purpose SOURCE on both sides: the server itself refuses to write in such a session.
        session = side.engine.connect(side.url, base.Purpose.SOURCE, application=f"sensei {loaded.id} views")
        stack.callback(session.close)
        ask.prepare(session, [s for s in schemas if s], SECONDS)
        result.append((side, session, ask))
    return result[0], result[1]


def _asked(end: _End, word: str, name: Any) -> asking.Answer:
    side, session, ask = end
    with sides.told(word, side.name):
        return ask.answer(session, f"SELECT * FROM {side.engine.ddl.qualified(name)}", ROWS)


def _compared(
    view: model.ViewPlan, ctx: steps_context.Context, ends: tuple[_End, _End], beside: ThreadPoolExecutor
) -> Facts:
    target = ctx.target.engine.introspect
    if target.object_identity(ctx.target_session, "view", view.target) is None:
        return {"left": "it was taken back when it was compared before, or somebody dropped it"}
    there = beside.submit(_asked, ends[1], "target", view.target)
    try:
        here = _asked(ends[0], "source", view.source)
    finally:
        there.exception()
    other = there.result()
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
    return {"rows": here.count, "says": f"{here.count:,} rows, the same on both sides"}


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
