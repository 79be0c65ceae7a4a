"""What the configuration makes of a source's tables: rows that are left out, columns that are computed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sensei import catalog, errors, queries
from sensei.catalog import sight, types
from sensei.config import migration as configuration
from sensei.config import tables as table_config
from sensei.engines import base
from sensei.plan import model, zero_dates

if TYPE_CHECKING:
    from sensei.plan import mapping

Kind = types.Kind


@dataclass(frozen=True)
class Computed:
    """One column that an expression computes, as far as the plan has to prove something of it."""

    table: catalog.TableName
    column: str
    of: types.LogicalType  #: what the source's own column means
    meant: types.LogicalType  #: what the computed value means
    expression: str
    sql: str  #: the expression, of the type that is meant
    alone: bool  #: it names no other column
    target: str  #: the column's name on the target
    target_native: str
    inverse: str = ""


@dataclass(frozen=True)
class Probe:
    """What asking both servers showed of a computed column."""

    rows: int = 0
    nulls: int = 0
    rounded: int = 0  #: values that the type changed
    back: types.Verdict = types.Verdict.LOSSY
    says: str = ""  #: of the way back, in an operator's words


@dataclass(frozen=True)
class Transformed:
    """The source as the migration sees it."""

    tables: Mapping[catalog.TableName, catalog.Table]  #: those that are seen otherwise than they are
    sights: Mapping[catalog.TableName, sight.Sight]
    computed: tuple[Computed, ...] = ()
    zeroed: Mapping[tuple[catalog.TableName, str], zero_dates.Zeroed] = dataclasses.field(default_factory=dict)
    left: tuple[tuple[str, str, str, str], ...] = ()  #: kind, object, reason, definition of what does not go with them


NOTHING = Transformed({}, {})


def transformed(
    config: configuration.MigrationConfig,
    tables: Iterable[catalog.Table],
    source: base.Engine,
    target: base.Engine,
    zeroed: Mapping[tuple[catalog.TableName, str], zero_dates.Zeroed] | None = None,
) -> Transformed:
    """Read `where` and `expression` of the configuration; raises BadInput and Refused where they can't be heeded.

    `zeroed` are columns that are seen otherwise by `options.zero_dates`.
    """
    zeroed = zeroed or {}
    seen: dict[catalog.TableName, catalog.Table] = {}
    sights: dict[catalog.TableName, sight.Sight] = {}
    computed: list[Computed] = []
    left: list[tuple[str, str, str, str]] = []
    for table in tables:
        mapping = (
            config.tables.get(str(table.name)) or config.tables.get(table.name.name) or table_config.TableMapping()
        )
        zero = {column: how for (name, column), how in zeroed.items() if name == table.name}
        if not (zero or mapping.where or any(c.expression for c in mapping.columns.values())):
            continue
        found = {
            name: _computed(table, name, of, source, target) for name, of in mapping.columns.items() if of.expression
        }
        computed += found.values()
        sights[table.name] = _sight(table, mapping, found, source)
        seen[table.name], lost = _seen(table, found, source, target)
        left += lost
        if zero:
            sights[table.name], seen[table.name], lost = _without_zeros(
                sights[table.name], seen[table.name], zero, source
            )
            left += lost
    return Transformed(seen, sights, tuple(computed), zeroed, tuple(left))


# -- what an operator wrote


def read(text: str, dialect: str, columns: Sequence[str], at: str) -> Any:
    """Return the tree of one expression over a table's own columns; raises BadInput.

    It has to give the same value whenever it is asked, in whatever order rows are read, and can do nothing but read.
    """
    from sqlglot import exp

    try:
        tree = queries.condition(text, dialect)
        if chance := queries.by_chance(tree):
            raise errors.BadInput(f"{chance} gives another value each time")
        _refuse_parts(tree, text, dialect)
        known = {c.lower() for c in columns}
        for column in tree.find_all(exp.Column):
            if column.table:
                raise errors.BadInput(f"write {column.name} without its table")
            if column.name.lower() not in known:
                raise errors.BadInput(f"the table has no column {column.name}")
    except errors.BadInput as problem:
        raise errors.BadInput(f"{at}: {problem.message}", hint=problem.hint) from None
    return tree


def _refuse_parts(tree: Any, text: str, dialect: str) -> None:
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, exp.Query | exp.Exists):
            raise errors.BadInput("it may name the table's own columns, and no other query")
        if isinstance(node, exp.AggFunc | exp.Window):
            raise errors.BadInput("it is asked of each row by itself: no aggregates, no windows")
        if isinstance(node, exp.Placeholder | exp.Parameter | exp.SessionParameter):
            raise errors.BadInput("there is nothing that could fill a placeholder or a variable in")
        is_now = isinstance(node, exp.CurrentTimestamp | exp.CurrentDate | exp.CurrentTime | exp.CurrentDatetime)
        words = ("now", "localtime", "localtimestamp", "sysdate", "unix_timestamp", "utc_timestamp", "clock_timestamp")
        if isinstance(node, exp.Anonymous) and node.name.lower() in words:
            is_now = True
        if isinstance(node, exp.Literal) and node.is_string and node.this.lower() in ("now", "today", "localtime"):
            is_now = True
        if is_now:
            raise errors.BadInput("what time it is changes while rows are copied and compared: write the moment itself")
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`", "''", text)
    if any(mark in bare for mark in ("--", "/*", "*/")) or (dialect == "mysql" and "#" in bare):
        raise errors.BadInput("no comments here")
    if "?" in bare or "\\" in bare:
        raise errors.BadInput("no ? and no \\ outside of quotes here")
    if dialect != "postgres" and "\\" in text:
        raise errors.BadInput("no \\ here")


def meaning(text: str, engine: base.Engine, at: str) -> types.LogicalType:
    """Return what a type in a target's dialect means; raises BadInput for one that no expression can have."""
    from sqlglot import errors as glot
    from sqlglot import exp

    assert engine.ask is not None
    try:
        tree = exp.DataType.build(text, dialect=engine.ask.dialect)
        numbers = [int(p.name) for p in tree.expressions]
    except (glot.SqlglotError, ValueError, AttributeError):
        raise errors.BadInput(f"{at}: {text} can't be read as a type") from None
    word = tree.this.value if isinstance(tree.this, exp.DataType.Type) else ""
    first = numbers[0] if numbers else None
    if word in _INTEGERS:
        return types.LogicalType(Kind.INTEGER, bits=_INTEGERS[word])
    if word == "DECIMAL":
        return types.LogicalType(
            Kind.DECIMAL, precision=first, scale=(numbers[1] if len(numbers) > 1 else 0) if numbers else None
        )
    if word in ("VARCHAR", "NVARCHAR", "CHAR", "NCHAR") and first is not None:
        return types.LogicalType(Kind.TEXT, length=first)
    if word in _SIMPLE:
        return types.LogicalType(_SIMPLE[word], bits={"FLOAT": 32, "DOUBLE": 64}.get(word))
    if word in _TIMES:
        return types.LogicalType(_TIMES[word], precision=first)
    raise errors.BadInput(f"{at}: an expression can't have the type {text}")


_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "MEDIUMINT": 24, "INT": 32, "BIGINT": 64}
_SIMPLE = {
    "FLOAT": Kind.FLOAT, "DOUBLE": Kind.FLOAT, "BOOLEAN": Kind.BOOLEAN, "TEXT": Kind.TEXT, "VARCHAR": Kind.TEXT,
    "MEDIUMTEXT": Kind.TEXT, "LONGTEXT": Kind.TEXT, "TINYTEXT": Kind.TEXT, "DATE": Kind.DATE, "UUID": Kind.UUID,
    "VARBINARY": Kind.BYTES, "BLOB": Kind.BYTES, "LONGBLOB": Kind.BYTES, "MEDIUMBLOB": Kind.BYTES,
}  # fmt: skip
_TIMES = {
    "TIME": Kind.TIME, "TIMESTAMP": Kind.TIMESTAMP, "DATETIME": Kind.TIMESTAMP, "TIMESTAMPNTZ": Kind.TIMESTAMP,
    "TIMESTAMPTZ": Kind.TIMESTAMPTZ,
}  # fmt: skip

# -- how a table is seen


def _computed(
    table: catalog.Table, name: str, of: table_config.ColumnMapping, source: base.Engine, target: base.Engine
) -> Computed:
    from sqlglot import exp

    assert source.ask is not None and target.ask is not None and of.expression is not None
    at = f"tables.{table.name.name}.columns.{name}"
    column = next((c for c in table.columns if c.name == name), None)
    if column is None:
        raise errors.UnknownName(f"{at}: the table has no column of that name", table=str(table.name), column=name)
    _refuse_keys(table, column, at)
    tree = read(of.expression, source.ask.dialect, [c.name for c in table.columns], f"{at}.expression")
    if of.type is None:
        meant, native = column.type, column.native
        target_native = target.ddl.map_type(meant, source.name, None).native
    else:
        meant = meaning(of.type, target, f"{at}.type")
        native, target_native = source.ddl.map_type(meant, target.name, None).native, of.type
    if meant.kind not in types.EVERYDAY or meant.kind is Kind.ANY:
        raise errors.BadInput(f"{at}: name the type that the expression has on the target, under type:")
    if of.inverse is not None:
        read(of.inverse, target.ask.dialect, [of.target or name], f"{at}.inverse")
    named = {c.name.lower() for c in tree.find_all(exp.Column)}
    return Computed(
        table.name, name, column.type, meant, of.expression,
        source.ask.computed(of.expression, meant, native), named <= {name.lower()}, of.target or name, target_native,
        of.inverse or "",
    )  # fmt: skip


def _refuse_keys(table: catalog.Table, column: catalog.Column, at: str) -> None:
    keys = [k.columns for k in (table.primary, *table.uniques) if k is not None]
    keys += [tuple(c.name or "" for c in i.columns) for i in table.indexes if i.unique]
    if any(column.name in k for k in keys) or any(column.name in f.columns for f in table.foreign_keys):
        raise errors.Refused(
            f"{at}: {column.name} is part of a key, by which rows are found on both sides; it can't be computed",
            hint="leave the key as it is, and compute another column",
        )
    if column.generated is not None or column.identity is not None:
        raise errors.Refused(f"{at}: {column.name} is computed or numbered by the source itself")


def _sight(
    table: catalog.Table, mapping: table_config.TableMapping, found: Mapping[str, Computed], source: base.Engine
) -> sight.Sight:
    where = mapping.where or ""
    if where:
        assert source.ask is not None
        read(where, source.ask.dialect, [c.name for c in table.columns], f"tables.{table.name.name}.where")
    hidden = table.rowid if table.rowid and not any(c.name.lower() == table.rowid for c in table.columns) else ""
    columns = tuple(
        sight.SightColumn(c.name, found[c.name].sql, _native(found[c.name], c, source))
        if c.name in found
        else sight.SightColumn(c.name)
        for c in table.columns
    )
    return sight.Sight(columns, where, hidden)


def _native(computed: Computed, column: catalog.Column, source: base.Engine) -> str:
    if computed.meant == column.type:
        return column.native
    return source.ddl.map_type(computed.meant, source.name, None).native


def _seen(
    table: catalog.Table, found: Mapping[str, Computed], source: base.Engine, target: base.Engine
) -> tuple[catalog.Table, list[tuple[str, str, str, str]]]:
    """Return the table with its computed columns in the place of its own, and what can't go with them."""
    left: list[tuple[str, str, str, str]] = []

    def lost(kind: str, name: str, sql: str) -> bool:
        named = [c for c in found if sql and re.search(rf"(?<![\w$]){re.escape(c)}(?![\w$])", sql, re.IGNORECASE)]
        if named:
            left.append((kind, f"{table.name}.{name}", f"it names {named[0]}, which an expression computes", sql))
        return bool(named)

    columns = []
    for column in table.columns:
        if (computed := found.get(column.name)) is not None:
            if column.default is not None and column.default.kind != "null":
                reason = "it is of the column that an expression computes"
                left.append(("default", f"{table.name}.{column.name}", reason, column.default.sql))
            columns.append(
                dataclasses.replace(
                    column, type=computed.meant, native=_native(computed, column, source), default=None, collation=None,
                    extra="",
                )
            )  # fmt: skip
        elif column.generated is not None and lost("generated", column.name, column.generated):
            columns.append(dataclasses.replace(column, generated=None, virtual=False))
        else:
            columns.append(column)
    checks = tuple(c for c in table.checks if not lost("check", c.name, c.sql))
    indexes = tuple(
        i
        for i in table.indexes
        if not lost("index", i.name, " ".join([*(c.expression or "" for c in i.columns), i.where or ""]))
    )
    return dataclasses.replace(table, columns=tuple(columns), checks=checks, indexes=indexes), left


def _without_zeros(
    view: sight.Sight, table: catalog.Table, zero: Mapping[str, zero_dates.Zeroed], source: base.Engine
) -> tuple[sight.Sight, catalog.Table, list[tuple[str, str, str, str]]]:
    """Return how a table is seen where `zero_dates` has other values in the place of some."""
    columns, shown, left = [], [], []
    for column, part in zip(table.columns, view.columns, strict=True):
        if (how := zero.get(column.name)) is None:
            columns.append(column)
            shown.append(part)
            continue
        other, lost = zero_dates.column(column, how, source)
        if lost and column.default is not None:
            left.append(("default", f"{table.name}.{column.name}", lost, column.default.sql))
        columns.append(other)
        shown.append(sight.SightColumn(column.name, how.sql, other.native))
    return (
        dataclasses.replace(view, columns=tuple(shown)),
        dataclasses.replace(table, columns=tuple(columns)),
        left,
    )


# -- what the plan says of it


def say(
    mapper: mapping.Mapper,
    tables: Sequence[model.TablePlan],
    orphans: Mapping[tuple[catalog.TableName, str], int],
) -> None:
    """Enter what conditions leave out, and what becomes of rows whose parent is among it."""
    for table in tables:
        if table.seen_as is not None and table.seen_as.where:
            mapper.risk(
                "info", table.source.name, None,
                f"only {table.rows:,} rows are taken, where {table.seen_as.where}; all others stay on the source alone",
            )  # fmt: skip
        for key in table.source.foreign_keys:
            if (n := orphans.get((table.source.name, key.name))) and table.target.foreign_keys:
                mapper.risk(
                    "high", table.source.name, key.columns[0],
                    f"{n:,} rows point at rows of {key.table} that its `where` leaves out: they go to quarantine; leave"
                    " them out by a `where` of their own, or take their parents along",
                )  # fmt: skip


def mapped(probe: Probe, native: str, expression: str) -> types.Mapped:
    """Return what a computed column is on the target, as far as it was proven."""
    rounded = f"; the type rounds {probe.rounded:,} of {probe.rows:,} values" if probe.rounded else ""
    there = types.Verdict.LOSSY if probe.rounded or probe.back is types.Verdict.LOSSY else types.Verdict.EXACT
    return types.Mapped(native, there, probe.back, f"computed by {expression}: {probe.says}{rounded}")


def coerced(mapper: mapping.Mapper) -> tuple[model.Coerced, ...]:
    """Return how many values of each column arrive as others, by which decision."""
    found = []
    for (table, column), zero in mapper.zeroed.items():
        becomes = "arrive as NULL" if zero.policy == "null" else "arrive as text, as does all of the column"
        decision = f"zero_dates: {zero.policy}"
        found.append(model.Coerced(str(table), column, decision, zero.rows, mapper.rows.get(table, 0), becomes))
    for (table, column), probe in mapper.probes.items():
        says = f"computed; the type rounds {probe.rounded:,} of them" if probe.rounded else "computed"
        by = mapper.override_named(table, column)
        decision = f"expression: {by.expression}" if by is not None else "expression"
        found.append(model.Coerced(str(table), column, decision, probe.rows - probe.nulls, probe.rows, says))
    return tuple(found)
