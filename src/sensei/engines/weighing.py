"""Asks one side what an expression says of rows that need not be in any table."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sensei import catalog, errors
from sensei.catalog import types
from sensei.engines import base

Kind = types.Kind
#: One row's values as text, None for NULL; of truth values "1" and "0".
Values = Sequence[str | None]

#: Kinds whose values can be given to any server as text, and come back from it as text.
TRIED = frozenset(
    {Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.BOOLEAN, Kind.TEXT, Kind.DATE, Kind.TIME, Kind.TIMESTAMP}
)
#: Bytes of a text that is taken from a row.
LONGEST = 4000
#: What stands for a value that is too large for its column.
BEYOND = "beyond"
#: Rows that go into one question; SQLite takes no more than 500 in a list of queries.
BATCH = 200
#: Parameters of one question; SQLite takes no more than 32,766, and older ones 999.
PARAMETERS = 900
#: The column of a row's number; no other is likely to be called so.
_PLACE = "sensei_place_of_row"


class Weigh(Protocol):
    """How an engine is told that a value is of a column, and gives a value as text; kinds are those of `TRIED`."""

    def given(self, column: catalog.Column, value: str) -> str:
        """Return a given value as something that is to an expression what the column is: of its type and collation."""

    def cast(self, sql: str, column: catalog.Column) -> str:
        """Return an expression's value as the column would hold it."""

    def text(self, sql: str, kind: types.Kind) -> str:
        """Return a value as text, or as what the driver makes a text of."""

    def bound(self, text: str, kind: types.Kind) -> Any:
        """Return a value as the driver has to be given it: a text with digits is no number to all servers."""


@dataclass(frozen=True)
class Said:
    """What a side says of one row."""

    is_held: bool  #: False: its columns don't hold these values as they are, so that no such row can be
    text: str | None = None  #: the answer, None for NULL
    error: str = ""  #: why there is no answer, in the server's words: the row would be refused


def check(sql: str) -> str:
    """Return a question that is "0" where a CHECK refuses the row and "1" where it takes it, for one not known, too."""
    return f"CASE WHEN NOT ({sql}\n) THEN '0' ELSE '1' END"


def condition(sql: str) -> str:
    """Return a question that is "1" where a condition is true, else "0"."""
    return f"CASE WHEN ({sql}\n) THEN '1' ELSE '0' END"


def value(engine: base.Engine, sql: str, column: catalog.Column | None) -> str:
    """Return a question for the value that a column would hold of an expression, as text; `BEYOND` for none.

    Without a column, what the expression gives.
    """
    weigh, kind = _weigh(engine), column.type.kind if column is not None else Kind.TEXT
    if column is None or kind is Kind.TEXT:  # a cast would cut it
        return weigh.text(f"({sql}\n)", kind)
    cast = weigh.cast(f"({sql}\n)", column)
    if kind is not Kind.DECIMAL:
        return weigh.text(cast, kind)
    # Some servers' casts give the greatest that fits in the place of what does not.
    return f"CASE WHEN abs(({sql}\n) - {cast}) >= 1 THEN '{BEYOND}' ELSE {weigh.text(cast, kind)} END"


def rows(
    engine: base.Engine, session: base.Session, table: catalog.Table, columns: Sequence[catalog.Column], asks: str,
    limit: int, where: str = "",
) -> list[tuple[tuple[str | None, ...], str | None]]:  # fmt: skip
    """Return (values, answer) of rows that are there: the first that the server finds, and the last by the key.

    Long texts are passed over: many of them would be held at once. Raises ServerFailed where the question is not
    understood, or one row's answer is an error.
    """
    q = engine.ddl.quote
    short = [
        f"({q(c.name)} IS NULL OR octet_length({q(c.name)}) <= {LONGEST})"
        for c in columns
        if c.type.kind is Kind.TEXT and (c.type.length is None or c.type.length > LONGEST)
    ]
    where = " AND ".join([*([f"({where}\n)"] if where else []), *short])
    listed = ", ".join([*(_shown(engine, c) for c in columns), asks])
    base_sql = f"SELECT {listed} FROM {engine.ddl.qualified(table.name)}" + (f" WHERE {where}" if where else "")
    found = session.rows(f"{base_sql} LIMIT {limit}")
    if len(found) == limit and table.primary is not None:
        order = ", ".join(f"{q(c)} DESC" for c in table.primary.columns)
        found += session.rows(f"{base_sql} ORDER BY {order} LIMIT {limit}")
    texts = [tuple(None if v is None else str(v) for v in row) for row in found]
    kinds = [c.type.kind for c in columns]
    return [
        (tuple(_plain(v, k) for v, k in zip(row[:-1], kinds, strict=True)), row[-1]) for row in dict.fromkeys(texts)
    ]


def say(
    engine: base.Engine,
    session: base.Session,
    columns: Sequence[catalog.Column],
    asks: str,
    rows: Sequence[Values],
) -> list[Said]:
    """Return what the question gives of each row, whose values stand for these columns as this engine declares them."""
    result: list[Said] = []
    size = max(1, min(BATCH, PARAMETERS // max(1, len(columns))))
    for at in range(0, len(rows), size):
        part = rows[at : at + size]
        try:
            result += _together(engine, session, columns, asks, part)
        except (errors.ServerFailed, errors.DataRejected, ValueError):
            result += [_alone(engine, session, columns, asks, row) for row in part]
    return result


def _together(
    engine: base.Engine, session: base.Session, columns: Sequence[catalog.Column], asks: str, rows: Sequence[Values]
) -> list[Said]:
    shown = [_shown(engine, c) for c in columns]
    sql = f"SELECT {', '.join([_PLACE, *shown, asks])} FROM ({_given(engine, columns, len(rows))}) one"
    bound = [b for row in rows for b in _bound(engine, columns, row)]
    found: dict[int, Sequence[Any]] = {int(r[0]): r[1:] for r in session.rows(sql, bound)}
    return [
        Said(_is_held(columns, row, found[n][:-1]), None if found[n][-1] is None else str(found[n][-1]))
        for n, row in enumerate(rows)
    ]


def _alone(
    engine: base.Engine, session: base.Session, columns: Sequence[catalog.Column], asks: str, row: Values
) -> Said:
    shown = ", ".join(_shown(engine, c) for c in columns) or "1"
    try:
        (held,) = session.rows(f"SELECT {shown} FROM ({_given(engine, columns, 1)}) one", _bound(engine, columns, row))
    except (errors.ServerFailed, errors.DataRejected, ValueError):
        return Said(False)
    if columns and not _is_held(columns, row, held):
        return Said(False)
    try:
        return _together(engine, session, columns, asks, [row])[0]
    except (errors.ServerFailed, errors.DataRejected) as problem:
        return Said(True, error=problem.message.splitlines()[0])


def _given(engine: base.Engine, columns: Sequence[catalog.Column], count: int) -> str:
    """Return a query of so many rows whose columns are what these are; each value is a placeholder, row by row.

    Values are numbered first and given their types around that: a server plans one expression, and not one a row.
    """
    names = [f"v{n}" for n in range(len(columns))]
    head = ", ".join([f"SELECT 0 AS {_PLACE}", *(f"? AS {n}" for n in names)])
    raw = " UNION ALL ".join([head, *(", ".join([f"SELECT {n}", *("?" for _ in names)]) for n in range(1, count))])
    typed = [f"{_weigh(engine).given(c, n)} AS {engine.ddl.quote(c.name)}" for c, n in zip(columns, names, strict=True)]
    return f"SELECT {', '.join([_PLACE, *typed])} FROM ({raw}) raw_values"


def _bound(engine: base.Engine, columns: Sequence[catalog.Column], row: Values) -> list[Any]:
    weigh = _weigh(engine)
    return [
        None if text is None else weigh.bound(text, column.type.kind) for column, text in zip(columns, row, strict=True)
    ]


def _is_held(columns: Sequence[catalog.Column], row: Values, held: Sequence[Any]) -> bool:
    """Tell whether values are in their columns what they were: a type may cut them, or take the next one."""
    return all(
        (given is None) == (got is None) and (given is None or alike(given, str(got), c.type.kind))
        for c, given, got in zip(columns, row, held, strict=True)
    )


def alike(one: str | None, other: str | None, kind: Kind) -> bool:
    """Tell whether two texts, each as a server prints it, are the same value."""
    if one is None or other is None or one == other:
        return one == other
    if kind is Kind.ANY:  # what an expression gives: the servers may print its digits otherwise
        first, second = _number(one, Kind.FLOAT), _number(other, Kind.FLOAT)
        return isinstance(first, float) and isinstance(second, float) and math.isclose(first, second, rel_tol=1e-12)
    if kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT):
        return bool(_number(one, kind) == _number(other, kind))
    if kind in (Kind.TIME, Kind.TIMESTAMP):
        return _moment(one) == _moment(other)
    return kind is Kind.BOOLEAN and _plain(one, kind) == _plain(other, kind)


def _number(text: str, kind: Kind) -> Any:
    try:
        found = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return text
    return float(found) if kind is Kind.FLOAT else found


def _moment(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(text: str | None, kind: Kind) -> str | None:
    """Return a value as every server prints it, and as it is copied: moments without zeros at their end."""
    if text is not None and kind in (Kind.TIME, Kind.TIMESTAMP):
        return _moment(text)
    if text is None or kind is not Kind.BOOLEAN:
        return text
    return {"t": "1", "true": "1", "f": "0", "false": "0"}.get(text.lower(), text)


def _weigh(engine: base.Engine) -> Weigh:
    assert engine.weigh is not None
    return engine.weigh


def _shown(engine: base.Engine, column: catalog.Column) -> str:
    return _weigh(engine).text(engine.ddl.quote(column.name), column.type.kind)
