"""Remembers how columns were before a migration brought them here, so that they can go home as they were.

A database that Sensei migrated into holds the plan in its ledger, and the plan holds the source's definitions. When
that database becomes a source and the target is of the engine that the tables came from, each column that is still as
it arrived goes back into the type that it had.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sensei import catalog
from sensei.catalog import types
from sensei.plan import model

_WIDTH = re.compile(r"\b(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)", re.IGNORECASE)


@dataclass(frozen=True)
class Home:
    """A column as it was, and what the plan that brought it said of the way there and back."""

    column: catalog.Column
    there: types.Verdict
    back: types.Verdict


@dataclass(frozen=True)
class Homes:
    """What is remembered of tables that came from one engine."""

    columns: dict[tuple[catalog.TableName, str], Home]
    #: The source's own words about tables of which every column goes home, see `catalog.Table.definition`.
    definitions: dict[catalog.TableName, str]


def remembered(found: catalog.Catalog, plans: Sequence[model.Plan], engine: str) -> Homes:
    """Return what plans that ended in this database know of it; later ones count more. `engine` is where it goes."""
    homes = Homes({}, {})
    for plan in plans:
        if plan.source_engine != engine or plan.target_engine != found.engine:
            continue
        for planned in plan.tables:
            table = found.table(planned.target.name)
            if table is None:
                continue
            natives = {c.name: plain(c.native) for c in table.columns}
            for column in planned.columns:
                if natives.get(column.target) == plain(column.target_native):
                    was = planned.source.column(column.source)
                    homes.columns[table.name, column.target] = Home(was, column.there, column.back)
            if all((table.name, c.name) in homes.columns for c in table.columns):
                homes.definitions[table.name] = planned.source.definition
    return homes


def plain(native: str) -> str:
    """Return a type without what a server adds to it when it prints it: widths of integers mean nothing."""
    return _WIDTH.sub(r"\1", native).lower()
