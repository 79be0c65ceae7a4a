"""Values for expressions that are tried on MariaDB and MySQL without a table."""

from __future__ import annotations

import re
from typing import Any

from sensei import catalog
from sensei.catalog import types

Kind = types.Kind

_DIGITS = re.compile(r"\((\d+(?:\s*,\s*\d+)?)\)")
#: Tables that are made get one of these, which compare texts by their bytes.
_OWN = "/*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */"


class Weigh:
    """Numbers are given as numbers; there is no cast to some types, and the nearest that behaves like one is taken."""

    def given(self, column: catalog.Column, value: str) -> str:
        if column.type.kind is not Kind.TEXT:
            return self.cast(value, column)
        if column.collation is None:
            return f"(CONVERT({value} USING utf8mb4) {_OWN})"
        return f"(CONVERT({value} USING {column.collation.partition('_')[0]}) COLLATE {column.collation})"

    def cast(self, sql: str, column: catalog.Column) -> str:
        native = column.native.lower()
        size = f"({found[1]})" if (found := _DIGITS.search(native)) else ""
        to = {
            Kind.INTEGER: "UNSIGNED" if "unsigned" in native else "SIGNED",
            Kind.BOOLEAN: "SIGNED",
            Kind.DECIMAL: f"DECIMAL{size}",
            Kind.FLOAT: "FLOAT" if native.startswith("float") else "DOUBLE",
            Kind.DATE: "DATE",
            Kind.TIME: f"TIME{size}",
            Kind.TIMESTAMP: f"DATETIME{size}",
            Kind.TEXT: "CHAR CHARACTER SET utf8mb4",
        }[column.type.kind]
        return f"CAST({sql} AS {to})"

    def text(self, sql: str, kind: Kind) -> str:
        # The text of a quotient's cast is as long as MariaDB reckons it to be, which may be a digit too short.
        return sql if kind in (Kind.INTEGER, Kind.BOOLEAN) else f"CAST({sql} AS CHAR CHARACTER SET utf8mb4)"

    def bound(self, text: str, kind: Kind) -> Any:
        return float(text) if kind is Kind.FLOAT else int(text) if kind in (Kind.INTEGER, Kind.BOOLEAN) else text
