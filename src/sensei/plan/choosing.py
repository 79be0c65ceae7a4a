"""Which of the source's tables are carried; the others are noted, each with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensei import catalog, errors
from sensei.catalog import types
from sensei.plan import own_types

if TYPE_CHECKING:
    from sensei.plan import mapping


def choose(mapper: mapping.Mapper, found: catalog.Catalog) -> list[catalog.Table]:
    """Return the tables that can be carried; raises UnknownName where the configuration names one that is not there."""
    chosen = []
    for table in found.tables:
        if mapper.config.source.selects(table.name.schema, table.name.name):
            reason = _why_not(mapper, table)
        else:
            reason = "excluded by the configuration"
        if reason:
            mapper.leave("table", str(table.name), reason, table.definition)
        else:
            chosen.append(table)
    _check_configured(mapper, found)
    return chosen


def _why_not(mapper: mapping.Mapper, table: catalog.Table) -> str:
    if table.kind in ("virtual", "foreign"):
        return f"{table.kind} tables are not carried over"
    if not table.columns:
        return "it has no columns"
    for column in table.columns:
        override = mapper.override(table, column)
        if override and override.type and column.type.kind in types.EVERYDAY:
            continue
        kind = own_types.meaning(column.type, mapper.source, mapper.target).kind
        if kind in types.EVERYDAY or (mapper.same and kind is types.Kind.NATIVE):
            continue
        reason = mapper.missing(column.native) if mapper.same else "types of this kind are not carried over yet"
        if reason:
            return f"column {column.name} is of type {column.native}: {reason}"
    return ""


def _check_configured(mapper: mapping.Mapper, found: catalog.Catalog) -> None:
    # The first of a name counts, as it does where tables are mapped.
    known = {n: t for t in reversed(found.tables) for n in (str(t.name), t.name.name)}
    for name, mapped in mapper.config.tables.items():
        if name not in known:
            raise errors.UnknownName(
                f"tables.{name}: the source has no table of that name",
                hint="look at the names with: sensei migrations plan ID",
                table=name,
            )
        columns = {c.name for c in known[name].columns}
        for column in mapped.columns:
            if column not in columns:
                raise errors.UnknownName(
                    f"tables.{name}.columns.{column}: the table has no column of that name",
                    table=name,
                    column=column,
                )
