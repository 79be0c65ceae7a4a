"""One scan of a table for values that do not conform to their column's type: SQLite enforces none."""

from __future__ import annotations

from sensei import catalog
from sensei.catalog.types import Kind
from sensei.engines import base
from sensei.engines.sqlite import names, read
from sensei.engines.sqlite.render import Renderer

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
    parts, checks = ["count(*)"], {}
    for column in table.columns:
        x = names.quote(column.name)
        fits = checks[column.name] = renderer.conforms(column.name, column.type, column.native)
        misfits = "0" if fits == "1" else f"sum(CASE WHEN {x} IS NULL THEN 0 WHEN {fits} THEN 0 ELSE 1 END)"
        lengths = column.type.kind in (Kind.TEXT, Kind.ANY)
        longest = f"max(CASE WHEN typeof({x}) = 'text' THEN length({x}) END)" if lengths else "NULL"
        parts += [misfits, longest, f"count({x})"]
    values = session.rows(f"SELECT {', '.join(parts)} FROM {names.qualified(table.name)}")[0]
    rows, found = int(values[0]), {}
    for at, column in enumerate(table.columns):
        misfits, longest, filled = values[1 + 3 * at : 4 + 3 * at]
        found[column.name] = base.ColumnFacts(
            rows=rows,
            nulls=rows - int(filled),
            misfits=int(misfits or 0),
            sample=_sample(session, table, column, checks[column.name]) if misfits else "",
            max_length=None if longest is None else int(longest),
            classes=_classes(session, table, column, int(filled), bool(misfits)),
        )
    return found


def _classes(
    session: base.Session, table: catalog.Table, column: catalog.Column, filled: int, misfits: bool
) -> dict[str, int]:
    """Count by storage class; only where the kind does not tell already is the column looked at again."""
    only = _ONE_CLASS.get(column.type.kind)
    if not filled:
        return {}
    if only is not None and not misfits:
        return {only: filled}
    x = names.quote(column.name)
    found = session.rows(
        f"SELECT typeof({x}), count(*) FROM {names.qualified(table.name)} WHERE {x} IS NOT NULL GROUP BY 1"
    )
    return {str(c): int(n) for c, n in found}


def _sample(session: base.Session, table: catalog.Table, column: catalog.Column, fits: str) -> str:
    x = names.quote(column.name)
    keys = [table.rowid] if table.rowid else [names.quote(c) for c in (table.primary.columns if table.primary else ())]
    shown = ", ".join(f"quote({k})" for k in keys) or "NULL"
    row = session.rows(
        f"SELECT substr(quote({x}), 1, 80), {shown} FROM {names.qualified(table.name)}"
        f" WHERE {x} IS NOT NULL AND NOT ({fits}) LIMIT 1"
    )[0]
    key = ", ".join(str(k) for k in row[1:])
    where = f" ({'rowid' if table.rowid else 'key'} {key})" if keys else ""
    return f"{row[0]}{where}"
