"""`options.zero_dates`: columns that hold zero and partial dates, as the migration sees them instead."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base
from sensei.engines.hazards import Hazard, Lack

Kind = types.Kind
Verdict = types.Verdict
Policy = Literal["null", "text"]
Key = tuple[catalog.TableName, str]

_MOMENTS = (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ)
#: Characters of the longest moment.
_LONGEST = 32


@dataclass(frozen=True)
class Zeroed:
    """One column that holds such dates."""

    policy: Policy
    rows: int  #: that hold one
    sql: str  #: gives the value that is taken instead, in the source's dialect
    of: types.LogicalType  #: what that value means


def asks(
    policy: str, table: catalog.Table, source: base.Engine, target: base.Engine, session: base.Session
) -> list[tuple[str, Lack, str]]:
    """Return (column, lack, condition) of the columns to which the policy may apply.

    Not to those of a key: by these, rows are found on both sides.
    """
    if policy == "fail" or source.hazards is None or target.hazards is None:
        return []
    keyed = {c for k in (table.primary, *table.uniques) if k is not None for c in k.columns}
    keyed |= {c.name or "" for i in table.indexes if i.unique for c in i.columns}
    keyed |= {c for f in table.foreign_keys for c in f.columns}
    found = []
    for column in table.columns:
        if column.type.kind not in _MOMENTS or column.name in keyed or column.generated is not None:
            continue
        native = target.ddl.map_type(column.type, source.name, None).native
        for lack in target.hazards.lacks(column.type, native):
            sql = source.hazards.holding(session, table.name, column, lack) if lack.hazard is Hazard.ZERO_DATE else None
            if sql is not None:
                found.append((column.name, lack, sql))
    return found


def zeroed(policy: Policy, column: catalog.Column, condition: str, rows: int, source: base.Engine) -> Zeroed:
    """Return what stands in the place of a column that holds `rows` such dates."""
    x = source.ddl.quote(column.name)
    if policy == "null":
        return Zeroed(policy, rows, f"CASE WHEN {condition} THEN NULL ELSE {x} END", column.type)
    of = types.LogicalType(Kind.TEXT, length=_LONGEST)
    return Zeroed(policy, rows, f"CAST({x} AS CHAR CHARACTER SET utf8mb4)", of)


def column(of: catalog.Column, how: Zeroed, source: base.Engine) -> tuple[catalog.Column, str]:
    """Return a column as it is seen, and why its default does not go with it ("": it does, or there is none)."""
    default, lost = of.default, ""
    if how.policy == "null":
        if default is not None and default.kind == "other":
            default, lost = None, "such a date is NULL on the target, by zero_dates"
        return dataclasses.replace(of, nullable=True, default=default), lost
    if default is not None and default.kind != "null":
        default, lost = None, "its column arrives as text, by zero_dates"
    native = source.ddl.map_type(how.of, source.name, None).native
    return dataclasses.replace(of, type=how.of, native=native, default=default, collation=None, extra=""), lost


def mapped(how: Zeroed, source: base.Engine, target: base.Engine) -> types.Mapped:
    """Return what the column is on the target."""
    native = target.ddl.map_type(how.of, source.name, None).native
    count = f"{how.rows:,} zero, partial or impossible dates"
    if how.policy == "null":
        return types.Mapped(
            native, Verdict.LOSSY, Verdict.LOSSY, f"{count} arrive as NULL, by zero_dates, and go home so"
        )
    reason = f"{count}: all of the column arrives as its text, by zero_dates, and goes home as text"
    return types.Mapped(native, Verdict.WIDENING, Verdict.LOSSY, reason)
