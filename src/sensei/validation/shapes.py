"""Execution plans of both sides reduced to one shape: which table is reached by what, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sensei import catalog
from sensei.engines import asking
from sensei.validation import asked, questions, scope


@dataclass(frozen=True)
class Lost:
    """A table that the source reaches by an index and the target reads whole."""

    table: str  #: id of the planned table
    index: str  #: as the source calls it
    columns: tuple[str, ...]  #: of the target, that the index would be on
    is_missing: bool  #: the target has no index that begins like it

    @property
    def says(self) -> str:
        """Tell it in an operator's words."""
        on = f"{self.table} ({', '.join(self.columns)})" if self.columns else self.table
        if self.is_missing:
            return f"the target reads all of {self.table}: it has no index on {on}, as {self.index} on the source"
        return f"the target reads all of {self.table}, though it has an index on {on}, as {self.index} on the source"


def words(accesses: Sequence[asking.Access]) -> str:
    """Tell a plan in one line, in the order of its joins."""
    ways = {"scan": "all rows", "key": "its key", "index": "index"}
    return ", then ".join(
        f"{a.name} by {ways[a.way]}{f' {a.index}' if a.index and a.way != 'key' else ''}"
        + (f" (about {a.rows:,.0f} rows)" if a.rows is not None else "")
        for a in accesses
    )


def lost(
    tree: Any,
    plan: scope.Plan,
    source: Sequence[asking.Access],
    target: Sequence[asking.Access],
    there: Mapping[catalog.TableName, catalog.Table],
) -> list[Lost]:
    """Return the tables that are reached by an index on the source and read whole on the target.

    `there` are the target's tables as they are now.
    """
    named = asked.tables(tree, plan)
    found: dict[str, Lost] = {}
    whole = {t.id for a in target if a.way == "scan" and (t := _planned(named, a)) is not None}
    for access in source:
        planned = _planned(named, access)
        if access.way == "scan" or planned is None or planned.id not in whole:
            continue
        columns = _renamed(planned, _columns(planned.source, access))
        is_now = there.get(planned.target.name)
        if is_now is None:
            continue
        heads = _heads(is_now)
        name = access.index or "the primary key"
        found[planned.id] = Lost(planned.id, name, columns, bool(columns) and columns[0] not in heads)
    return list(found.values())


def look(ends: questions.Ends, of_source: str, of_target: str) -> tuple[list[asking.Access], list[asking.Access]]:
    """Return how both servers would get at the tables."""
    with ends.source.told():
        here = ends.source.ask.accesses(ends.source.session, of_source)
    with ends.target.told():
        return here, ends.target.ask.accesses(ends.target.session, of_target)


def _planned(named: Mapping[str, scope.Planned], access: asking.Access) -> scope.Planned | None:
    found = named.get(access.name.lower())
    if found is None:  # some servers print the table where a query gives it another name
        hits = [p for p in named.values() if access.name in (p.source.name.name, p.target.name.name)]
        return hits[0] if len(hits) == 1 else None
    return found


def _columns(table: catalog.Table, access: asking.Access) -> tuple[str, ...]:
    """Return the columns of the index that a plan names."""
    primary = table.primary.columns if table.primary else ()
    if access.way == "key" or (table.primary is not None and access.index == table.primary.name):
        return primary
    for index in table.indexes:
        if index.name == access.index:
            return tuple(c.name for c in index.columns if c.name is not None)
    for key in table.uniques:
        if key.name == access.index:
            return key.columns
    for foreign in table.foreign_keys:
        if foreign.name == access.index:
            return foreign.columns
    if access.index.startswith("sqlite_autoindex_"):
        keys = [k.columns for k in (table.primary, *table.uniques) if k is not None]
        number = access.index.rpartition("_")[2]
        if number.isdigit() and 0 < int(number) <= len(keys):
            return keys[int(number) - 1]
    return ()


def _renamed(planned: scope.Planned, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(planned.names[c] for c in columns if c in planned.names)


def _heads(table: catalog.Table) -> set[str]:
    """Return the columns that an index of a table begins with."""
    keys = [k.columns for k in (table.primary, *table.uniques) if k is not None]
    heads = {columns[0] for columns in keys if columns}
    return heads | {i.columns[0].name for i in table.indexes if i.columns and i.columns[0].name and i.valid}
