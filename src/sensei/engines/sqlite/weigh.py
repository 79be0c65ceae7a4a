"""Values for expressions that are tried on SQLite without a table."""

from __future__ import annotations

from typing import Any

from sensei import catalog
from sensei.catalog import types
from sensei.engines.sqlite import declared, names

Kind = types.Kind

_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)


class Weigh:
    """A cast has the affinity of a column that is declared so; where it would also change the value, there is none."""

    def given(self, column: catalog.Column, value: str) -> str:
        collation = column.collation if column.type.kind is Kind.TEXT else None
        return self.cast(value, column) + (f" COLLATE {names.quote(collation)}" if collation else "")

    def cast(self, sql: str, column: catalog.Column) -> str:
        affinity = declared.affinity(column.native)
        is_number = column.type.kind in _NUMBERS
        if affinity == "blob" or (not is_number and affinity != "text"):
            return sql
        # A column of whole numbers keeps others as they are, as CAST AS NUMERIC does and CAST AS INTEGER does not.
        return f"CAST({sql} AS {'NUMERIC' if affinity == 'integer' else affinity.upper()})"

    def text(self, sql: str, kind: Kind) -> str:
        # A number's text has fifteen digits there; the driver gives it whole.
        return sql if kind is Kind.FLOAT else f"CAST({sql} AS TEXT)"

    def bound(self, text: str, kind: Kind) -> Any:
        return float(text) if kind is Kind.FLOAT else int(text) if kind in (Kind.INTEGER, Kind.BOOLEAN) else text
