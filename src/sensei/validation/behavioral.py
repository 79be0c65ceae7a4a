"""Does the target answer as the source does: its routines, triggers and views, and the queries of a workload."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sensei import catalog, errors
from sensei.config import fields
from sensei.engines import asking
from sensei.validation import advice, answers, asked, missing, model, questions, scope, semantic, shapes, workload

_PERSPECTIVE = model.Perspective.BEHAVIORAL
_APPLICATION = "sensei validations"
_CRITICAL, _WARNING = model.Severity.CRITICAL, model.Severity.WARNING
_Kind = answers.Kind

#: How much each kind of difference weighs at `fidelity: exact` and `semantic`; None: it is agreed to.
_WEIGHT: dict[_Kind, tuple[model.Severity | None, model.Severity | None]] = {
    _Kind.NOISE: (_WARNING, None),
    _Kind.PRECISION: (_CRITICAL, _WARNING),
    _Kind.COLLATION: (_CRITICAL, _WARNING),
    _Kind.ORDER: (_CRITICAL, _CRITICAL),
    _Kind.ERROR: (_CRITICAL, _CRITICAL),
    _Kind.REAL: (_CRITICAL, _CRITICAL),
}
_CALLED = {
    _Kind.NOISE: "precision: the noise of floats",
    _Kind.PRECISION: "precision",
    _Kind.COLLATION: "collation",
    _Kind.ORDER: "order only",
    _Kind.ERROR: "an error on one side",
    _Kind.REAL: "a real difference",
}


def check(scoped: scope.Scope) -> model.Outcome:
    """Look for objects that are missing, and replay the workload on both sides."""
    failures: list[model.Failure] = []
    facts: dict[str, Any] = {}
    with questions.both(scoped) as ends:
        here, there = _catalogs(scoped, ends)
        agreed, lacking = missing.accepted(
            missing.find(scoped.plan, here, there), scoped.asked.tolerances.missing_objects
        )
        failures += [_missing(scoped, one) for one in lacking]
        lost = f"{len(lacking)} routines, triggers and views are missing" if lacking else "no object is missing"
        if agreed:
            lost += f"; {len(agreed)} missing ones are agreed to"
        facts |= {"missing": [f"{m.kind} {m.name}" for m in lacking], "agreed": [f"{m.kind} {m.name}" for m in agreed]}
        if scoped.asked.workload is None:
            nothing = not lacking and not agreed
            if nothing and not [o for o in here.others if o.kind in missing.KINDS]:
                return scope.not_asked(_PERSPECTIVE, "not asked for: no workload, and the source has no routines,"
                                       " triggers or views")  # fmt: skip
            return scope.outcome(_PERSPECTIVE, f"{lost}; no query was replayed: there is no workload", failures, facts)
        try:
            replayed = workload.read(scoped, ends)
        except (errors.BadInput, errors.Refused) as problem:
            # It was asked for, and can't be had: nothing passes that was not looked at.
            failures.append(_unread(scoped, problem))
            return scope.outcome(_PERSPECTIVE, f"no query was replayed; {lost}", failures, facts)
        tables = {t.name: t for t in there.tables}
        same = 0
        for n, one in enumerate(replayed.queries, 1):
            scoped.pause()
            unit = f"{_PERSPECTIVE}:{one.query.id}"
            known = scoped.memory.get(unit)
            if known is None:
                known = _replay(scoped, ends, one, tables)
                scoped.memory.put(unit, known)
            scoped.progress(_PERSPECTIVE, one.query.name, n, len(replayed.queries))
            found = _failures(scoped, one, known, lacking)
            failures += found
            same += known["kind"] == _Kind.SAME
            scoped.queries.append(_entry(one, known, bool(found)))
    facts |= {"queries": len(replayed.queries), "same": same, "left": list(replayed.left), "share": 1.0}
    summary = f"{len(replayed.queries)} queries of {replayed.origin}, {same} with the same answer; {lost}"
    if replayed.left:
        summary += f"; {len(replayed.left)} not replayed, such as {replayed.left[0]}"
    if not replayed.queries:
        summary = f"no query of {replayed.origin} could be replayed; {lost}"
        if not failures:  # nothing was compared: that is no pass
            return model.Outcome(_PERSPECTIVE, model.Verdict.NOT_ASKED, summary, (), facts)
    return scope.outcome(_PERSPECTIVE, summary, failures, facts)


def _unread(scoped: scope.Scope, problem: errors.SenseiError) -> model.Failure:
    again = advice.command(model.Cause.MISSING_OBJECT, scoped.migration, None)
    action = f"{problem.hint or 'correct validation.workload'}, then: {again}"
    says = f"the workload can't be replayed: {problem.message}"
    return model.Failure(_PERSPECTIVE, None, _CRITICAL, model.Cause.UNKNOWN, action, says)


def _catalogs(scoped: scope.Scope, ends: questions.Ends) -> tuple[catalog.Catalog, catalog.Catalog]:
    # In sessions of their own: those that queries are put to look for names where the operator's do, and PostgreSQL
    # then prints names without the schema that the plan has them with.
    plan = scoped.plan
    with ends.source.side.session(_APPLICATION) as session:
        here = ends.source.side.engine.introspect.catalog(session, plan.schemas)
    with ends.target.side.session(_APPLICATION) as session:
        schemas = [s for s in plan.target_schemas if s] or None
        return here, ends.target.side.engine.introspect.catalog(session, schemas)


def _missing(scoped: scope.Scope, one: missing.Missing) -> model.Failure:
    cause = model.Cause.MISSING_STORED_PROCEDURE
    return model.Failure(
        _PERSPECTIVE,
        one.table,
        # What the plan listed was started with open eyes; a query that needs it fails by itself.
        _WARNING if one.is_planned else _CRITICAL,
        cause,
        advice.action(cause, scoped.migration, one.table),
        f"the {one.kind} {one.shown} is on the source and not on the target",
        {
            "object": one.name,
            "kind": one.kind,
            "hint": "where one of these is meant to stay behind, name it under validation.tolerances.missing_objects",
        },
    )


def _replay(
    scoped: scope.Scope,
    ends: questions.Ends,
    one: workload.Replayable,
    there: Mapping[catalog.TableName, catalog.Table],
) -> dict[str, Any]:
    """Ask both sides one query, and again where that tells why they differ."""
    written = ends.source.ask.dialect
    tree, how = questions.told(one.tree)
    known: dict[str, Any] = {
        "kind": str(_Kind.SAME), "says": "", "only_source": [], "only_target": [], "plans": [], "lost": [],
        "tables": sorted({p.id for p in asked.tables(one.tree, scoped.plan).values()}),
    }  # fmt: skip
    try:
        here = questions.text(ends.source, tree, written)
        known["source_sql"] = questions.text(ends.source, one.tree, written)
        known["target_sql"] = questions.text(ends.target, one.tree, written)
        texts = (here, questions.text(ends.target, tree, written))
    except errors.BadInput as problem:
        return known | {"kind": str(_Kind.ERROR), "says": f"it can't be put to both sides: {problem.message}"}
    found, compared = _asked(scoped, ends, texts, tree, how)
    if compared.kind in (_Kind.REAL, _Kind.ORDER, _Kind.PRECISION):
        compared = _explained(scoped, ends, tree, texts, found, how, compared)
    known |= {
        "kind": str(compared.kind), "says": compared.says, "rows": found[0].count,
        "only_source": list(compared.only_source), "only_target": list(compared.only_target),
    }  # fmt: skip
    if not (found[0].error or found[1].error):
        try:
            plans = shapes.look(ends, known["source_sql"], known["target_sql"])
        except errors.ServerFailed as error:
            if error.retryable:
                raise
            return known
        known["plans"] = [shapes.words(p) for p in plans]
        known["lost"] = [
            {"table": x.table, "index": x.index, "columns": list(x.columns), "is_missing": x.is_missing, "says": x.says}
            for x in shapes.lost(one.tree, scoped.plan, *plans, there)
        ]
    return known


def _compared(
    scoped: scope.Scope, found: tuple[asking.Answer, asking.Answer], how: answers.Asked
) -> answers.Comparison:
    here, there = found
    if here.error and there.error:
        return answers.Comparison(_Kind.ERROR, f"neither side answers: {here.error}; and the target: {there.error}")
    if here.error or there.error:
        side, said = ("source", here.error) if here.error else ("target", there.error)
        return answers.Comparison(_Kind.ERROR, f"the {side} refuses it: {said}")
    agreed = scoped.asked.tolerances
    result = answers.compare(here.rows, there.rows, how, fields.seconds(agreed.timestamp), agreed.float_relative)
    if here.count != there.count:
        says = f"{here.count:,} rows on the source, {there.count:,} on the target"
        return answers.Comparison(_Kind.REAL, says, result.only_source, result.only_target)
    if here.count > len(here.rows) and how.keys is None:
        # Which rows came first is each server's choice.
        return answers.Comparison(_Kind.SAME, f"of {here.count:,} rows without an order, only the number was compared")
    return result


def _asked(
    scoped: scope.Scope,
    ends: questions.Ends,
    texts: tuple[str, str],
    tree: Any,
    how: answers.Asked,
    binary: bool = False,
) -> tuple[tuple[asking.Answer, asking.Answer], answers.Comparison]:
    """Ask both sides and compare.

    What a LIMIT cuts out is compared without it where it differs: which of several equal rows come before the cut is
    each server's choice.
    """
    found, exactly = ends.answers(*texts), dataclasses.replace(how, limited=False)
    compared = _compared(scoped, found, exactly)
    if not how.limited or compared.kind in (_Kind.SAME, _Kind.ERROR):
        return found, compared
    cut = _compared(scoped, found, how)
    if cut.kind is not _Kind.SAME:
        return found, cut
    tree = tree.copy()
    for key in ("limit", "offset", "fetch"):
        tree.set(key, None)
    written = ends.source.ask.dialect
    here, there = (questions.text(end, tree, written, binary=binary) for end in (ends.source, ends.target))
    whole = ends.answers(here, there)
    if whole[0].error or whole[1].error or whole[0].count > questions.MAX_ROWS:
        return found, cut
    return found, _compared(scoped, whole, exactly)


def _explained(
    scoped: scope.Scope,
    ends: questions.Ends,
    tree: Any,
    texts: tuple[str, str],
    found: tuple[asking.Answer, asking.Answer],
    how: answers.Asked,
    compared: answers.Comparison,
) -> answers.Comparison:
    """Ask again: the source alone, which may be in use or choose its rows by chance, and both by the texts' bytes."""
    again = ends.source.answer(texts[0])
    if _compared(scoped, (found[0], again), how).kind is not _Kind.SAME:
        once_more = _compared(scoped, ends.answers(*texts), how)
        if once_more.kind is _Kind.SAME:
            return once_more
        return answers.Comparison(_Kind.SAME, "not compared: the source itself answers otherwise each time")
    written = ends.source.ask.dialect
    try:
        here, there = (questions.text(end, tree, written, binary=True) for end in (ends.source, ends.target))
    except errors.BadInput:
        return compared
    if (here, there) == texts:
        return compared
    _, by_bytes = _asked(scoped, ends, (here, there), tree, how, binary=True)
    if by_bytes.kind in (_Kind.SAME, _Kind.NOISE):
        says = f"{compared.says}; compared by the texts' bytes, both sides answer the same"
        return answers.Comparison(_Kind.COLLATION, says, compared.only_source, compared.only_target)
    return compared


def _entry(one: workload.Replayable, known: Mapping[str, Any], failed: bool) -> dict[str, Any]:
    """Return what `validations divergence` has of a query."""
    kind = _Kind(known["kind"])
    told = [] if kind is _Kind.SAME else [f"{_CALLED[kind]}: {known['says']}"]
    told += [x["says"] for x in known["lost"] if x["is_missing"]]
    return {
        "query": one.query.name,
        "at": one.query.at,
        "class": str(kind),
        "differs": bool(told),
        "failed": failed,
        "says": f"{one.query.name}: {'; '.join(told) or 'the same answer'}",
        **{k: known[k] for k in ("source_sql", "target_sql", "only_source", "only_target", "plans", "lost")
           if k in known},
    }  # fmt: skip


def _failures(
    scoped: scope.Scope, one: workload.Replayable, known: Mapping[str, Any], lacking: list[missing.Missing]
) -> list[model.Failure]:
    found = []
    table = known["tables"][0] if len(known["tables"]) == 1 else None
    facts = {k: v for k, v in known.items() if k not in ("tables", "lost")} | {"query": one.query.name}
    kind = _Kind(known["kind"])
    if kind is not _Kind.SAME:
        severity = _WEIGHT[kind][scoped.asked.fidelity == "semantic"]
        if kind is _Kind.ERROR and known["says"].startswith("neither"):
            severity = _WARNING
        if severity is not None:
            cause = _cause(scoped, one, known, kind, lacking)
            rows = "".join(
                f"; only the {side} has {' | '.join(known[f'only_{side}'][:2])}"
                for side in ("source", "target")
                if known[f"only_{side}"]
            )
            says = f"{one.query.title}: {_CALLED[kind]}: {known['says']}{rows}"
            found.append(_failure(scoped, severity, cause, table, says, {**facts, "class": str(kind)}))
    for lost in known["lost"]:
        if lost["is_missing"]:
            cause = model.Cause.DIFFERENT_EXECUTION_PLAN
            says = f"{one.query.title}: {lost['says']}"
            found.append(_failure(scoped, _WARNING, cause, lost["table"], says, {**facts, **lost, "class": "plan"}))
    return found


def _failure(
    scoped: scope.Scope,
    severity: model.Severity,
    cause: model.Cause,
    table: str | None,
    says: str,
    facts: dict[str, Any],
) -> model.Failure:
    action = advice.action(cause, scoped.migration, table)
    return model.Failure(_PERSPECTIVE, table, severity, cause, action, says, facts)


def _cause(
    scoped: scope.Scope,
    one: workload.Replayable,
    known: Mapping[str, Any],
    kind: _Kind,
    lacking: list[missing.Missing],
) -> model.Cause:
    from sqlglot import exp

    if kind is _Kind.ERROR:
        names = {n.name.lower() for n in one.tree.find_all(exp.Table, exp.Anonymous)}
        hit = names & {m.bare for m in lacking}
        return model.Cause.MISSING_STORED_PROCEDURE if hit else model.Cause.DIFFERENT_ANSWER
    if kind in (_Kind.COLLATION, _Kind.NOISE):
        return model.Cause.DIFFERENT_ANSWER
    return semantic.ours(scoped, list(known["tables"]))
