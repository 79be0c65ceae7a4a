"""Looks through the source for values that the planned types don't hold, before anything is copied."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from sensei import catalog
from sensei.config import migration as configuration
from sensei.engines import base, hazards
from sensei.plan import model, transformations, zero_dates
from sensei.work import sides


def scan(
    asked: configuration.MigrationConfig,
    made: model.Plan,
    source: sides.Side,
    session: base.Session,
    target: sides.Side,
) -> model.Plan:
    """Return the plan with a risk for each column that holds such values: how many, where, what becomes of them.

    A table none of whose columns could hold any is not read.
    """
    found: list[model.Risk] = []
    for table in made.tables:
        questions = _questions(table, made, source.engine, session, target.engine)
        if not questions:
            continue
        key = _key(table)
        with sides.told("source", source.name):
            met = hazards.scan(source.engine, session, table.source.name, key, questions)
        found += [_risk(table, m, asked) for m in met]
    return dataclasses.replace(made, risks=(*made.risks, *found))


def _questions(
    table: model.TablePlan, made: model.Plan, source: base.Engine, session: base.Session, target: base.Engine
) -> list[hazards.Asked]:
    if source.hazards is None or target.hazards is None:
        return []
    result = []
    for plan in table.columns:
        if made.source_engine == made.target_engine and plan.source_native == plan.target_native:
            continue
        column = table.source.column(plan.source)
        for lack in target.hazards.lacks(plan.source_type, plan.target_native):
            sql = source.hazards.holding(session, table.source.name, column, lack)
            if sql is not None:
                result.append(hazards.Asked(plan.source, lack, sql))
    return result


def zeroed(
    asked: configuration.MigrationConfig,
    tables: Iterable[catalog.Table],
    seen: transformations.Transformed,
    source: sides.Side,
    session: base.Session,
    target: base.Engine,
) -> dict[zero_dates.Key, zero_dates.Zeroed]:
    """Return the columns that `options.zero_dates` speaks of, where they hold such dates among the rows that are taken.

    A column for which the configuration has a type or an expression of its own is left to that.
    """
    policy = asked.options.zero_dates
    found: dict[zero_dates.Key, zero_dates.Zeroed] = {}
    if policy == "fail":
        return found
    for table in tables:
        mapping = asked.tables.get(str(table.name)) or asked.tables.get(table.name.name)
        own = {name for name, c in mapping.columns.items() if c.type or c.expression} if mapping else set()
        view = seen.sights.get(table.name)
        taken = f" AND ({view.where}\n)" if view is not None and view.where else ""
        asks = {c: (lack, sql) for c, lack, sql in zero_dates.asks(policy, table, source.engine, target, session)}
        questions = [hazards.Asked(c, lack, f"({sql}){taken}") for c, (lack, sql) in asks.items() if c not in own]
        if questions:
            for met in hazards.scan(source.engine, session, table.name, (), questions):
                column = table.column(met.column)
                condition = asks[met.column][1]
                found[table.name, met.column] = zero_dates.zeroed(policy, column, condition, met.rows, source.engine)
    return found


def _key(table: model.TablePlan) -> Sequence[str]:
    """Return the columns by which a row is named."""
    if table.key.kind == "columns":
        return table.key.columns
    return table.source.primary.columns if table.source.primary else ()


def _risk(table: model.TablePlan, met: hazards.Met, asked: configuration.MigrationConfig) -> model.Risk:
    rows = f"{met.rows:,} of {table.rows:,} rows hold {met.lack.says}"
    if met.keys:
        more = ", …" if met.rows > len(met.keys) else ""
        rows += f" ({', '.join(_key(table))}: {'; '.join(met.keys)}{more})"
    if asked.options.on_row_error == "stop":
        reason = f"{rows}, and on_row_error is stop: correct them on the source, or choose quarantine"
        return model.Risk("blocking", table.id, met.column, reason)
    return model.Risk("high", table.id, met.column, f"{rows}: such rows go to quarantine")
