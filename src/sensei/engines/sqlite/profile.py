"""One scan of a table for values that do not conform to their column's type: SQLite enforces none."""

from __future__ import annotations

import concurrent.futures
import urllib.parse
from collections.abc import Mapping
from typing import Any

from sensei import catalog
from sensei.catalog.types import Kind
from sensei.engines import base, hazards
from sensei.engines.sqlite import names, read
from sensei.engines.sqlite import session as connection
from sensei.engines.sqlite.render import Renderer

#: Rowids from which on a second connection costs less than it saves.
WORTH_HALVING = 200_000

_ONE_CLASS = {
    Kind.INTEGER: "integer",
    Kind.BOOLEAN: "integer",
    Kind.TEXT: "text",
    Kind.DATE: "text",
    Kind.TIME: "text",
    Kind.TIMESTAMP: "text",
    Kind.TIMESTAMPTZ: "text",
    Kind.BYTES: "blob",
}


def profile(session: base.Session, table: catalog.Table) -> dict[str, base.ColumnFacts]:
    """Return what each column holds: counts by storage class, misfits with one sample, longest text.

    One aggregate over the whole table; samples and mixed columns' classes cost a statement each.
    """
    mine = read.own(session)
    renderer = Renderer(mine.db)
    checks = {c.name: renderer.conforms(c.name, c.type, c.native) for c in table.columns}
    rows, clean, nulls, longest, days = _overview(session, table, checks)
    misfits = dict.fromkeys(checks, 0) if clean else _misfits(session, table, checks)
    return {
        column.name: base.ColumnFacts(
            rows=rows,
            nulls=nulls[column.name],
            misfits=misfits[column.name],
            sample=_sample(session, table, column, checks[column.name]) if misfits[column.name] else "",
            max_length=longest[column.name],
            classes=_classes(session, table, column, rows - nulls[column.name], misfits[column.name] > 0),
            days=days.get(column.name, 0),
        )
        for column in table.columns
    }


def _overview(
    session: base.Session, table: catalog.Table, checks: Mapping[str, str]
) -> tuple[int, bool, dict[str, int], dict[str, int | None], dict[str, int]]:
    """Return rows, whether all values conform, NULLs, longest texts and bare days per column, in one scan.

    One verdict on the whole row costs a third of one sum per column, and nearly all tables are clean.
    """
    conform = [
        f"({checks[c.name]})" if not c.nullable else f"({names.quote(c.name)} IS NULL OR {checks[c.name]})"
        for c in table.columns
        if checks[c.name] != "1"
    ]
    nullable = [c.name for c in table.columns if c.nullable]
    measured = [c.name for c in table.columns if c.type.kind is Kind.ANY or c.type.length is not None]
    moments = [c.name for c in table.columns if c.type.kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ)]
    parts = ["count(*)", f"sum(NOT {hazards.joined(conform, 'AND') if conform else '(1)'})"]
    parts += [f"count({names.quote(n)})" for n in nullable]
    parts += [f"sum(typeof({names.quote(n)}) = 'text' AND length({names.quote(n)}) = 10)" for n in moments]
    # length() of a blob are bytes, and of a number digits: only texts are measured, and there is seldom anything else.
    parts += [f"max(CASE WHEN typeof({names.quote(n)}) = 'text' THEN length({names.quote(n)}) END)" for n in measured]
    counted = 2 + len(nullable)
    sums = counted + len(moments)  # the rest are maxima
    values = _combined(_scan(session, table, f"SELECT {', '.join(parts)}{read.source(session, table.name)}"), sums)
    rows = int(values[0])
    nulls = dict.fromkeys(checks, 0)
    nulls.update((n, rows - int(v)) for n, v in zip(nullable, values[2:counted], strict=True))
    longest: dict[str, int | None] = dict.fromkeys(checks)
    longest.update(zip(measured, values[sums:], strict=True))
    days = {n: int(v or 0) for n, v in zip(moments, values[counted:sums], strict=True)}
    return rows, not values[1], nulls, longest, days


def _scan(session: base.Session, table: catalog.Table, select: str) -> list[base.Row]:
    """Run an aggregate over a table: a large one in halves side by side, as SQLite works outside of Python's lock."""
    mine = read.own(session)
    last = session.rows(f"SELECT max({table.rowid}){read.source(session, table.name)}")[0][0] if table.rowid else None
    if not isinstance(last, int) or last < WORTH_HALVING or mine.absent:
        return session.rows(select)

    def half(where: str) -> base.Row:
        own = read.own(connection.connect(f"sqlite:///{urllib.parse.quote(str(mine.path))}", mine.purpose))
        own.seen = mine.seen
        try:
            renderer = Renderer(own.db)
            for column in table.columns:
                renderer.conforms(column.name, column.type, column.native)  # registers the functions that it names
            return own.rows(f"{select} WHERE {table.rowid} {where}")[0]
        finally:
            own.close()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(half, (f"<= {last // 2}", f"> {last // 2}")))


def _combined(parts: list[base.Row], sums: int) -> list[Any]:
    """Put the results of parts of a table together: the first `sums` columns are added, of the others the largest."""
    result: list[Any] = []
    for at, column in enumerate(zip(*parts, strict=True)):
        known = [v for v in column if v is not None]
        result.append((sum(known) if at < sums else max(known)) if known else None)
    return result


def _misfits(session: base.Session, table: catalog.Table, checks: Mapping[str, str]) -> dict[str, int]:
    counts = [f"sum({names.quote(n)} IS NOT NULL AND NOT ({fits}))" for n, fits in checks.items()]
    values = session.rows(f"SELECT {', '.join(counts)}{read.source(session, table.name)}")[0]
    return {name: int(value or 0) for name, value in zip(checks, values, strict=True)}


def _classes(
    session: base.Session, table: catalog.Table, column: catalog.Column, filled: int, misfits: bool
) -> dict[str, int] | None:
    """Count by storage class: of columns without a type and of those with misfits; others cost a scan for nothing."""
    only = _ONE_CLASS.get(column.type.kind)
    if not filled:
        return {}
    if only is not None and not misfits:
        return {only: filled}
    if not misfits and column.type.kind is not Kind.ANY:
        return None
    x = names.quote(column.name)
    found = session.rows(
        f"SELECT typeof({x}), count(*){read.source(session, table.name)} WHERE {x} IS NOT NULL GROUP BY 1"
    )
    return {str(c): int(n) for c, n in found}


def _sample(session: base.Session, table: catalog.Table, column: catalog.Column, fits: str) -> str:
    x = names.quote(column.name)
    keys = [table.rowid] if table.rowid else [names.quote(c) for c in (table.primary.columns if table.primary else ())]
    shown = ", ".join(f"quote({k})" for k in keys) or "NULL"
    row = session.rows(
        f"SELECT CAST(substr(quote({x}), 1, 80) AS BLOB), {shown}{read.source(session, table.name)}"
        f" WHERE {x} IS NOT NULL AND NOT ({fits}) LIMIT 1"
    )[0]
    key = ", ".join(str(k) for k in row[1:])
    where = f" ({'rowid' if table.rowid else 'key'} {key})" if keys else ""
    return f"{row[0].decode(errors='replace')}{where}"
