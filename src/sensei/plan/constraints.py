"""Shapes keys, checks, indexes and foreign keys for the target; what might mean something else there is listed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sensei import catalog
from sensei.catalog import types
from sensei.plan import carrying, expressions, model, names

if TYPE_CHECKING:  # the mapper calls these with itself
    from sensei.plan import mapping

_NUMBERS = (types.Kind.INTEGER, types.Kind.DECIMAL, types.Kind.FLOAT)


def _rename(mapper: mapping.Mapper, table: catalog.TableName, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(mapper.column_names[table][c] for c in columns)


def key(mapper: mapping.Mapper, table: catalog.Table, key: catalog.Key, kind: str) -> catalog.Key:
    own = mapper.table_names[table.name]
    wish = key.name or names.default_name(own, key.columns, kind)
    name = mapper.names.free_index(own, wish) if mapper.target.capabilities.has_schemas else wish
    told_renamed(mapper, table, "constraint", key.name, name)
    if key.deferrable and not mapper.same:
        mapper.risk(
            "low",
            table.name,
            None,
            f"{key.name} is deferrable on the source; the target checks it at once",
        )
    if not key.nulls_distinct and not mapper.same:
        mapper.risk("medium", table.name, None, f"{key.name} treats NULLs as equal; the target does not")
    return dataclasses.replace(
        key,
        name=name,
        columns=_rename(mapper, table.name, key.columns),
        deferrable=key.deferrable and mapper.same,
        deferred=key.deferred and mapper.same,
        nulls_distinct=key.nulls_distinct or not mapper.same,
        definition="",
    )


def told_renamed(mapper: mapping.Mapper, table: catalog.Table, kind: str, old: str, new: str) -> None:
    if old and old != new:
        mapper.risk("info", table.name, None, f"{kind} {old} becomes {new}: the name is taken or too long")


def checks(
    mapper: mapping.Mapper, table: catalog.Table, plans: list[model.ColumnPlan], columns: list[catalog.Column]
) -> tuple[catalog.Check, ...]:
    """Return the table's checks in the target's words; `columns` are there what the table's are here."""
    known = readable(plans)
    if mapper.target.capabilities.one_identity:  # there, no check may name the column that is numbered
        for column in table.columns:
            if column.identity is not None:
                known.pop(column.name, None)
    renamed = any(a != b for a, b in mapper.column_names[table.name].items())
    result = []
    for n, check in enumerate(table.checks, 1):
        if _keeps_labels(mapper, table, check):
            continue
        label = check.name or f"check {n}"
        if not check.validated and not (mapper.same and mapper.target.capabilities.keys_after_load):
            reason = "not validated on the source: rows may violate it"
            mapper.leave("check", f"{table.name}.{label}", reason, check.sql)
            continue
        if mapper.same and (reason := mapper.missing(check.sql)):
            mapper.leave("check", f"{table.name}.{label}", reason, check.sql)
            continue
        if mapper.same and not renamed:
            sql: str | None = check.sql
        else:
            sql = expressions.translate(check.sql, mapper.source.name, mapper.dialect, known)
        if sql is None:
            carried = carrying.carry(mapper, table, check.sql, columns, carrying.Use.CHECK)
            if not carried.sql:
                mapper.leave("check", f"{table.name}.{label}", carried.says, check.sql)
                continue
            sql = carried.sql
            mapper.risk("info", table.name, None, f"check {label} arrives as {sql}: {carried.says}")
        name = mapper.names.shorten(check.name or f"{mapper.table_names[table.name].name}_check{n}")
        result.append(catalog.Check(name, sql, check.validated))
    for plan in plans:
        # A target without enumerations keeps to the labels by a check.
        if plan.source_type.labels and plan.there is not types.Verdict.EXACT:
            listed = ", ".join(map(mapper.dialect.literal, plan.source_type.labels))
            name = names.default_name(mapper.table_names[table.name], (plan.target,), "check")
            sql = f"{mapper.dialect.quote(plan.target)} IN ({listed})"
            result.append(catalog.Check(mapper.names.shorten(name), sql))
    return tuple(result)


def readable(plans: Sequence[model.ColumnPlan]) -> dict[str, expressions.CheckColumn]:
    """Return the columns whose values are compared on the target as they are on the source."""
    known = {}
    for plan in plans:
        of = plan.source_type
        if of.kind in _NUMBERS and not any(w in plan.target_native.upper() for w in ("TEXT", "CHAR")):
            known[plan.source] = expressions.CheckColumn(plan.target, "number")
        elif of.kind is types.Kind.TEXT and not of.fixed and not of.folds:
            known[plan.source] = expressions.CheckColumn(plan.target, "text")
    return known


def _keeps_labels(mapper: mapping.Mapper, table: catalog.Table, check: catalog.Check) -> bool:
    """Tell whether a check only stands for an enumeration that its column goes back into."""
    return any(
        check.name == mapper.names.shorten(names.default_name(table.name, (c.name,), "check"))
        for c in table.columns
        if (back := mapper.was(table, c)) is not None and back.column.type.labels
    )


def foreign_keys(mapper: mapping.Mapper, source: catalog.Table) -> tuple[catalog.ForeignKey, ...]:
    """Return the table's foreign keys in the target's names; those to tables left behind are noted."""
    result = []
    can = mapper.target.capabilities
    for n, fk in enumerate(source.foreign_keys, 1):
        parent = mapper.table_names.get(fk.table)
        label = f"{source.name}.{fk.name or ', '.join(fk.columns)}"
        if parent is None:
            mapper.leave("foreign key", label, f"it points to {fk.table}, which is not migrated", fk.definition)
            continue
        if "(" in fk.on_delete and not (can.keys_after_load and can.set_default):
            mapper.leave("foreign key", label, "the target can't set only some columns to NULL", fk.definition)
            continue
        if not fk.validated and not mapper.target.capabilities.keys_after_load:
            mapper.leave("foreign key", label, "not validated on the source: rows may violate it", fk.definition)
            continue
        actions = {"on_delete": fk.on_delete, "on_update": fk.on_update}
        for event, action in actions.items():
            if action.startswith("SET DEFAULT") and not can.set_default:
                actions[event] = "NO ACTION"
                what = event.replace("_", " ").upper()
                mapper.risk("medium", source.name, None, f"{label}: {what} {action} becomes NO ACTION on the target")
        if fk.deferrable and not can.deferrable:
            mapper.risk("low", source.name, None, f"{label} is deferrable on the source; the target checks it at once")
        if fk.match != "SIMPLE" and len(fk.columns) > 1 and not mapper.same:
            mapper.risk("low", source.name, None, f"{label}: MATCH {fk.match} becomes MATCH SIMPLE on the target")
        wish = fk.name or names.default_name(mapper.table_names[source.name], fk.columns, "fkey")
        result.append(
            dataclasses.replace(
                fk,
                name=mapper.names.free_foreign_key(wish) or f"fkey{n}",
                columns=_rename(mapper, source.name, fk.columns),
                table=parent,
                references=_rename(mapper, fk.table, fk.references),
                on_delete=actions["on_delete"],
                on_update=actions["on_update"],
                deferrable=fk.deferrable and can.deferrable,
                deferred=fk.deferred and can.deferrable,
                definition="",
            )
        )
    return tuple(result)
