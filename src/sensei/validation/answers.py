"""Compares what two servers answered to one question, and says in what they differ."""

from __future__ import annotations

import collections
import datetime
import decimal
import itertools
import json
import math
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Row = tuple[Any, ...]

#: Relative noise of sums and quotients of doubles, which depends on the order of adding.
NOISE = 1e-9
#: A decimal with so many digits after the point or more was cut off by the server, not by somebody who counts money.
CUT = 4
_SAMPLES = 5
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?|\d\d:\d\d:\d\d(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_CONTEXT = decimal.Context(prec=80)


class Kind(StrEnum):
    """In what two answers differ."""

    SAME = "same"
    ORDER = "order"  #: the same rows in another order, though the query orders them
    NOISE = "noise"  #: numbers that differ by less than sums of them are exact
    PRECISION = "precision"  #: numbers or times that are rounded on one side
    COLLATION = "collation"  #: gone when texts are compared by their bytes on both sides
    ERROR = "error"  #: one side answered, the other refused
    REAL = "real"


@dataclass(frozen=True)
class Comparison:
    """How far two answers are apart."""

    kind: Kind
    says: str = ""
    only_source: tuple[str, ...] = ()  #: some rows that only the source gave
    only_target: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What the question says of its answer."""

    keys: tuple[int, ...] | None = None  #: positions of what it orders by; None: it does not order
    hidden: int = 0  #: columns at the end that were added to see the order
    #: It takes only so many rows, and which of several equal ones is the server's choice.
    limited: bool = False


def compare(
    source: Sequence[Row], target: Sequence[Row], asked: Asked, seconds: float = 0.0, relative: float = 0.0
) -> Comparison:
    """Compare two answers' rows; `seconds` and `relative`: by how much moments and numbers may differ."""
    wide = {len(r) for r in (*source, *target)}
    if len(wide) > 1:
        return Comparison(Kind.REAL, f"the answers have {min(wide)} and {max(wide)} columns")
    width = wide.pop() if wide else 0
    readers = [_reader([r[n] for r in source], [r[n] for r in target]) for n in range(width)]
    here = [tuple(read(v) for read, v in zip(readers, row, strict=True)) for row in source]
    there = [tuple(read(v) for read, v in zip(readers, row, strict=True)) for row in target]
    if here == there:
        return Comparison(Kind.SAME)
    keys = tuple(k if k >= 0 else width + k for k in asked.keys or ())
    ours, theirs = _groups(here, keys, width - asked.hidden), _groups(there, keys, width - asked.hidden)
    # What was added to see the order is no part of the answer.
    here, there = ([r for _, run in runs for r in run] for runs in (ours, theirs))
    if collections.Counter(here) == collections.Counter(there):
        return Comparison(Kind.SAME) if asked.keys is None else _order(ours, theirs)
    if asked.limited and len(here) == len(there):
        # Of those that stand last and equal, any may have been cut off.
        if asked.keys is None:
            return Comparison(Kind.SAME, "LIMIT without ORDER BY: which rows is the server's choice, they were counted")
        if ours[-1][0] == theirs[-1][0] and _order(ours[:-1], theirs[:-1]).kind is Kind.SAME:
            return Comparison(Kind.SAME, "LIMIT cuts rows apart that the order takes for equal: of these, any may come")
    rest, other = _rest(here, there), _rest(there, here)
    if len(here) == len(there):
        near = [_near(a, b, seconds, relative) for a, b in zip(_sorted(rest), _sorted(other), strict=True)]
        if None not in near:
            kind = Kind.PRECISION if Kind.PRECISION in near else Kind.NOISE if Kind.NOISE in near else Kind.SAME
            return _comparison(kind, f"{len(rest)} of {len(here)} rows differ in the last digits", rest, other)
        says = f"{len(rest)} of {len(here)} rows differ"
    else:
        says = f"{len(here):,} rows on the source, {len(there):,} on the target"
    return _comparison(Kind.REAL, says, rest, other)


#: Rows that stand together, under what the query orders them by.
_Run = tuple[Row, list[Row]]


def _groups(rows: list[Row], keys: tuple[int, ...], shown: int) -> list[_Run]:
    """Split rows into runs of those that the query's order takes for equal, without what was added to see it."""
    runs = itertools.groupby(rows, key=lambda r: tuple(r[k] for k in keys))
    return [(key, [r[:shown] for r in run]) for key, run in runs]


def _comparison(kind: Kind, says: str, rest: list[Row], other: list[Row]) -> Comparison:
    if kind is Kind.SAME:
        return Comparison(kind)
    samples = [tuple(_list(row) for row in _sorted(rows)[:_SAMPLES]) for rows in (rest, other)]
    return Comparison(kind, says, samples[0], samples[1])


def _order(ours: list[_Run], theirs: list[_Run]) -> Comparison:
    """Compare the order of equal rows: those that the query takes for equal may stand in any."""
    at = 1
    nothing: _Run = ((), [])
    for (_, mine), (_, other) in itertools.zip_longest(ours, theirs, fillvalue=nothing):
        if collections.Counter(mine) != collections.Counter(other):
            one, two = (_list(rows[0]) if rows else "nothing" for rows in (mine, other))
            says = f"the same rows in another order: row {at} is {one} on the source, {two} on the target"
            return Comparison(Kind.ORDER, says)
        at += len(mine)
    return Comparison(Kind.SAME)


def _rest(rows: list[Row], others: list[Row]) -> list[Row]:
    spare = collections.Counter(others)
    found = []
    for row in rows:
        if spare[row]:
            spare[row] -= 1
        else:
            found.append(row)
    return found


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [_rank(v) for v in row])


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    if isinstance(value, Number):
        return (1, value.value)
    return (2, str(value))


def _near(one: Row, other: Row, seconds: float, relative: float) -> Kind | None:
    """Return how two rows are near each other, None where they are not."""
    worst = Kind.SAME
    for a, b in zip(one, other, strict=True):
        if a == b:
            continue
        if isinstance(a, Number) and isinstance(b, Number):
            kind = _near_numbers(a, b, relative)
        elif isinstance(a, str) and isinstance(b, str):
            kind = _near_moments(a, b, seconds)
        else:
            kind = None
        if kind is None:
            return None
        worst = kind if worst is Kind.SAME or kind is Kind.PRECISION else worst
    return worst


def _near_numbers(a: Number, b: Number, relative: float) -> Kind | None:
    apart = abs(a.value - b.value)
    if relative and apart <= decimal.Decimal(relative) * max(abs(a.value), abs(b.value)):
        return Kind.SAME
    if apart <= decimal.Decimal(NOISE) * max(abs(a.value), abs(b.value)):
        return Kind.NOISE
    exact = [n.scale for n in (a, b) if n.scale is not None and n.scale > 0]
    if exact and apart <= decimal.Decimal(1).scaleb(-min(exact)):
        return Kind.NOISE if min(exact) >= CUT else Kind.PRECISION
    if _is_rounded(a.value, b.value):
        return Kind.PRECISION
    # Doubles of four bytes carry some seven digits.
    if a.scale is None and b.scale is None and apart <= decimal.Decimal("1e-6") * max(abs(a.value), abs(b.value)):
        return Kind.PRECISION
    return None


def _is_rounded(a: decimal.Decimal, b: decimal.Decimal) -> bool:
    """Tell whether the number with fewer digits after the point, but some, is the other one, rounded or cut off."""
    digits = [max(0, -int(n.normalize(_CONTEXT).as_tuple().exponent)) for n in (a, b)]
    short, long = (a, b) if digits[0] < digits[1] else (b, a)
    unit = decimal.Decimal(1).scaleb(-min(digits))
    return min(digits) > 0 and any(
        long.quantize(unit, way, _CONTEXT) == short for way in (decimal.ROUND_HALF_UP, decimal.ROUND_DOWN)
    )


def _near_moments(a: str, b: str, seconds: float) -> Kind | None:
    if not (_MOMENT.fullmatch(a) and _MOMENT.fullmatch(b)):
        return None
    try:
        apart = abs((datetime.datetime.fromisoformat(a) - datetime.datetime.fromisoformat(b)).total_seconds())
    except ValueError:
        return None
    if apart <= seconds:
        return Kind.SAME
    return Kind.PRECISION if apart < 1 else None


@dataclass(frozen=True)
class Number:
    """A number by its value; `scale`: digits after the point of an exact one, None of a double."""

    value: decimal.Decimal
    scale: int | None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __str__(self) -> str:
        return f"{self.value:f}" if abs(self.value.adjusted()) < 25 else str(self.value)


_Reader = Callable[[Any], Any]


def _reader(source: Sequence[Any], target: Sequence[Any]) -> _Reader:
    """Choose how a column's values are read so that both servers' ways of giving them are one."""
    kinds = [{_kind(v) for v in side if v is not None} for side in (source, target)]
    both = kinds[0] | kinds[1]
    texts = [v for side in (source, target) for v in side if isinstance(v, str)]
    if both <= {"number"}:
        return _number
    if both == {"number", "text"} and all(_NUMBER.fullmatch(t) for t in texts):
        return _number
    if both <= {"moment", "text"} and all(_MOMENT.fullmatch(t) for t in texts):
        return _moment
    if both <= {"json", "text"} and both and all(t[:1] in "[{" for t in texts) and all(map(_is_json, texts)):
        return _json
    if both <= {"bytes"}:
        return lambda v: None if v is None else "\\x" + bytes(v).hex()
    return _plain


def _kind(value: Any) -> str:
    if isinstance(value, bool | int | float | decimal.Decimal):
        return "number"
    if isinstance(value, datetime.date | datetime.time):
        return "moment"
    if isinstance(value, dict | list):
        return "json"
    return "bytes" if isinstance(value, bytes | bytearray | memoryview) else "text"


def _number(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return Number(decimal.Decimal(repr(value)), None)
    found = decimal.Decimal(int(value)) if isinstance(value, int) else decimal.Decimal(value)
    if not found.is_finite():
        return str(found)
    exponent = found.as_tuple().exponent
    return Number(found, max(0, -int(exponent)))


def _moment(value: Any) -> Any:
    if value is None:
        return None
    text = value
    if isinstance(value, datetime.datetime):
        text = (value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat(" ")
    elif not isinstance(value, str):
        text = value.isoformat()
    text = text.replace("T", " ").removesuffix("Z")
    if (zone := re.search(r"(?<=\d\d:\d\d)[+-]\d\d(:?\d\d)?$", text)) is not None:
        try:
            at = datetime.datetime.fromisoformat(text)
            text = at.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ")
        except ValueError:
            text = text[: zone.start()] + zone[0]
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.removesuffix(" 00:00:00")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _json(value: Any) -> Any:
    if value is None:
        return None
    found = json.loads(value, parse_float=decimal.Decimal) if isinstance(value, str) else value
    return json.dumps(_by_value(found), sort_keys=True, ensure_ascii=False, default=str)


def _by_value(found: Any) -> Any:
    """Return a JSON document whose numbers are spelled in one way."""
    if isinstance(found, dict):
        return {k: _by_value(v) for k, v in found.items()}
    if isinstance(found, list):
        return [_by_value(v) for v in found]
    if isinstance(found, int | float | decimal.Decimal) and not isinstance(found, bool):
        number = _number(found)
        return f"{number.value.normalize(_CONTEXT):f}" if isinstance(number, Number) else number
    return found if found is None or isinstance(found, bool) else repr(found)


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, uuid.UUID):
        return str(value)
    if _kind(value) == "number":
        return str(_number(value))
    return _moment(value) if _kind(value) == "moment" else str(value)


def _text(value: Any) -> str:
    text = "NULL" if value is None else str(value) if isinstance(value, Number) else repr(str(value))
    return text if len(text) <= 60 else text[:60] + "…"


def _list(values: Row) -> str:
    return ", ".join(_text(v) for v in values)
