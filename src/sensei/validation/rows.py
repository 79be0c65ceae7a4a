"""Does every row of the source stand on the target with every value, and none besides."""

from __future__ import annotations

import dataclasses

from sensei import errors
from sensei.config import fields
from sensei.validation import causes, data, model, scope, values

_PERSPECTIVE = model.Perspective.DATA


def check(scoped: scope.Scope) -> model.Outcome:
    """Compare all rows (quick: count them, and compare a sample); what differs gets its cause."""
    agreed = scoped.asked.tolerances
    pairs = [_without_ignored(scoped, p) for p in scoped.comparable()]

    def stop() -> bool:
        try:
            scoped.pause()
        except errors.Paused:
            return True
        return False

    prefix = f"{_PERSPECTIVE}:"
    known = {u.removeprefix(prefix): scoped.memory.get(u) for u in scoped.memory.units() if u.startswith(prefix)}
    options = data.Options(
        quick=scoped.kind == "quick",
        workers=scoped.workers,
        tolerance=values.Tolerance(agreed.float_relative, fields.seconds(agreed.timestamp)),
    )
    watch = data.Watch(
        stop,
        lambda unit, tally: scoped.memory.put(prefix + unit, tally),
        lambda table, rows, of: scoped.progress(_PERSPECTIVE, table, rows, of),
    )
    found = data.compare(scoped.source, scoped.target, pairs, options, watch, known)
    by_id = {p.id: p for p in pairs}
    decided = [causes.decide(d, by_id[d.table], scoped.source) for d in found]
    scoped.divergences += decided
    rows = {d.table: d.rows_source for d in decided}
    failures = [
        _agreed_to(f, rows.get(f.table or "", 0), agreed.row_count) for f in causes.failures(decided, scoped.migration)
    ]
    total, compared = sum(d.rows_source for d in decided), sum(d.rows_compared for d in decided)
    share = compared / total if total else 1.0
    apart = sum(not d.same for d in decided)
    summary = f"{compared:,} of {total:,} rows of {len(decided)} tables compared ({share:.0%})"
    summary += f": {apart} {'table differs' if apart == 1 else 'tables differ'}" if apart else ": no difference"
    held_back = sum(d.quarantined for d in decided)
    if held_back:
        summary += f"; {held_back:,} rows are in quarantine"
    left = [f"{d.table}.{c}" for d in decided for c in d.not_compared]
    if left:
        summary += f"; not compared, as agreed: {', '.join(left[:5])}{' …' if len(left) > 5 else ''}"
    return scope.outcome(
        _PERSPECTIVE, summary + scoped.left_out(), failures,
        {"rows": total, "rows_compared": compared, "share": round(share, 6), "quarantined": held_back,
         "not_compared": left},
    )  # fmt: skip


def _without_ignored(scoped: scope.Scope, pair: model.Pair) -> model.Pair:
    return dataclasses.replace(
        pair,
        columns=tuple(
            dataclasses.replace(c, lossy=True) if scoped.ignored(pair, c.source) else c for c in pair.columns
        ),
    )


def _agreed_to(failure: model.Failure, rows: int, share: float) -> model.Failure:
    """Rows that are missing within `tolerances.row_count`, and nothing else, are told and fail nothing."""
    apart = failure.facts
    only_missing = apart["missing"] and not (apart["extra"] or apart["different"])
    if only_missing and apart["missing"] <= share * rows:
        return dataclasses.replace(failure, severity=model.Severity.WARNING)
    return failure
