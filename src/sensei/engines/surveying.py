"""What the surveys of all engines share: one statement put together from expressions, and its answer taken apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, comparing, defining

Kind = types.Kind

_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.BOOLEAN})
_TIMES = frozenset({Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})
_LENGTHS = frozenset({Kind.TEXT, Kind.BYTES})
#: Kinds of which two engines agree what is equal.
_DISTINCT = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.TEXT, Kind.BYTES, Kind.DATE, Kind.TIMESTAMP, Kind.UUID})
_SAMPLES = 5


@dataclass(frozen=True)
class Words:
    """One column in an engine's SQL. Each is an expression; an empty one: the engine can't say it."""

    is_null: str
    number: str = ""  #: a number, NULL where there is none
    moment: str = ""  #: what orders as time does
    moment_text: str = "{}"  #: turns the least and the greatest moment into text
    length: str = ""
    distinct: str = ""  #: equal exactly where the values are
    mean: str = "avg({})"  #: turns numbers into their mean, to some fifteen digits


@dataclass(frozen=True)
class _Answer:
    field: str
    sql: str
    read: Callable[[Any], Any]


def _answers(kind: Kind, words: Words, distinct: bool) -> list[_Answer]:
    found = [_Answer("nulls", f"sum(CASE WHEN {words.is_null} THEN 1 ELSE 0 END)", lambda v: int(v or 0))]
    if kind in _NUMBERS and words.number:
        found += [
            _Answer("lowest", f"min({words.number})", _text),
            _Answer("highest", f"max({words.number})", _text),
            _Answer("mean", words.mean.format(words.number), _float),
        ]
    if kind in _TIMES and words.moment:
        found += [
            _Answer("lowest", words.moment_text.format(f"min({words.moment})"), _text),
            _Answer("highest", words.moment_text.format(f"max({words.moment})"), _text),
        ]
    if kind in _LENGTHS and words.length:
        found += [
            _Answer("shortest", f"min({words.length})", _int),
            _Answer("longest", f"max({words.length})", _int),
            _Answer("length", words.mean.format(words.length), _float),
        ]
    if distinct and kind in _DISTINCT and words.distinct:
        found.append(_Answer("distinct", f"count(DISTINCT {words.distinct})", _int))
    return found


def columns(
    session: base.Session,
    spec: base.ReadSpec,
    words: Sequence[Words],
    distinct: bool,
    tail: str,
    params: Sequence[Any],
) -> tuple[int, dict[str, comparing.ColumnSurvey]]:
    """Ask everything about a range of a table in one statement; `tail` is its FROM and WHERE."""
    asked = [_answers(c.type.kind, w, distinct) for c, w in zip(spec.columns, words, strict=True)]
    listed = ", ".join(["count(*)", *(a.sql for answers in asked for a in answers)])
    row = list(session.rows(f"SELECT {listed}{tail}", params)[0])
    rows, values = int(row[0]), iter(row[1:])
    found = {}
    for column, answers in zip(spec.columns, asked, strict=True):
        found[column.name] = comparing.ColumnSurvey(**{a.field: a.read(next(values)) for a in answers})
    return rows, found


def orphans(
    session: base.Session,
    ddl: defining.DDL,
    child: catalog.TableName,
    columns: Sequence[str],
    parent: catalog.TableName,
    references: Sequence[str],
    shown: Callable[[str], str],
) -> comparing.Orphans:
    """Count rows that point at nothing, and name some of what they point with; `shown` turns a value into text."""
    q = ddl.quote
    held = " AND ".join(f"c.{q(c)} IS NOT NULL" for c in columns)
    same = " AND ".join(f"p.{q(r)} = c.{q(c)}" for c, r in zip(columns, references, strict=True))
    tail = (
        f" FROM {ddl.qualified(child)} AS c WHERE {held}"
        f" AND NOT EXISTS (SELECT 1 FROM {ddl.qualified(parent)} AS p WHERE {same})"
    )
    count = int(session.rows(f"SELECT count(*){tail}")[0][0])
    if not count:
        return comparing.Orphans(0)
    listed = ", ".join(shown(f"c.{q(c)}") for c in columns)
    some = session.rows(f"SELECT DISTINCT {listed}{tail} ORDER BY {', '.join(map(str, range(1, len(columns) + 1)))}"
                        f" LIMIT {_SAMPLES}")  # fmt: skip
    return comparing.Orphans(count, tuple(", ".join(str(v) for v in row) for row in some))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _int(value: Any) -> int | None:
    return None if value is None else int(value)
