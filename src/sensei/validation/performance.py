"""Is the target as fast: the workload is timed on both sides in turns, warm, and what is slower there is ranked."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from sensei import errors
from sensei.config import fields
from sensei.validation import advice, model, questions, scope, shapes, workload

_PERSPECTIVE = model.Perspective.PERFORMANCE
#: Times that each query is asked on each side, after once to warm up; fewer, but at least `_LEAST`, within `_SECONDS`.
_RUNS, _LEAST, _SECONDS = 11, 3, 10.0
_TOLD = 5


def check(scoped: scope.Scope) -> model.Outcome:
    """Time the workload. What is slower is a warning: it fails no validation and takes nothing back."""
    if scoped.asked.workload is None:
        return scope.not_asked(_PERSPECTIVE, "not asked for: there is no workload")
    failures: list[model.Failure] = []
    measured: list[dict[str, Any]] = []
    with questions.both(scoped) as ends:
        try:
            replayed = workload.read(scoped, ends)
        except (errors.BadInput, errors.Refused) as problem:  # the behavioral perspective has told it as a failure
            return scope.not_asked(_PERSPECTIVE, f"nothing could be timed: {problem.message}")
        for n, one in enumerate(replayed.queries, 1):
            scoped.pause()
            unit = f"{_PERSPECTIVE}:{one.query.id}"
            known = scoped.memory.get(unit)
            if known is None:
                known = _measure(scoped, ends, one)
                scoped.memory.put(unit, known)
            scoped.progress(_PERSPECTIVE, one.query.name, n, len(replayed.queries))
            if "ratio" in known:
                measured.append({"query": one.query.name, **known})
    measured.sort(key=lambda m: (-m["ratio"], m["query"]))
    failures = [_failure(scoped, m) for m in measured if m["is_slower"]]
    left = len(replayed.queries) - len(measured)
    summary = f"{len(measured)} queries timed on both sides, {len(failures)} slower on the target"
    if measured:
        worst = measured[0]
        summary += f"; the largest ratio is {worst['ratio']:.1f} ({worst['query']})"
    if left:
        summary += f"; {left} not timed, as one side does not answer"
    facts = {"queries": measured, "left": left, "share": 1.0}
    if not measured:
        return scope.not_asked(_PERSPECTIVE, f"no query of {replayed.origin} could be timed on both sides")
    return scope.outcome(_PERSPECTIVE, summary, failures, facts)


def _measure(scoped: scope.Scope, ends: questions.Ends, one: workload.Replayable) -> dict[str, Any]:
    """Time one query in turns, so that what slows the machine down slows both; times in milliseconds."""
    written = ends.source.ask.dialect
    try:
        texts = [questions.text(end, one.tree, written) for end in (ends.source, ends.target)]
    except errors.BadInput:
        return {}
    counted = scoped.memory.get(f"{model.Perspective.BEHAVIORAL}:{one.query.id}") or {}
    is_large = int(counted.get("rows", 0)) > questions.MAX_ROWS
    sides = list(zip((ends.source, ends.target), texts, strict=True))
    spent: tuple[list[float], list[float]] = ([], [])
    ends_at = time.monotonic() + _SECONDS
    for run in range(_RUNS + 1):
        # Whoever comes second finds the machine's caches warm: they take turns in that as well.
        for n in (0, 1) if run % 2 else (1, 0):
            end, sql = sides[n]
            with end.told():
                found = end.ask.time(end.session, sql, is_large)
            if found is None:
                return {}
            if run:
                spent[n].append(found * 1000)
        if run >= _LEAST and time.monotonic() > ends_at:
            break
        scoped.pause()
    known = _judged(spent, scoped.asked.tolerances.slower, fields.seconds(scoped.asked.tolerances.slower_by) * 1000)
    if known["is_slower"]:
        known["why"] = _why(scoped, ends, one, texts)
    return known


def _judged(spent: tuple[list[float], list[float]], slower: float, by: float) -> dict[str, Any]:
    """Put the figures together: the target is slower where both its usual and its best time are."""
    here, there = spent
    known: dict[str, Any] = {
        f"{side}_{name}_ms": round(quantile(times, share), 3)
        for side, times in (("source", here), ("target", there))
        for name, share in (("p50", 0.5), ("p95", 0.95))
    }
    known["runs"] = len(here)
    one, other = quantile(here, 0.5), quantile(there, 0.5)
    known["ratio"] = round(other / max(one, 1e-6), 3)
    best = min(there) / max(min(here), 1e-6)
    known["is_slower"] = other >= slower * one and best >= slower and other - one >= by
    return known


def quantile(times: Sequence[float], share: float) -> float:
    """Return the smallest time that so large a share of them is not above (nearest rank)."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _why(scoped: scope.Scope, ends: questions.Ends, one: workload.Replayable, texts: list[str]) -> dict[str, Any]:
    """Look at both execution plans, and at the indexes that the target has now."""
    try:
        plans = shapes.look(ends, texts[0], texts[1])
        with ends.target.told():
            schemas = [s for s in scoped.plan.target_schemas if s] or None
            there = ends.target.side.engine.introspect.catalog(ends.target.session, schemas)
    except errors.ServerFailed as error:
        if error.retryable:
            raise
        return {"says": "", "plans": [], "table": None}
    lost = shapes.lost(one.tree, scoped.plan, *plans, {t.name: t for t in there.tables})
    return {
        "says": "; ".join(x.says for x in lost[:_TOLD]),
        "plans": [shapes.words(p) for p in plans],
        "table": lost[0].table if lost else None,
    }


def _failure(scoped: scope.Scope, known: dict[str, Any]) -> model.Failure:
    why = known.get("why") or {}
    ms = {k: f"{v:,.3g}" if v < 100 else f"{v:,.0f}" for k, v in known.items() if k.endswith("_ms")}
    says = (
        f"{workload.titled(known['query'])}: {known['ratio']:.1f} times as long on the target"
        f" (p50 {ms['source_p50_ms']} ms and {ms['target_p50_ms']} ms,"
        f" p95 {ms['source_p95_ms']} ms and {ms['target_p95_ms']} ms, {known['runs']} runs)"
    )
    if why.get("says"):
        says += f": {why['says']}"
    elif why.get("plans"):
        says += f"; the source gets at {why['plans'][0]}; the target at {why['plans'][1]}"
    cause = model.Cause.SLOWER
    return model.Failure(
        _PERSPECTIVE,
        why.get("table"),
        model.Severity.WARNING,
        cause,
        advice.action(cause, scoped.migration, None),
        says,
        known,
    )
