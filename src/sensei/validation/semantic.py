"""Does the data keep the business's rules: each is asked on both sides, which tells whose fault a broken one is."""

from __future__ import annotations

import dataclasses
from typing import Any

from sensei import errors, queries
from sensei.config import fields
from sensei.config import validation as configuration
from sensei.validation import advice, answers, model, questions, scope

_PERSPECTIVE = model.Perspective.SEMANTIC
_SAMPLES = 5


def check(scoped: scope.Scope) -> model.Outcome:
    """Ask each rule on both sides."""
    rules = scoped.asked.rules
    if not rules:
        return scope.not_asked(_PERSPECTIVE, "not asked for: validation.rules names none")
    failures: list[model.Failure] = []
    kept = 0
    with questions.both(scoped) as ends:
        for n, rule in enumerate(rules, 1):
            scoped.pause()
            unit = f"{_PERSPECTIVE}:{rule.name}"
            known = scoped.memory.get(unit)
            if known is None:
                known = _ask(scoped, ends, rule, n - 1)
                scoped.memory.put(unit, known)
            scoped.progress(_PERSPECTIVE, rule.name, n, len(rules))
            found = _failure(scoped, rule, known)
            failures += [found] if found else []
            kept += found is None
    return scope.outcome(
        _PERSPECTIVE,
        f"{len(rules)} rules asked on both sides: {kept} hold, {len(failures)} broken",
        failures,
        {"rules": len(rules), "kept": kept, "share": 1.0},
    )


def _ask(scoped: scope.Scope, ends: questions.Ends, rule: configuration.Rule, n: int) -> dict[str, Any]:
    try:
        if rule.condition is not None:
            return _condition(scoped, ends, rule)
        return _query(scoped, ends, rule)
    except errors.BadInput as problem:
        # What a dialect can't say is a failure of this rule alone.
        at = scoped.where(f"validation.rules[{n}]")
        return {"kind": "condition" if rule.condition else "query", "tables": [], "refused": f"{at}{problem.message}"}


def _condition(scoped: scope.Scope, ends: questions.Ends, rule: configuration.Rule) -> dict[str, Any]:
    """Count what breaks a condition on both sides, and name some of it."""
    from sqlglot import exp

    tree = queries.condition(str(rule.condition))
    broken = exp.Not(this=exp.Paren(this=tree))
    if rule.table is None:
        one = exp.Case().when(broken, exp.Literal.number(1)).else_(exp.Literal.number(0))
        count, sample, planned = exp.Select(expressions=[one]), None, None
    else:
        planned = scoped.plan.resolve(rule.table)
        if planned is None:
            raise errors.UnknownName(
                f"no table of the plan is called {rule.table}",
                hint=f"one of: {', '.join(t.id for t in scoped.plan.tables[:20])}",
            )
        name = planned.source.name
        db = exp.Identifier(this=name.schema, quoted=True) if name.schema else None
        table = exp.Table(this=exp.Identifier(this=name.name, quoted=True), db=db)
        count = exp.select("COUNT(*)").from_(table).where(broken)
        key = planned.source.primary.columns if planned.source.primary else ()
        named = [exp.column(exp.Identifier(this=c, quoted=True)) for c in key]
        sample = exp.select(*named).from_(table.copy()).where(broken).limit(_SAMPLES) if named else None
    texts = [questions.text(end, count, queries.PORTABLE) for end in (ends.source, ends.target)]
    found = ends.answers(texts[0], texts[1])
    known: dict[str, Any] = {"kind": "condition", "source_sql": texts[0], "target_sql": texts[1]}
    known["tables"] = sorted({p.id for p in _tables(scoped, tree)} | ({planned.id} if planned else set()))
    if _refused(known, found[0].error, found[1].error):
        return known
    known["source"], known["target"] = (int(f.rows[0][0] or 0) for f in found)
    known["samples"] = []
    if sample is not None and known["target"]:
        rows = ends.target.answer(questions.text(ends.target, sample, queries.PORTABLE), _SAMPLES).rows
        known["samples"] = sorted(", ".join(map(str, r)) for r in rows)
    return known


def _query(scoped: scope.Scope, ends: questions.Ends, rule: configuration.Rule) -> dict[str, Any]:
    """Compare the answers of a rule that is a query."""
    written = ends.source.ask.dialect
    tree = queries.query(str(rule.source), written)
    whole, asked = questions.told(tree)
    asked = dataclasses.replace(asked, limited=False)  # a rule is to have one answer
    if rule.target is None:
        texts = [questions.text(end, whole, written) for end in (ends.source, ends.target)]
    else:
        asked = answers.Asked()
        own = queries.query(rule.target, ends.target.ask.dialect)
        texts = [
            questions.text(ends.source, tree, written),
            str(own.sql(dialect=ends.target.ask.dialect, comments=False)),
        ]
    found = ends.answers(texts[0], texts[1])
    known: dict[str, Any] = {"kind": "query", "source_sql": texts[0], "target_sql": texts[1]}
    known["tables"] = sorted({p.id for p in _tables(scoped, tree)})
    if _refused(known, found[0].error, found[1].error):
        return known
    seconds = fields.seconds(scoped.asked.tolerances.timestamp)
    compared = answers.compare(found[0].rows, found[1].rows, asked, seconds)
    if found[0].count != found[1].count:
        compared = answers.Comparison(
            answers.Kind.REAL,
            f"{found[0].count:,} rows on the source, {found[1].count:,} on the target",
            compared.only_source,
            compared.only_target,
        )
    known["differs"] = "" if compared.kind in (answers.Kind.SAME, answers.Kind.NOISE) else str(compared.kind)
    known["says"] = compared.says
    known["only_source"], known["only_target"] = list(compared.only_source), list(compared.only_target)
    return known


def _tables(scoped: scope.Scope, tree: Any) -> list[scope.Planned]:
    from sensei.validation import asked

    return list(asked.tables(tree, scoped.plan).values())


def _refused(known: dict[str, Any], source: str, target: str) -> bool:
    """Note that a side did not answer; one that refuses is told, not passed over."""
    if source:
        known["source_error"] = source
    if target:
        known["target_error"] = target
    return bool(source or target)


def _failure(scoped: scope.Scope, rule: configuration.Rule, known: dict[str, Any]) -> model.Failure | None:
    said = _said(scoped, rule, known)
    if said is None:
        return None
    cause, says = said
    planned = scoped.plan.resolve(rule.table) if rule.table else None
    table = planned.id if planned else next(iter(known["tables"]), None) if len(known["tables"]) == 1 else None
    facts = {k: v for k, v in known.items() if k not in ("kind", "tables")}
    return model.Failure(
        _PERSPECTIVE,
        table,
        model.Severity(rule.severity),
        cause,
        advice.action(cause, scoped.migration, table),
        f"rule {rule.name}: {says}",
        {"rule": rule.name, **facts},
    )


def _said(scoped: scope.Scope, rule: configuration.Rule, known: dict[str, Any]) -> tuple[model.Cause, str] | None:
    """Return the cause and what to tell; None where the rule holds."""
    if "refused" in known:
        return model.Cause.DIFFERENT_ANSWER, f"it can't be put to both sides: {known['refused']}"
    here, there = known.get("source_error"), known.get("target_error")
    if here and there:
        return model.Cause.DIFFERENT_ANSWER, f"it can't be asked on either side: {here}; and on the target: {there}"
    if here or there:
        return model.Cause.DIFFERENT_ANSWER, f"the {'source' if here else 'target'} refuses it: {here or there}"
    if known["kind"] == "query":
        if not known["differs"]:
            return None
        rows = "; ".join(
            f"only the {side} has {' | '.join(known[f'only_{side}'][:2])}"
            for side in ("source", "target")
            if known[f"only_{side}"]
        )
        return ours(scoped, known["tables"]), f"{known['says']}{f' ({rows})' if rows else ''}"
    source, target = known["source"], known["target"]
    if rule.table is None:
        if not target:
            return None
        if source:
            return model.Cause.SOURCE_DATA_ISSUE, f"{rule.condition} is not true on either side"
        return ours(scoped, known["tables"]), f"{rule.condition} is true on the source and not on the target"
    if not target:
        return None  # the target keeps it, whatever the source does
    such = f", such as {'; '.join(known['samples'])}" if known["samples"] else ""
    says = f"{target:,} rows break {rule.condition}{such}; "
    if target <= source:
        return model.Cause.SOURCE_DATA_ISSUE, f"{says}the source has {source:,} such rows"
    return ours(scoped, known["tables"]), f"{says}the source has {f'only {source:,}' if source else 'no'} such rows"


def ours(scoped: scope.Scope, tables: list[str]) -> model.Cause:
    """Return whose fault another answer is: that of the rows, or of two servers that take the same rows otherwise."""
    known = {d.table: d for d in scoped.divergences}
    if tables and all(t in known and known[t].same and not known[t].quarantined for t in tables):
        return model.Cause.DIFFERENT_ANSWER
    moved = [known[t] for t in tables if t in known and known[t].cause is model.Cause.SOURCE_MOVED_ON]
    return model.Cause.SOURCE_MOVED_ON if moved else model.Cause.TRANSFORMATION_BUG
