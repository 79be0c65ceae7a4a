"""Questions about an operator's expressions: what they do to the rows that are there, and what an inverse undoes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensei import catalog
from sensei.catalog import sight, types
from sensei.engines import base

Kind = types.Kind

#: Rows whose values are sent there and back.
SAMPLE = 200
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)


def count(engine: base.Engine, session: base.Session, table: catalog.TableName, where: str) -> int:
    """Count the rows that a condition takes; raises what the server says of it."""
    return int(session.rows(f"SELECT count(*) FROM {engine.ddl.qualified(table)} WHERE ({where}\n)")[0][0])


def effects(
    engine: base.Engine, session: base.Session, table: catalog.TableName, where: str, raw: str, cast: str, kind: Kind
) -> tuple[int, int, int, int]:
    """Return of the rows that are taken: how many, NULLs, those the type changes, and those it makes NULL of."""
    raw, tail = f"({raw}\n)", f" FROM {engine.ddl.qualified(table)}" + (f" WHERE ({where}\n)" if where else "")
    sums = [f"{cast} IS NULL", f"{raw} IS NOT NULL AND {cast} IS NULL"]
    if kind in _NUMBERS:
        sums.append(f"{raw} <> {cast}")
    listed = ", ".join(f"sum(CASE WHEN {s} THEN 1 ELSE 0 END)" for s in sums)
    rows, nulls, lost, *changed = session.rows(f"SELECT count(*), {listed}{tail}")[0]
    return int(rows), int(nulls or 0), int(changed[0] or 0) if changed else 0, int(lost or 0)


def pairs(
    engine: base.Engine, session: base.Session, table: catalog.TableName, where: str, column: str, cast: str
) -> list[tuple[str, str | None]]:
    """Return (value, computed value) of some rows as text, the least and the greatest among them."""
    q, tail = (
        engine.ddl.quote(column),
        f" FROM {engine.ddl.qualified(table)} WHERE {engine.ddl.quote(column)} IS NOT NULL",
    )
    tail += f" AND ({where}\n)" if where else ""
    text = f"SELECT {_text(engine, q)}, {_text(engine, cast)}{tail}"
    found = session.rows(f"{text} LIMIT {SAMPLE}")
    for way in ("ASC", "DESC"):
        found += session.rows(f"{text} ORDER BY {q} {way} LIMIT 5")
    return list(dict.fromkeys((str(x), None if y is None else str(y)) for x, y in found))


def forward(
    engine: base.Engine, session: base.Session, column: str, native: str, of: types.LogicalType, cast: str, value: str
) -> str | None:
    """Return what an expression makes of one value that may not be in the table; raises what the server says of it."""
    return _alone(engine, session, column, native, of, cast, value)


def backward(
    engine: base.Engine,
    session: base.Session,
    column: str,
    native: str,
    of: types.LogicalType,
    inverse: str,
    value: str,
) -> str | None:
    """Return what an inverse makes of one value of the target's column."""
    return _alone(engine, session, column, native, of, f"({inverse}\n)", value)


def _alone(
    engine: base.Engine, session: base.Session, column: str, native: str, of: types.LogicalType, sql: str, value: str
) -> str | None:
    assert engine.ask is not None
    given = engine.ask.computed("?", of, native)
    row = f"(SELECT {given} AS {engine.ddl.quote(column)}) one"
    # A text with digits in it is no number to SQLite: the driver has to be given what it is.
    bound: Any = value
    if not engine.capabilities.enforced_types and of.kind in _NUMBERS:
        bound = int(value) if value.lstrip("-").isdigit() else float(value)
    ((found,),) = session.rows(f"SELECT {_text(engine, sql)} FROM {row}", [bound])
    return None if found is None else str(found)


def _text(engine: base.Engine, sql: str) -> str:
    assert engine.ask is not None
    return {"postgres": f"({sql})::text", "mysql": f"CAST({sql} AS CHAR)"}.get(
        engine.ask.dialect, f"CAST({sql} AS TEXT)"
    )


def orphans(
    engine: base.Engine,
    session: base.Session,
    child: catalog.TableName,
    columns: Sequence[str],
    parent: catalog.TableName,
    references: Sequence[str],
    sights: dict[catalog.TableName, sight.Sight],
) -> int:
    """Count rows that the migration sees and whose parent it does not."""
    q = engine.ddl.quote
    given = " AND ".join(f"c.{q(c)} IS NOT NULL" for c in columns)
    match = " AND ".join(f"p.{q(r)} = c.{q(c)}" for c, r in zip(columns, references, strict=True))
    taken = [
        f"(SELECT * FROM {engine.ddl.qualified(t)}"
        + (f" WHERE ({sights[t].where}\n))" if t in sights and sights[t].where else ")")
        for t in (child, parent)
    ]
    sql = f"SELECT count(*) FROM {taken[0]} c WHERE {given} AND NOT EXISTS (SELECT 1 FROM {taken[1]} p WHERE {match})"
    return int(session.rows(sql)[0][0])
