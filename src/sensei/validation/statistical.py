"""Do columns have the same null rate, range, mean and lengths on both sides, within what was agreed to."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sensei import errors
from sensei.catalog import types
from sensei.config import fields
from sensei.engines import base, comparing
from sensei.validation import advice, model, scope

_PERSPECTIVE = model.Perspective.STATISTICAL
#: Tables of more rows than this are measured in bands of their key, spread from its start to its end.
WHOLE = 200_000
_BANDS = 10
_BAND_ROWS = 10_000
#: Sums of doubles differ in their last digits by the order of adding.
_NOISE = 1e-9
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d")


@dataclass(frozen=True)
class Band:
    """A range of a table's key: lower < key <= upper; both None: all of it."""

    lower: int | None = None
    upper: int | None = None


def check(scoped: scope.Scope) -> model.Outcome:
    """Measure each column on both servers by one statement a table (or a band of it) and side."""
    failures: list[model.Failure] = []
    measured = rows = columns = 0
    unmeasured: list[str] = []
    facts: dict[str, Any] = {}
    with scoped.both() as ends:
        pairs = [p for p in scoped.comparable() if not p.shared]
        for n, pair in enumerate(pairs, 1):
            scoped.pause()
            unit = f"{_PERSPECTIVE}:{pair.id}"
            known = scoped.memory.get(unit)
            if known is None:
                known = _table(scoped, ends, pair)
                scoped.memory.put(unit, known)
            rows += known["rows_total"]
            measured += known["rows"]
            columns += known["columns"]
            facts[pair.id] = known["facts"]
            unmeasured += known["unmeasured"]
            failures += [_failure(scoped, pair, says) for says in known["differences"]]
            scoped.progress(_PERSPECTIVE, pair.id, n, len(pairs))
    share = measured / rows if rows else 1.0
    summary = f"{columns} columns of {len(pairs)} tables over {measured:,} rows ({share:.0%} of all)"
    summary += scoped.left_out()
    shared = [p.id for p in scoped.comparable() if p.shared]
    if shared:
        summary += f"; not measured, as they hold other rows too: {', '.join(shared[:5])}"
    if unmeasured:
        summary += f"; not measured: {'; '.join(unmeasured[:5])}"
    return scope.outcome(
        _PERSPECTIVE, summary, failures,
        {"share": round(share, 6), "rows": measured, "columns": columns, "tables": facts, "unmeasured": unmeasured},
    )  # fmt: skip


def _failure(scoped: scope.Scope, pair: model.Pair, says: str) -> model.Failure:
    # What differs in sum differs in rows: the data perspective finds those, and their cause.
    cause = model.Cause.UNKNOWN
    return model.Failure(
        _PERSPECTIVE, pair.id, model.Severity.CRITICAL, cause, advice.action(cause, scoped.migration, pair.id), says
    )


def _table(scoped: scope.Scope, ends: scope.Both, pair: model.Pair) -> dict[str, Any]:
    asked = [c for c in pair.columns if not c.lossy and not scoped.ignored(pair, c.source)]
    result: dict[str, Any] = {
        "rows": 0, "rows_total": pair.rows, "columns": 0, "differences": [], "facts": {}, "unmeasured": [],
    }  # fmt: skip
    bands = _bands(ends, pair)
    differences: dict[str, None] = {}
    for band in bands:
        scoped.pause()
        try:
            (here, of_source), (there, of_target) = ends.ask(
                lambda engine, session, b=band: _measure(engine, session, pair, asked, b, False, len(bands) == 1),  # type: ignore[misc]
                lambda engine, session, b=band: _measure(engine, session, pair, asked, b, True, len(bands) == 1),  # type: ignore[misc]
            )
        except (errors.ServerFailed, errors.Paused, errors.TakenOver):
            raise
        except errors.SenseiError as error:
            result["unmeasured"].append(f"{pair.id}: {error.message}")
            return result
        result["rows"] += here
        spare = len(pair.quarantined)
        where = "" if band == Band() else f" (keys {band.lower} to {band.upper})"
        if abs(here - there) > spare + scoped.asked.tolerances.row_count * here:
            differences[f"{pair.id}{where}: {here:,} rows on the source, {there:,} on the target"] = None
        for column in asked:
            one, other = of_source[column.source], of_target[column.target]
            for told in compare(column, one, other, here, there, spare, scoped.asked.tolerances):
                differences[f"{pair.id}.{column.source}{where}: {told}"] = None
            if len(bands) == 1:
                result["facts"][column.source] = {
                    "source": _plain(one), "target": _plain(other)
                }  # fmt: skip
    if bands == [Band()]:
        result["rows_total"] = result["rows"]
    result["columns"] = len(asked)
    result["differences"] = list(differences)[:20]
    return result


def _plain(found: comparing.ColumnSurvey) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(found).items() if v is not None}


def _bands(ends: scope.Both, pair: model.Pair) -> list[Band]:
    key = pair.key
    if pair.rows <= WHOLE or key is None or not key.ordered or len(key.columns) != 1:
        return [Band()]
    spec = _spec(pair, [c for c in pair.columns if c.source == key.columns[0]], Band(), False)
    _, found = scope.survey(ends.source.engine).columns(ends.source_session, spec, False)
    ends_of = found.get(key.columns[0])
    if ends_of is None or ends_of.lowest is None or ends_of.highest is None:
        return [Band()]
    low, high = int(ends_of.lowest), int(ends_of.highest)
    step = max(1, (high - low) // _BANDS)
    width = max(1, (high - low) * _BAND_ROWS // max(pair.rows, 1))
    bands = [Band(low + n * step - 1, min(low + n * step - 1 + width, high)) for n in range(_BANDS - 1)]
    return [*bands, Band(max(low - 1, high - width), high)]


def _spec(pair: model.Pair, columns: list[model.Column], band: Band, is_target: bool) -> base.ReadSpec:
    key = base.ChunkKey("whole")
    lower = upper = None
    if band != Band() and pair.key is not None:
        names, natives = (
            (pair.key.targets, pair.key.target_natives) if is_target else (pair.key.columns, pair.key.source_natives)
        )
        key = base.ChunkKey("columns", names, natives)
        lower = None if band.lower is None else (band.lower,)
        upper = None if band.upper is None else (band.upper,)
    read = tuple(
        base.ReadColumn(c.target if is_target else c.source, c.type, c.guard and not is_target) for c in columns
    )
    return base.ReadSpec(pair.target if is_target else pair.source, read, key, lower, upper)


def _measure(
    engine: base.Engine,
    session: base.Session,
    pair: model.Pair,
    columns: list[model.Column],
    band: Band,
    is_target: bool,
    is_whole: bool,
) -> tuple[int, dict[str, comparing.ColumnSurvey]]:
    distinct = not is_whole or pair.rows <= WHOLE
    return scope.survey(engine).columns(session, _spec(pair, columns, band, is_target), distinct)


def compare(
    column: model.Column,
    source: comparing.ColumnSurvey,
    target: comparing.ColumnSurvey,
    rows_source: int,
    rows_target: int,
    spare: int,
    agreed: Any,
) -> Iterator[str]:
    """Tell in words where one column's figures differ by more than was agreed to.

    `spare` is the number of rows that the target rightly lacks: figures may differ by as many rows, and where they
    would have to be known to say more, nothing is said.
    """
    if abs(source.nulls - target.nulls) > spare + agreed.null_rate * rows_source:
        yield f"{_rate(source.nulls, rows_source)} NULL on the source, {_rate(target.nulls, rows_target)} on the target"
    if spare or rows_source != rows_target:
        return
    is_time = column.type.kind in (types.Kind.DATE, types.Kind.TIME, types.Kind.TIMESTAMP, types.Kind.TIMESTAMPTZ)
    for word, one, other in (("least", source.lowest, target.lowest), ("greatest", source.highest, target.highest)):
        if one is None and other is None:
            continue
        same = _same_moment(one, other, agreed.timestamp) if is_time else _same_number(one, other, agreed)
        if not same:
            yield f"the {word} value is {one} on the source and {other} on the target"
    # Where numbers above and below zero nearly cancel out, the noise is that of the numbers, not of their mean.
    size = max((abs(v) for v in map(_finite, (source.lowest, source.highest)) if v is not None), default=0.0)
    if not _close(source.mean, target.mean, max(agreed.float_relative, _NOISE), size):
        yield f"the mean is {source.mean} on the source and {target.mean} on the target"
    for word, a, b in (("shortest", source.shortest, target.shortest), ("longest", source.longest, target.longest)):
        if a != b:
            yield f"the {word} value has length {a} on the source and {b} on the target"
    if not _close(source.length, target.length, _NOISE):
        yield f"the mean length is {source.length} on the source and {target.length} on the target"
    one_side, other_side = source.distinct, target.distinct
    if one_side is not None and other_side is not None and abs(one_side - other_side) > agreed.distinct * one_side:
        yield f"{one_side:,} distinct values on the source, {other_side:,} on the target"


def _rate(nulls: int, rows: int) -> str:
    return f"{nulls:,} of {rows:,}" if rows else "none"


def _finite(text: str | None) -> float | None:
    try:
        found = float(_number(text or ""))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _close(one: float | None, other: float | None, relative: float, size: float = 0.0) -> bool:
    if one is None or other is None:
        return one is other
    if not (math.isfinite(one) and math.isfinite(other)):
        return True  # what is beyond numbers is for the data perspective to compare
    return math.isclose(one, other, rel_tol=relative, abs_tol=relative * size)


def _same_number(one: str | None, other: str | None, agreed: Any) -> bool:
    if one is None or other is None:
        return one is other
    if one == other:
        return True
    try:
        return _close(float(_number(one)), float(_number(other)), max(agreed.float_relative, _NOISE))
    except ValueError:
        return False


def _number(text: str) -> str:
    return {"t": "1", "f": "0", "true": "1", "false": "0", "True": "1", "False": "0"}.get(text, text)


def _same_moment(one: str | None, other: str | None, agreed: str) -> bool:
    if one is None or other is None:
        return one is other
    a, b = _moment(one), _moment(other)
    if a is None or b is None:
        return True  # before Christ, beyond year 9999 and infinite: text has no order there, rows are compared as data
    if isinstance(a, datetime.datetime) and isinstance(b, datetime.datetime):
        return abs((a - b).total_seconds()) <= fields.seconds(agreed)
    return a == b


def _moment(text: str) -> datetime.datetime | str | None:
    if not _MOMENT.match(text) or "BC" in text:
        return None
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return text.rstrip("0").rstrip(".") if "." in text else text
