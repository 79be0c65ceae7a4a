"""Compares what two servers answered to one question, and says in what they differ."""

from __future__ import annotations

import collections
import datetime
import decimal
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
    limited: bool = False  #: it takes only so many rows: which of several equal ones is the server's choice


def compare(source: Sequence[Row], target: Sequence[Row], asked: Asked, agreed_time: float = 0.0) -> Comparison:
    """Compare two answers' rows; `agreed_time`: seconds by which moments may differ."""
    wide = {len(r) for r in (*source, *target)}
    if len(wide) > 1:
        return Comparison(Kind.REAL, f"the answers have {min(wide)} and {max(wide)} columns")
    width = wide.pop() if wide else 0
    readers = [_reader([r[n] for r in source], [r[n] for r in target]) for n in range(width)]
    here = [tuple(read(v) for read, v in zip(readers, row, strict=True)) for row in source]
    there = [tuple(read(v) for read, v in zip(readers, row, strict=True)) for row in target]
    if here == there:
        return Comparison(Kind.SAME)
    shown = width - asked.hidden
    keys = None if asked.keys is None else tuple(k if k >= 0 else width + k for k in asked.keys)
    if collections.Counter(here) == collections.Counter(there):
        return _order(here, there, keys)
    if asked.limited and len(here) == len(there):
        if keys is None:
            return Comparison(Kind.SAME, "LIMIT without ORDER BY: which rows is the server's choice, they were counted")
        if _but_last(here, keys) == _but_last(there, keys):
            return Comparison(Kind.SAME)
    rest, other = _rest(here, there), _rest(there, here)
    if len(here) == len(there):
        near = [_near(a, b, agreed_time) for a, b in zip(_sorted(rest), _sorted(other), strict=True)]
        if None not in near:
            kind = Kind.PRECISION if Kind.PRECISION in near else Kind.NOISE if Kind.NOISE in near else Kind.SAME
            return _comparison(kind, f"{len(rest)} of {len(here)} rows differ in the last digits", rest, other, shown)
        says = f"{len(rest)} of {len(here)} rows differ"
    else:
        says = f"{len(here):,} rows on the source, {len(there):,} on the target"
    return _comparison(Kind.REAL, says, rest, other, shown)


def _comparison(kind: Kind, says: str, rest: list[Row], other: list[Row], shown: int) -> Comparison:
    if kind is Kind.SAME:
        return Comparison(kind)
    samples = [
        tuple(", ".join(_text(v) for v in row[:shown]) for row in _sorted(rows)[:_SAMPLES]) for rows in (rest, other)
    ]
    return Comparison(kind, says, samples[0], samples[1])


def _order(here: list[Row], there: list[Row], keys: tuple[int, ...] | None) -> Comparison:
    """Compare the order of equal rows: those that the query takes for equal may stand in any."""
    if keys is None:
        return Comparison(Kind.SAME)
    for n, (a, b) in enumerate(zip(here, there, strict=True), 1):
        one, other = tuple(a[k] for k in keys), tuple(b[k] for k in keys)
        if one != other:
            says = (
                f"the same rows in another order: row {n} has {_list(one)} on the source, {_list(other)} on the target"
            )
            return Comparison(Kind.ORDER, says)
    return Comparison(Kind.SAME)


def _but_last(rows: list[Row], keys: tuple[int, ...]) -> collections.Counter[Row]:
    """Count the rows without those at the end that the order takes for equal; of these, their key."""
    last = tuple(rows[-1][k] for k in keys) if rows else ()
    return collections.Counter(last if tuple(r[k] for k in keys) == last else r for r in rows)


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


def _near(one: Row, other: Row, seconds: float) -> Kind | None:
    """Return how two rows are near each other, None where they are not."""
    worst = Kind.SAME
    for a, b in zip(one, other, strict=True):
        if a == b:
            continue
        if isinstance(a, Number) and isinstance(b, Number):
            kind = _near_numbers(a, b)
        elif isinstance(a, str) and isinstance(b, str):
            kind = _near_moments(a, b, seconds)
        else:
            kind = None
        if kind is None:
            return None
        worst = kind if worst is Kind.SAME or kind is Kind.PRECISION else worst
    return worst


def _near_numbers(a: Number, b: Number) -> Kind | None:
    apart = abs(a.value - b.value)
    if apart <= decimal.Decimal(NOISE) * max(abs(a.value), abs(b.value)):
        return Kind.NOISE
    exact = [n.scale for n in (a, b) if n.scale is not None and n.scale > 0]
    if exact and apart <= decimal.Decimal(1).scaleb(-min(exact)):
        return Kind.NOISE if min(exact) >= CUT else Kind.PRECISION
    # Doubles of four bytes carry some seven digits.
    if a.scale is None and b.scale is None and apart <= decimal.Decimal("1e-6") * max(abs(a.value), abs(b.value)):
        return Kind.PRECISION
    return None


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
    return json.dumps(found, sort_keys=True, ensure_ascii=False, default=str)


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
