"""Why rows differ, decided by evidence, and what to do about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from sensei.transfer import copier
from sensei.validation import advice, model
from sensei.work import sides

#: Chunks that are read again of one table, at most, until the cause is clear.
_CHUNKS = 50


def decide(found: model.Divergence, pair: model.Pair, source: sides.Side) -> model.Divergence:
    """Return a divergence with its cause.

    What is compared is each source row as the plan's mapping renders it now. Where the target is something else, and
    the source is still what was copied (the checksum of its chunk), the target is wrong; where the source is not what
    was copied, neither is.
    """
    if found.same:
        if found.quarantined:
            reasons = sorted({q.reason for q in pair.quarantined})
            says = f"{found.quarantined} rows are in quarantine: {'; '.join(reasons[:3])}"
            return dataclasses.replace(found, cause=model.Cause.SOURCE_DATA_ISSUE, evidence=says)
        return found
    if not pair.copied:
        says = "the target does not hold what the plan makes of the source's rows; no checksum tells what was copied"
        return dataclasses.replace(found, cause=model.Cause.TRANSFORMATION_BUG, evidence=says)
    moved, still = [], 0
    for chunk in _suspects(found, pair):
        task = copier.CheckTask(source, chunk.read, chunk.form, found.table, chunk.number, chunk.checksum)
        problem = copier.check_chunk(task)
        if problem is None:
            still += 1
        else:
            moved.append(problem)
    copier.drop_sessions()
    if moved and not still:
        return dataclasses.replace(found, cause=model.Cause.SOURCE_MOVED_ON, evidence=moved[0])
    says = (
        "the source's rows are still those that were copied (their checksums are the same), and the target does not"
        " hold what the plan makes of them"
    )
    if moved:
        says += f"; besides, {moved[0]}"
    return dataclasses.replace(found, cause=model.Cause.TRANSFORMATION_BUG, evidence=says)


def _suspects(found: model.Divergence, pair: model.Pair) -> Iterator[model.Copied]:
    """Yield the chunks that the samples' rows were copied in; all chunks where that can't be told."""
    keys = [k for s in found.samples if (k := _number_key(s, pair)) is not None]
    given = 0
    for chunk in pair.copied:
        if keys and _is_along(chunk, pair) and not any(_holds(chunk, key) for key in keys):
            continue
        given += 1
        if given > _CHUNKS:
            return
        yield chunk


def _number_key(sample: model.Sample, pair: model.Pair) -> tuple[int, ...] | None:
    if pair.key is None or not pair.key.ordered:
        return None
    try:
        return tuple(int(sample.key[c] or "") for c in pair.key.columns)
    except (KeyError, ValueError):
        return None


def _is_along(chunk: model.Copied, pair: model.Pair) -> bool:
    key = chunk.read.key
    if key.kind == "rowid" and pair.key is not None:
        return key.columns == pair.key.columns and len(key.columns) == 1
    return key.kind == "columns" and pair.key is not None and key.columns == pair.key.columns


def _holds(chunk: model.Copied, key: tuple[int, ...]) -> bool:
    lower, upper = chunk.read.lower, chunk.read.upper
    return (lower is None or lower < key) and (upper is None or key <= upper)


def failures(found: Sequence[model.Divergence], migration: str) -> list[model.Failure]:
    """Return what a report says of tables that differ, and of rows in quarantine."""
    told = []
    for one in found:
        if one.same and one.quarantined:
            told.append(_failure(one, model.Severity.WARNING, migration))
        elif not one.same:
            told.append(_failure(one, model.Severity.CRITICAL, migration))
    return told


def _failure(one: model.Divergence, severity: model.Severity, migration: str) -> model.Failure:
    cause = one.cause or model.Cause.UNKNOWN
    return model.Failure(
        perspective=model.Perspective.DATA,
        table=one.table,
        severity=severity,
        cause=cause,
        recommended_action=advice.action(cause, migration, one.table, by_row=not one.same),
        detail=detail(one),
        facts={"missing": one.missing, "extra": one.extra, "different": one.different, "quarantined": one.quarantined},
    )


def detail(one: model.Divergence) -> str:
    """Return in one line how far a table is apart."""
    counted = [
        f"{n} {word}" for n, word in ((one.missing, "missing"), (one.extra, "extra"), (one.different, "different")) if n
    ]
    parts = [", ".join(counted)] if counted else []
    if one.quarantined:
        parts.append(f"{one.quarantined} in quarantine")
    parts += [p.says for p in one.patterns[:3]]
    if not one.patterns and one.columns:
        parts.append("in " + ", ".join(list(one.columns)[:5]))
    return f"{one.table}: {'; '.join(parts)}" + (f" ({one.evidence})" if one.evidence else "")
