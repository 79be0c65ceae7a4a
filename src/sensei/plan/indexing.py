"""Shapes indexes for the target: over the same columns, or over expressions and conditions that mean the same there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sensei import catalog, errors
from sensei.plan import carrying, constraints, expressions, model

if TYPE_CHECKING:  # the mapper calls this with itself
    from sensei.plan import mapping


def indexes(
    mapper: mapping.Mapper, source: catalog.Table, target: catalog.Table, plans: Sequence[model.ColumnPlan]
) -> tuple[catalog.Index, ...]:
    """Return the table's indexes in the target's words; those that can't be there are noted with the reason."""
    result = []
    for index in source.indexes:
        try:
            shaped = _shaped(mapper, source, target, plans, index)
        except errors.BadInput as problem:
            mapper.leave("index", f"{source.name}.{index.name}", problem.message, index.definition)
            continue
        constraints.told_renamed(mapper, source, "index", index.name, shaped.name)
        if index.include and not mapper.same:
            reason = f"index {index.name} arrives without {', '.join(index.include)}, which it only carries along"
            mapper.risk("info", source.name, None, reason)
        result.append(shaped)
    return tuple(result)


def _shaped(
    mapper: mapping.Mapper, source: catalog.Table, target: catalog.Table, plans: Sequence[model.ColumnPlan],
    index: catalog.Index,
) -> catalog.Index:  # fmt: skip
    """Return one index as it is to be there; raises BadInput with the reason where it can't be."""
    renamed = any(a != b for a, b in mapper.column_names[source.name].items())
    computed = bool(index.where or any(c.expression for c in index.columns))
    if not index.valid:
        raise errors.BadInput("invalid on the source")
    if mapper.same:
        if reason := mapper.missing(*_words(index)):
            raise errors.BadInput(reason)
    else:
        _refuse_unportable(mapper, source, index)
    where = index.where
    if computed and (renamed or not mapper.same):
        where = _condition(mapper, source, target, plans, index)
    names = mapper.column_names[source.name]
    columns = tuple(_element(mapper, source, target, index, c) for c in index.columns)
    return dataclasses.replace(
        index,
        name=mapper.names.free_index(target.name, index.name),
        columns=columns,
        include=tuple(names[c] for c in index.include) if mapper.same else (),
        where=where,
        method=index.method if mapper.same else "btree",
        definition="",
    )


def _element(
    mapper: mapping.Mapper,
    source: catalog.Table,
    target: catalog.Table,
    index: catalog.Index,
    column: catalog.IndexColumn,
) -> catalog.IndexColumn:
    names = mapper.column_names[source.name]
    expression = column.expression
    renamed = any(a != b for a, b in names.items())
    if expression is not None and (renamed or not mapper.same):
        carried = carrying.carry(mapper, source, expression, target.columns, carrying.Use.INDEX)
        if not carried.sql:
            raise errors.BadInput(f"over an expression: {carried.says}")
        expression = carried.sql
    return dataclasses.replace(
        column,
        name=names[column.name] if column.name is not None else None,
        expression=expression,
        collation=column.collation if mapper.same else None,
        opclass=column.opclass if mapper.same else None,
        prefix=column.prefix if mapper.same else None,
    )


def _condition(
    mapper: mapping.Mapper, source: catalog.Table, target: catalog.Table, plans: Sequence[model.ColumnPlan],
    index: catalog.Index,
) -> str | None:  # fmt: skip
    if index.where is None:
        return None
    known = constraints.readable(plans)
    where = expressions.translate(index.where, mapper.source.name, mapper.dialect, known)
    if where is None:
        carried = carrying.carry(mapper, source, index.where, target.columns, carrying.Use.CONDITION)
        if not carried.sql:
            raise errors.BadInput(f"partial, and its condition is not carried: {carried.says}")
        where = carried.sql
    return where


def _words(index: catalog.Index) -> list[str | None]:
    return [index.where, *(w for c in index.columns for w in (c.expression, c.collation, c.opclass))]


def _refuse_unportable(mapper: mapping.Mapper, source: catalog.Table, index: catalog.Index) -> None:
    can = mapper.target.capabilities
    if index.where and not can.partial_indexes:
        raise errors.BadInput("partial: the target has no such indexes")
    if any(c.expression for c in index.columns) and not can.expression_indexes:
        raise errors.BadInput("over an expression: the target has no such indexes")
    if index.method != "btree":
        raise errors.BadInput(f"the target has no {index.method} indexes")
    for column in index.columns:
        if column.prefix is not None and column.name is not None:
            _refuse_prefix(mapper, source, index, column.name, column.prefix)
    if index.unique and any(c.collation for c in index.columns):
        raise errors.BadInput("unique under a collation that the target does not have")
    if index.unique and not index.nulls_distinct:
        raise errors.BadInput("treats NULLs as equal, which the target does not")


def _refuse_prefix(mapper: mapping.Mapper, source: catalog.Table, index: catalog.Index, name: str, prefix: int) -> None:
    """Raise BadInput where an index over the first characters of a column can't become one over the whole of it."""
    if index.unique:
        raise errors.BadInput(f"unique over the first {prefix} characters of {name}, which the target has no index for")
    length = source.column(name).type.length
    limit = mapper.target.capabilities.index_element_bytes
    if limit is not None and (length is None or length * 4 > limit):
        reason = f"over the first {prefix} characters of {name} only; the whole may be too long for an index there"
        raise errors.BadInput(reason)
    reason = f"index {index.name} is over the whole of {name}, and not its first {prefix} characters alone"
    mapper.risk("info", source.name, name, reason)
