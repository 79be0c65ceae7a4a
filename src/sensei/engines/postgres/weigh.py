"""Values for expressions that are tried on PostgreSQL without a table."""

from __future__ import annotations

from typing import Any

from sensei import catalog
from sensei.catalog import types


class Weigh:
    """Everything is given as text of the column's own type, and comes back as text."""

    def given(self, column: catalog.Column, value: str) -> str:
        collated = f" COLLATE {column.collation}" if column.collation and column.type.kind is types.Kind.TEXT else ""
        return f"CAST({value} AS {column.native}){collated}"

    def cast(self, sql: str, column: catalog.Column) -> str:
        return f"CAST({sql} AS {column.native})"

    def text(self, sql: str, kind: types.Kind) -> str:
        return f"CAST({sql} AS text)"

    def bound(self, text: str, kind: types.Kind) -> Any:
        return text
