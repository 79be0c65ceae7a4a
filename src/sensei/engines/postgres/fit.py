"""Makes a table fit: PostgreSQL declares foreign keys only between types that it can compare."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sensei import catalog
from sensei.engines import defining

#: Columns of a table.
COLUMNS = 1600

_SIZE = re.compile(r"\([^)]*\)")
#: Types between which PostgreSQL has an operator for equality that an index can answer.
_FAMILIES = (
    frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"}),
    frozenset({"text", "character varying", "varchar", "character", "char", "bpchar", "name"}),
    frozenset({"date", "timestamp without time zone", "timestamp with time zone", "timestamp", "timestamptz"}),
    frozenset({"bit", "bit varying"}),
)


def fit(table: catalog.Table, parents: Mapping[catalog.TableName, catalog.Table]) -> defining.Fitted:
    """Return the foreign keys that can't be declared, since their columns' types and their parents' don't compare."""
    refused = {}
    for key in table.foreign_keys:
        parent = parents.get(key.table)
        if parent is None:
            continue
        for own, other in zip(key.columns, key.references, strict=True):
            mine, its = table.column(own).native, parent.column(other).native
            if not comparable(mine, its):
                refused[key.name] = (
                    f"{own} is {mine} and points to {other}, which is {its}: PostgreSQL has no way to compare these"
                )
                break
    count = len(table.columns)
    hinders = f"it has {count:,} columns, and a table of PostgreSQL {COLUMNS:,} at most" if count > COLUMNS else ""
    return defining.Fitted(refused=refused, hinders=hinders)


def comparable(one: str, other: str) -> bool:
    """Tell whether values of two native types can be compared by a foreign key."""
    a, b = (re.sub(r"\s+", " ", _SIZE.sub("", native)).strip().lower() for native in (one, other))
    return a == b or any(a in family and b in family for family in _FAMILIES)
