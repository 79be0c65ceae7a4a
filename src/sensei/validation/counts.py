"""Are there as many rows on the target as on the source, less those in quarantine."""

from __future__ import annotations

from sensei.validation import advice, model, scope

_PERSPECTIVE = model.Perspective.DATA


def check(scoped: scope.Scope) -> model.Outcome:
    """Count every table on both sides; what the rows hold is not compared, and the summary says so."""
    failures: list[model.Failure] = []
    total = 0
    with scoped.both() as ends:
        for n, pair in enumerate(scoped.pairs, 1):
            scoped.pause()
            here, there = ends.ask(
                lambda engine, session, p=pair: engine.rows.count(session, p.source),  # type: ignore[misc]
                lambda engine, session, p=pair: engine.rows.count(session, p.target),  # type: ignore[misc]
            )
            total += here
            apart = here - len(pair.quarantined) - there
            divergence = model.Divergence(
                pair.id, here, there, 0, max(apart, 0), max(-apart, 0), 0, len(pair.quarantined)
            )
            scoped.divergences.append(divergence)
            scoped.progress(_PERSPECTIVE, pair.id, n, len(scoped.pairs))
            if apart:
                failures.append(
                    model.Failure(
                        _PERSPECTIVE, pair.id, model.Severity.CRITICAL, model.Cause.UNKNOWN,
                        advice.action(model.Cause.UNKNOWN, scoped.migration, pair.id),
                        f"{pair.id}: {here:,} rows on the source, {len(pair.quarantined):,} in quarantine,"
                        f" {there:,} on the target",
                    )
                )  # fmt: skip
    return scope.outcome(
        _PERSPECTIVE,
        f"{total:,} rows of {len(scoped.pairs)} tables were counted on both sides; what they hold is not compared by"
        " this version yet",
        failures,
        {"rows_counted": total, "rows_compared": 0, "share": 0.0},
    )
