"""Lets the target change what its keys, indexes and rows would not hold, and notes each change."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sensei import catalog, errors
from sensei.catalog import types
from sensei.engines import defining
from sensei.plan import model

if TYPE_CHECKING:  # the mapper is handed in
    from sensei.plan import mapping


def fitted(
    mapper: mapping.Mapper, tables: list[model.TablePlan], added_to: Collection[catalog.TableName] = ()
) -> list[model.TablePlan]:
    """Let the target change what would not fit; a type that changes may change those that point to it.

    `added_to`: tables of the source whose rows go into a table that is there already, and need not be made.
    """
    if mapper.same:
        return tables
    notes: dict[tuple[str, str], None] = {}
    for _ in range(len(tables) + 1):
        parents = {t.target.name: t.target for t in tables}
        shaped = [_table(mapper, t, parents) for t in tables]
        notes |= {(t.id, note): None for t, fit in shaped for note in fit.notes}
        changed = [t for t, _ in shaped]
        if changed == tables:
            break
        tables = changed
    _refuse({t.id: fit.hinders for t, fit in shaped if fit.hinders and t.source.name not in added_to})
    for table_id, note in notes:
        mapper.risks.append(model.Risk("info", table_id, None, note))
    return tables


def to_own(mapper: mapping.Mapper, tables: list[model.TablePlan]) -> list[model.TablePlan]:
    """Let foreign keys to tables that rows are only added to fit these, which stay as they are.

    Between two of one engine too: there, only the migrated tables are known to fit each other.
    """
    own = {t.target.name: t.target for t in tables if t.append is not None}
    result = []
    for table in tables:
        keys = tuple(k for k in table.target.foreign_keys if k.table in own)
        if table.append is not None or not keys:
            result.append(table)
            continue
        alone = dataclasses.replace(table.target, foreign_keys=keys, primary=None, uniques=(), indexes=())
        fitted_, _ = _table(mapper, dataclasses.replace(table, target=alone), own)
        lost = {k.name for k in keys} - {k.name for k in fitted_.target.foreign_keys}
        whole = dataclasses.replace(
            table.target,
            columns=fitted_.target.columns,
            foreign_keys=tuple(k for k in table.target.foreign_keys if k.name not in lost),
        )
        result.append(dataclasses.replace(fitted_, target=whole))
    return result


def _table(
    mapper: mapping.Mapper, plan: model.TablePlan, parents: Mapping[catalog.TableName, catalog.Table]
) -> tuple[model.TablePlan, defining.Fitted]:
    """Return the table as its keys, indexes and rows fit the target, and what the target said of it."""
    fit = mapper.target.ddl.fit(plan.target, parents)
    if not (fit.types or fit.indexes or fit.refused):
        return plan, fit
    for key in plan.target.foreign_keys:
        if key.name in fit.refused:
            mapper.leave("foreign key", f"{plan.source.name}.{key.name}", fit.refused[key.name])

    def shaped(c: model.ColumnPlan) -> model.ColumnPlan:
        new = fit.types.get(c.target)
        if new is None:
            return c
        there, back = types.worse(c.there, new.there), types.worse(c.back, new.back)
        reason = f"{c.reason}; {new.reason}" if c.reason else new.reason
        if {new.there, new.back} != {types.Verdict.EXACT}:
            mapper.risks.append(model.Risk("low", plan.id, c.source, new.reason, new.there, new.back))
        return dataclasses.replace(c, target_native=new.native, there=there, back=back, reason=reason)

    target = dataclasses.replace(
        plan.target,
        columns=tuple(
            dataclasses.replace(c, native=fit.types[c.name].native) if c.name in fit.types else c
            for c in plan.target.columns
        ),
        indexes=tuple(fit.indexes.get(i.name, i) for i in plan.target.indexes),
        foreign_keys=tuple(k for k in plan.target.foreign_keys if k.name not in fit.refused),
    )
    columns, computed = tuple(map(shaped, plan.columns)), tuple(map(shaped, plan.computed))
    return dataclasses.replace(plan, columns=columns, computed=computed, target=target), fit


def _refuse(hinders: Mapping[str, str]) -> None:
    if not hinders:
        return
    first = list(hinders.items())[:5]
    raise errors.Refused(
        "; ".join(f"{table} can't be made on the target: {why}" for table, why in first)
        + (f"; and {len(hinders) - len(first)} more" if len(hinders) > len(first) else ""),
        hint="give columns shorter types under tables: NAME: columns:, or leave the table out by source.exclude_tables",
        tables=sorted(hinders),
    )
