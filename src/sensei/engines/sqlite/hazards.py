"""Values that SQLite's storage does not hold, and those of its own that others' types do not.

What does not conform to its column's type is the business of `profile`.
"""

from __future__ import annotations

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base
from sensei.engines.hazards import NO_DATES, Hazard, Lack
from sensei.engines.sqlite import names, read

Kind = types.Kind


class Hazards:
    """Fills `hazards.Hazards`."""

    def lacks(self, of: types.LogicalType, native: str) -> list[Lack]:
        """Return which values that mean `of` a type does not hold."""
        match of.kind:
            case Kind.FLOAT:
                return [Lack(Hazard.NAN, "NaN"), Lack(Hazard.MINUS_ZERO, "minus zero")]
            case Kind.DECIMAL if native.upper().startswith("DECIMAL"):
                return [Lack(Hazard.NAN, "NaN")]
            case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
                return [Lack(Hazard.ZERO_DATE, NO_DATES)]
            case Kind.TIME:
                return [Lack(Hazard.DURATION, "durations below 00:00:00 or above 24:00:00")]
            case Kind.TEXT:
                found = [Lack(Hazard.NO_TEXT, "texts with bytes that are no characters")]
                return (
                    [*found, Lack(Hazard.NO_LABEL, "an enum's empty error value")]
                    if of.labels and "" not in of.labels
                    else found
                )
            case _:
                return []

    def rows(self, session: base.Session, table: catalog.TableName) -> str:
        """Return what to write after FROM."""
        return read.source(session, table).removeprefix(" FROM ")

    def holding(
        self, session: base.Session, table: catalog.TableName, column: catalog.Column, lack: Lack
    ) -> str | None:
        """Return a condition that is true of such values."""
        x, of = names.quote(column.name), column.type
        match lack.hazard:
            case Hazard.INFINITE if of.kind is Kind.FLOAT:
                return f"typeof({x}) = 'real' AND abs({x}) > 1.7976931348623157e308"
            case Hazard.LONG if of.kind is Kind.TEXT:
                return f"typeof({x}) = 'text' AND length({x}) > {lack.high}"
            case Hazard.LONG if of.kind is Kind.BYTES:
                return f"typeof({x}) = 'blob' AND length({x}) > {lack.high}"
            case Hazard.OUTSIDE if of.kind is Kind.INTEGER:
                return f"typeof({x}) = 'integer' AND {x} NOT BETWEEN {lack.low} AND {lack.high}"
            case Hazard.OUTSIDE if of.kind is Kind.TIMESTAMPTZ:
                # Seconds since 1970 in UTC; a fraction belongs to its second.
                return f"CAST(strftime('%s', {x}) AS INTEGER) NOT BETWEEN 1 AND 2147483647"
            case Hazard.DEEP if of.kind in (Kind.JSON, Kind.JSONB):
                # Most documents have not even so many containers in all.
                many = f"length({x}) - length(replace(replace({x}, '[', ''), '{{', '')) > {lack.high}"
                tree = f"tree AS (SELECT id, parent FROM json_tree({x}) WHERE type IN ('array', 'object'))"
                deep = "deep (id, n) AS (SELECT id, 1 FROM tree WHERE parent IS NULL UNION ALL"
                deep += " SELECT tree.id, deep.n + 1 FROM tree JOIN deep ON tree.parent = deep.id)"
                depth = f"(WITH RECURSIVE {tree}, {deep} SELECT max(n) FROM deep)"
                return f"typeof({x}) = 'text' AND {many} AND json_valid({x}) AND {depth} > {lack.high}"
            case Hazard.UUID_VARIANT if of.kind is Kind.UUID:
                digits = f"replace(CASE typeof({x}) WHEN 'blob' THEN hex({x}) ELSE lower({x}) END, '-', '')"
                return f"lower(substr({digits}, 13, 1)) >= '8' AND substr({digits}, 17, 1) < '8'"
            case _:
                return None
