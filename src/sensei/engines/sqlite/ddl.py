"""Definitions in SQLite's dialect: all of a table inline, because SQLite adds no key to a table that exists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base, defining
from sensei.engines.sqlite import declared, names, parse_table
from sensei.engines.sqlite.render import EXACT_DIGITS

Kind = types.Kind
Verdict = types.Verdict

_IDENTITY_DEFAULTS = ("nextval",)
_RANDOM_UUID = (
    "(lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||"
    " substr('89ab', 1 + (abs(random() % 4)), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))"
)
_PORTABLE = {
    "null": "NULL",
    "current_timestamp": "CURRENT_TIMESTAMP",
    "current_date": "CURRENT_DATE",
    "current_time": "CURRENT_TIME",
    "random_uuid": _RANDOM_UUID,
}
_PLAIN = {
    Kind.BOOLEAN: ("BOOLEAN", "SQLite stores booleans as 0 and 1 and does not keep other values out"),
    Kind.BYTES: ("BLOB", ""),
    Kind.DATE: ("DATE", "SQLite stores dates as ISO text and does not keep other text out"),
    Kind.TIME: ("TIME", "SQLite stores times as ISO text and does not keep other text out"),
    Kind.TIMESTAMP: ("TIMESTAMP", "SQLite stores timestamps as ISO text and does not keep other text out"),
    Kind.TIMESTAMPTZ: (
        "TIMESTAMPTZ",
        "SQLite stores timestamps as ISO text in UTC and does not keep other text out",
    ),
    Kind.UUID: ("UUID", "SQLite stores a uuid as text and does not keep other text out"),
    Kind.JSON: ("JSON TEXT", "SQLite does not check that the text is JSON"),
    Kind.JSONB: ("JSONB TEXT", "SQLite does not check that the text is JSON"),
    Kind.ANY: ("", ""),
}


class DDL:
    """Fills the port `defining.DDL`."""

    def quote(self, name: str) -> str:
        """Quote one identifier; raises BadInput for NUL or an empty name."""
        return names.quote(name)

    def qualified(self, name: catalog.TableName) -> str:
        """Quote a table's name; SQLite has no schemas."""
        return names.qualified(name)

    def map_type(self, logical: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
        """Choose the declared type; between two SQLite files it is the source's own words."""
        if source_engine == "sqlite":
            return types.Mapped(logical.native, Verdict.EXACT, Verdict.EXACT)
        native, reason = _native(logical, facts)
        if native is None:
            return types.Mapped("", Verdict.NONE, Verdict.NONE, f"SQLite has no type for {logical}")
        return types.Mapped(native, Verdict.WIDENING if reason else Verdict.EXACT, Verdict.EXACT, reason)

    def fit(self, table: catalog.Table, parents: Mapping[catalog.TableName, catalog.Table]) -> defining.Fitted:
        """Return what a key becomes that is the table's rowid; all else may be of any size and type."""
        alias = _rowid_alias(table)
        if alias is None or alias.native.upper() == "INTEGER":
            numbered = [c.name for c in table.columns if c.identity is not None and c is not alias]
            return defining.Fitted(
                notes=tuple(f"{name} does not number itself on SQLite: only a table's rowid does" for name in numbered)
            )
        exact, reason = types.Verdict.EXACT, "as the key it is the table's rowid, which is always INTEGER"
        return defining.Fitted(types={alias.name: types.Mapped("INTEGER", exact, exact, reason)})

    def translate_default(self, default: catalog.Default, logical: types.LogicalType) -> str | None:
        """Return the default's SQL, or None where SQLite can't say it."""
        if default.kind == "current_timestamp" and logical.kind is Kind.TIMESTAMPTZ:
            return "(strftime('%Y-%m-%d %H:%M:%f+00', 'now'))"
        if default.kind in _PORTABLE:
            return _PORTABLE[default.kind]
        if default.kind != "literal" or default.value is None:
            return None
        value = default.value
        match logical.kind:
            case Kind.BOOLEAN:
                return {"t": "1", "f": "0"}.get(value)
            case Kind.BYTES:
                return f"x'{value[2:]}'" if value.startswith("\\x") else None
            case Kind.INTEGER | Kind.DECIMAL | Kind.FLOAT if _is_number(value):
                return value if logical.kind is not Kind.DECIMAL or _short(logical) else names.literal(value)
            case Kind.INTEGER | Kind.DECIMAL | Kind.FLOAT:
                return None
            case _:
                return names.literal(value)

    def create(self, thing: catalog.Table | catalog.Sequence) -> list[str]:
        """Return the statements that create a table with its keys; a sequence needs none, AUTOINCREMENT is one."""
        return [] if isinstance(thing, catalog.Sequence) else [_create_table(thing)]

    def create_schema(self, name: str) -> list[str]:
        """Return nothing: SQLite has no schemas."""
        return []

    def finish(self, table: catalog.Table) -> list[defining.Finish]:
        """Return the indexes, and of each foreign key the proof that it holds: it was declared with the table."""
        found = [_finish_index(index, table) for index in table.indexes if unbuildable(index) is None]
        # SQLite numbers a table's foreign keys from the last one declared.
        count = len(table.foreign_keys)
        return found + [_finish_foreign_key(key, table, count - 1 - at) for at, key in enumerate(table.foreign_keys)]

    def prime(self, table: catalog.Table, sequences: Sequence[catalog.Sequence]) -> list[str]:
        """Return the statements that put AUTOINCREMENT where the source stands, never behind the data."""
        column = _rowid_alias(table)
        if column is None or not _is_identity(column):
            return []
        stands = [
            # One that was never used begins where it was to begin.
            s.start - 1 if s.last_value is None else s.last_value
            for s in sequences
            if s.owner is not None and s.owner[1] == column.name and (s.last_value is not None or s.start > 1)
        ]
        name, value = names.literal(table.name.name), max(stands, default=0)
        highest = f"(SELECT max({names.quote(column.name)}) FROM {names.qualified(table.name)})"
        known = f"SELECT 1 FROM main.sqlite_sequence WHERE name = {name}"
        # A table that was never used has no line, and gets none.
        place = f"max({int(value)}, ifnull({highest}, {int(value)}))"
        wanted = f"({place}) <> 0" if not stands else "1"
        return [
            f"INSERT INTO main.sqlite_sequence (name, seq) SELECT {name}, 0 WHERE {wanted} AND NOT EXISTS ({known})",
            f"UPDATE main.sqlite_sequence SET seq = max(seq, {place}) WHERE name = {name}",
        ]

    def prime_alone(
        self, sequence: catalog.Sequence, drawing: Sequence[tuple[catalog.TableName, str]] = ()
    ) -> list[str]:
        """Return nothing: SQLite has no sequences but those of AUTOINCREMENT columns."""
        return []


def unbuildable(index: catalog.Index) -> str | None:
    """Return why an index that came from another engine can't be built here, or None."""
    foreign = " USING " in index.definition
    if foreign and index.where is not None:
        return "its condition is in another engine's dialect"
    if foreign and any(c.expression is not None for c in index.columns):
        return "its expression is in another engine's dialect"
    if index.method != "btree":
        return f"SQLite has no {index.method} index"
    return None


_INTEGERS = {8: "TINYINT", 16: "SMALLINT", 24: "MEDIUMINT", 32: "INTEGER", 64: "BIGINT"}


def _native(logical: types.LogicalType, facts: base.ColumnFacts | None = None) -> tuple[str | None, str]:
    match logical.kind:
        case Kind.INTEGER:
            return _integer(logical, facts)
        case Kind.BYTES if logical.length is not None:
            return "BLOB", f"SQLite does not keep a blob to {logical.length} bytes"
        case Kind.TEXT if logical.labels:
            return "TEXT", f"an enum of {len(logical.labels)} labels arrives as text with a check"
        case Kind.DECIMAL if _short(logical):
            reason = f"SQLite does not enforce the digits of {logical}; NaN is rejected"
            return f"DECIMAL({logical.precision},{logical.scale or 0})", reason
        case Kind.DECIMAL:
            limits = "" if logical.precision is None else f"({logical.precision},{logical.scale or 0})"
            return (
                f"NUMERIC TEXT{limits}",
                f"stored as text: SQLite's own numbers hold {EXACT_DIGITS} digits exactly",
            )
        case Kind.FLOAT:
            word = "FLOAT" if logical.bits == 32 else "DOUBLE PRECISION"
            return word, "SQLite holds neither NaN nor -0: rows with them are rejected"
        case Kind.TEXT if logical.length is not None:
            word = "CHAR" if logical.fixed else "VARCHAR"
            return f"{word}({logical.length})", f"SQLite does not enforce the length of {logical}"
        case Kind.TEXT:
            return "TEXT", ""
        case _:
            return _PLAIN.get(logical.kind, (None, ""))


def _integer(logical: types.LogicalType, facts: base.ColumnFacts | None) -> tuple[str, str]:
    word = next(word for bits, word in _INTEGERS.items() if bits >= (logical.bits or 64))
    if logical.unsigned and word == "BIGINT" and (logical.bits or 64) == 64:
        if facts is None or facts.highest is None or facts.highest >= 1 << 63:
            return "NUMERIC TEXT(20,0)", "stored as text: numbers of 64 bits without a sign are beyond SQLite's own"
        return "BIGINT UNSIGNED", f"numbered up to {facts.highest} so far; SQLite's integers end at {(1 << 63) - 1}"
    if logical.unsigned:
        return f"{word} UNSIGNED", f"SQLite does not enforce the range of {logical}"
    return word, "" if word == "BIGINT" else f"SQLite does not enforce the range of {logical}"


def _short(logical: types.LogicalType) -> bool:
    return logical.precision is not None and logical.precision <= EXACT_DIGITS


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text and text.strip() == text
    except ValueError:
        return False


def _is_identity(column: catalog.Column) -> bool:
    return column.identity is not None or (column.default is not None and column.default.kind in _IDENTITY_DEFAULTS)


def _rowid_alias(table: catalog.Table) -> catalog.Column | None:
    """Return the column that is to be INTEGER PRIMARY KEY, if the table gets one."""
    if table.primary is None or len(table.primary.columns) != 1 or _options(table)[0]:
        return None
    column = table.column(table.primary.columns[0])
    if column.type.kind is not Kind.INTEGER or column.generated is not None:
        return None
    if declared.affinity(column.native) != "integer":  # numbers beyond SQLite's own are stored as text
        return None
    # Another SQLite's INT PRIMARY KEY is not its rowid, and stays so.
    if column.type.native and names.fold(column.type.native) != "integer":
        return None
    return column


def _options(table: catalog.Table) -> tuple[bool, bool]:
    parsed = parse_table.parse(table.definition)
    return parsed.without_rowid, parsed.strict


def _create_table(table: catalog.Table) -> str:
    parsed = parse_table.parse(table.definition)
    alias = _rowid_alias(table)
    lines = [_column(c, c is alias, table, parsed) for c in table.columns]
    if table.primary is not None and alias is None:
        lines.append(_key("PRIMARY KEY", table.primary))
    lines += [_key("UNIQUE", key) for key in table.uniques]
    lines += [f"CONSTRAINT {names.quote(c.name)} CHECK ({c.sql})" for c in table.checks]
    lines += [_foreign_key(key) for key in table.foreign_keys]
    options = [text for text, wanted in (("WITHOUT ROWID", parsed.without_rowid), ("STRICT", parsed.strict)) if wanted]
    tail = " " + ", ".join(options) if options else ""
    inside = ",\n  ".join(lines)
    return f"CREATE TABLE {names.qualified(table.name)} (\n  {inside}\n){tail}"


def _column(column: catalog.Column, alias: bool, table: catalog.Table, parsed: parse_table.ParsedTable) -> str:
    parts = [names.quote(column.name)]
    if alias:
        assert table.primary is not None
        parts += ["INTEGER", f"CONSTRAINT {names.quote(table.primary.name)}" if table.primary.name else ""]
        parts += ["PRIMARY KEY", "AUTOINCREMENT" if _is_identity(column) else ""]
    else:
        parts.append(names.type_name(column.native))
    # NOT NULL on the rowid's own column would be true anyway.
    if not column.nullable and not alias:
        parts.append("NOT NULL")
    if column.default is not None and column.generated is None and not _is_identity(column):
        parts.append(f"DEFAULT {column.default.sql}")
    if column.collation is not None and column.type.native:
        parts.append(f"COLLATE {names.quote(column.collation)}")
    if column.generated is not None:
        stored = parsed.column(column.name).stored or not table.definition
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) {'STORED' if stored else 'VIRTUAL'}")
    return " ".join(p for p in parts if p)


def _key(words: str, key: catalog.Key) -> str:
    name = f"CONSTRAINT {names.quote(key.name)} " if key.name else ""
    return f"{name}{words} ({', '.join(map(names.quote, key.columns))})"


def _foreign_key(key: catalog.ForeignKey) -> str:
    name = f"CONSTRAINT {names.quote(key.name)} " if key.name else ""
    # A parent that does not exist has no key that could be filled in.
    references = f" ({', '.join(map(names.quote, key.references))})" if key.references else ""
    parts = [
        f"{name}FOREIGN KEY ({', '.join(map(names.quote, key.columns))})",
        f"REFERENCES {names.quote(key.table.name)}{references}",
    ]
    parts += [f"ON {event} {action}" for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update))
              if action != "NO ACTION"]  # fmt: skip
    if key.deferrable:
        parts.append("DEFERRABLE INITIALLY DEFERRED" if key.deferred else "DEFERRABLE INITIALLY IMMEDIATE")
    return " ".join(parts)


def _finish_index(index: catalog.Index, table: catalog.Table) -> defining.Finish:
    columns = tuple(c.name for c in index.columns if c.name is not None)
    return defining.Finish(
        "index",
        index.name,
        (_create_index(index, table),),
        columns,
        violators=_duplicates(index, table) if index.unique else "",
        removal=(f"DROP INDEX IF EXISTS main.{names.quote(index.name)}",),
    )


def _duplicates(index: catalog.Index, table: catalog.Table) -> str:
    """Return the condition that is true for all rows but the first of those that a unique index takes for one."""
    alias = None if _options(table)[0] else names.rowid_alias([c.name for c in table.columns])
    key = [alias] if alias is not None else _quoted_primary(table)
    elements = [_element(c, index) for c in index.columns]
    filled = [f"{e} IS NOT NULL" for e in elements] + ([f"({index.where})"] if index.where is not None else [])
    numbered = (
        f"SELECT {', '.join(key)}, row_number() OVER (PARTITION BY {', '.join(elements)} ORDER BY {', '.join(key)})"
        f" AS sensei_number FROM {names.qualified(table.name)} WHERE {' AND '.join(filled)}"
    )
    outer = ", ".join(f"c.{k}" for k in key)
    left = f"({outer})" if len(key) > 1 else outer
    return f"{left} IN (SELECT {', '.join(key)} FROM ({numbered}) WHERE sensei_number > 1)"


def _quoted_primary(table: catalog.Table) -> list[str]:
    return [names.quote(c) for c in (table.primary.columns if table.primary is not None else ())]


def _finish_foreign_key(key: catalog.ForeignKey, table: catalog.Table, number: int) -> defining.Finish:
    pairs = list(zip(key.columns, key.references, strict=False))
    filled = " AND ".join(f"c.{names.quote(c)} IS NOT NULL" for c in key.columns)
    # The parent's column stands on the left: its collation and affinity decide, as in SQLite's own check.
    same = " AND ".join(f"p.{names.quote(r)} = c.{names.quote(c)}" for c, r in pairs)
    return defining.Finish(
        "foreign_key",
        key.name,
        (),
        key.columns,
        proof='SELECT "rowid", "parent" FROM'
        f" pragma_foreign_key_check({names.literal(table.name.name)}, 'main') WHERE \"fkid\" = {number}",
        violators=f"{filled} AND NOT EXISTS (SELECT 1 FROM {names.qualified(key.table)} AS p WHERE {same})",
    )


def _element(column: catalog.IndexColumn, index: catalog.Index) -> str:
    element = names.quote(column.name) if column.name is not None else str(column.expression)
    if column.collation is not None and " USING " not in index.definition:
        element += f" COLLATE {names.quote(column.collation)}"
    return element


def _create_index(index: catalog.Index, table: catalog.Table) -> str:
    elements = [_element(c, index) + (" DESC" if c.descending else "") for c in index.columns]
    unique = "UNIQUE " if index.unique else ""
    where = f" WHERE {index.where}" if index.where is not None else ""
    on = f"main.{names.quote(index.name)} ON {names.quote(table.name.name)}"
    return f"CREATE {unique}INDEX {on} ({', '.join(elements)}){where}"
