"""Lets the target compute what the source computes, columns and defaults, where both were seen to give the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sensei import catalog
from sensei.engines import weighing
from sensei.plan import carrying, model

if TYPE_CHECKING:  # the mapper calls this with itself
    from sensei.plan import mapping


def shaped(
    mapper: mapping.Mapper, table: catalog.Table, plans: list[model.ColumnPlan], columns: list[catalog.Column]
) -> tuple[list[model.ColumnPlan], tuple[model.ColumnPlan, ...], list[catalog.Column]]:
    """Return the columns that are copied, those that the target computes by itself, and all as they are there.

    `plans` and `columns` have each computed column as a plain one, which is what it stays where nothing better is
    proven.
    """
    there = {c.name: c for c in columns}
    renamed = mapper.column_names[table.name]
    computed: list[model.ColumnPlan] = []
    for column in table.columns:
        plan = next((p for p in plans if p.source == column.name), None)
        if column.generated is None or plan is None:
            continue
        own = there[renamed[column.name]]
        found = _found(mapper, table, column, own, [there[renamed[c.name]] for c in table.columns])
        if not found.sql:
            mapper.risk(
                "medium", table.name, column.name,
                f"computed on the source; arrives as a plain column with the computed values: {found.says}",
            )  # fmt: skip
            continue
        mapper.risk("info", table.name, column.name, f"computed on the target, too, as {found.sql}: {found.says}")
        plans = [p for p in plans if p is not plan]
        computed.append(plan)
        # A computed column there is what its expression gives, which NOT NULL has no say in.
        nullable = own.nullable or not mapper.target.capabilities.free_computed
        there[own.name] = dataclasses.replace(
            own, generated=found.sql, virtual=column.virtual, default=None, nullable=nullable
        )
    return plans, tuple(computed), [there[c.name] for c in columns]


def _found(
    mapper: mapping.Mapper,
    table: catalog.Table,
    column: catalog.Column,
    own: catalog.Column,
    there: list[catalog.Column],
) -> carrying.Carried:
    assert column.generated is not None
    if mapper.same:
        return carrying.Carried(says=mapper.missing(column.generated) or "it names renamed columns")
    if mapper.config.options.on_existing == "append":
        return carrying.Carried(says="the target's own table may have it as one")
    override = mapper.override(table, column)
    if override is not None and override.type:
        return carrying.Carried(says="the configuration gives it a type of its own")
    if any(column.name in part for part in _keys(table)):
        return carrying.Carried(says="it is part of a key")
    if not mapper.target.capabilities.free_computed and (acting := _acted_on(table, column.generated)):
        return carrying.Carried(says=f"a foreign key changes {acting}, of which the target computes nothing then")
    result = (column, own)
    return carrying.carry(mapper, table, column.generated, there, carrying.Use.VALUE, result)


def _acted_on(table: catalog.Table, sql: str) -> str:
    """Return a column that an expression may name and that the action of a foreign key writes; "" for none."""
    for foreign in table.foreign_keys:
        if any(word in f"{foreign.on_delete} {foreign.on_update}" for word in ("CASCADE", "SET ")):
            for name in foreign.columns:
                if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql, re.IGNORECASE):
                    return name
    return ""


def _keys(table: catalog.Table) -> Iterator[tuple[str, ...]]:
    if table.primary is not None:
        yield table.primary.columns
    for foreign in table.foreign_keys:
        yield foreign.columns


def default(
    mapper: mapping.Mapper, table: catalog.Table, column: catalog.Column, of: catalog.Default, native: str
) -> catalog.Default | None:
    """Return a column's default in the target's words; None, and a note why, where it has none."""
    sql = mapper.target.ddl.translate_default(of, mapper.meaning(column))
    if sql is not None:
        return dataclasses.replace(of, sql=sql)
    reason = mapper.missing(of.sql) or "no equivalent on the target"
    if of.kind == "other" and not mapper.same and column.type.kind in weighing.TRIED:
        own = catalog.Column(column.name, mapper.meaning(column), native)
        carried = carrying.carry(mapper, table, of.sql, (), carrying.Use.DEFAULT, (column, own))
        if carried.sql:
            mapper.risk("info", table.name, column.name, f"its default arrives as {carried.sql}: both give the same")
            return dataclasses.replace(of, sql=f"({carried.sql})")
        reason = carried.says
    mapper.leave("default", f"{table.name}.{column.name}", reason, of.sql)
    return None
