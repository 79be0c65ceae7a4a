"""Writes MariaDB's and MySQL's definitions: tables with their primary key, other keys and indexes after the load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import rowtext, types
from sensei.engines import base, defining
from sensei.engines.mysql import fit, names, typemap

Kind = types.Kind

#: How Sensei's own text compares: by its bytes, trailing blanks included, so that unique keys merge nothing. In
#: comments that only the flavour which knows the word carries out: a definition is written without knowing the server.
BINARY = "CHARACTER SET utf8mb4 /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */"
_UUID = "/*M!100700 uuid */ /*!80000 char(36) CHARACTER SET ascii COLLATE ascii_bin */"

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_COLLATION = re.compile(r"\w+", re.ASCII)
_OPTIONS = re.compile(r"COLLATE=(\w+)", re.ASCII)
_EXTRA = re.compile(r"(?: ?(?:on update \w+(?:\(\d*\))?|invisible))*", re.IGNORECASE)
_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL")
_METHODS = {"btree": "", "hash": " USING HASH", "fulltext": "FULLTEXT ", "spatial": "SPATIAL "}
#: kind of a default -> (in the session's zone, in UTC, as text in UTC), `{0}` the digits of a second
_MOMENTS = {
    "current_timestamp": ("CURRENT_TIMESTAMP{0}", "(UTC_TIMESTAMP{0})", "%Y-%m-%d %H:%i:%s"),
    "current_date": ("(CURRENT_DATE)", "(UTC_DATE())", "%Y-%m-%d"),
    "current_time": ("(CURRENT_TIME{0})", "(UTC_TIME{0})", "%H:%i:%s"),
}


class DDL:
    """Definitions in the dialect of both flavours."""

    def quote(self, name: str) -> str:
        return names.quote(name)

    def qualified(self, name: catalog.TableName) -> str:
        return names.qualified(name)

    def map_type(self, logical: types.LogicalType, source_engine: str, facts: base.ColumnFacts | None) -> types.Mapped:
        return typemap.target(logical, source_engine, facts)

    def fit(self, table: catalog.Table, parents: Mapping[catalog.TableName, catalog.Table]) -> defining.Fitted:
        return fit.fit(table, parents)

    def translate_default(self, default: catalog.Default, logical: types.LogicalType) -> str | None:
        kind = default.kind
        if kind == "null":
            return "NULL"
        if kind == "literal" and default.value is not None:
            return _literal_default(default.value, logical)
        if kind in _MOMENTS:
            return _moment(kind, default.value == "utc", logical)
        if kind == "random_uuid":
            return "(UUID())"
        if kind == "nextval" and default.value is not None:
            schema, _, name = default.value.rpartition(".")
            return f"(NEXTVAL({names.qualified(catalog.TableName(schema, name))}))"
        return None

    def create(self, thing: catalog.Table | catalog.Sequence) -> list[str]:
        return [_create_sequence(thing) if isinstance(thing, catalog.Sequence) else _create_table(thing)]

    def create_schema(self, name: str) -> list[str]:
        return [f"CREATE DATABASE {names.quote(name)} CHARACTER SET utf8mb4"]

    def finish(self, table: catalog.Table) -> list[defining.Finish]:
        early = _early_key(table)
        found = [_unique(table, key) for key in table.uniques if key is not early]
        found += [_index(table, index) for index in table.indexes if index is not early]
        return found + [_foreign_key(table, key) for key in table.foreign_keys]

    def prime(self, table: catalog.Table, sequences: Sequence[catalog.Sequence]) -> list[str]:
        # The server itself never goes behind the data: it takes the larger of this and what the rows need.
        for column in table.columns:
            if column.identity is None:
                continue
            for sequence in sequences:
                if sequence.owner == (table.name, column.name):
                    following = _following(sequence)
                    if following > 1:
                        return [f"ALTER TABLE {names.qualified(table.name)} AUTO_INCREMENT = {following}"]
        return []

    def prime_alone(
        self, sequence: catalog.Sequence, drawing: Sequence[tuple[catalog.TableName, str]] = ()
    ) -> list[str]:
        if sequence.last_value is None:
            return []
        return [f"SELECT SETVAL({names.qualified(sequence.name)}, {int(sequence.last_value)}, 1)"]


def _following(sequence: catalog.Sequence) -> int:
    if sequence.last_value is None:
        return int(sequence.start)
    return int(sequence.last_value) + max(int(sequence.increment), 1)


# -- defaults


def _literal_default(value: str, logical: types.LogicalType) -> str | None:
    """Return a literal for a value, or None where the column's type does not hold it: the server would refuse it."""
    kind = logical.kind
    if kind is Kind.BOOLEAN:
        return {"t": "1", "true": "1", "1": "1", "f": "0", "false": "0", "0": "0"}.get(value.lower())
    if kind is Kind.FLOAT:
        return value if _NUMBER.fullmatch(value) else None
    if kind is Kind.BYTES:
        fits = re.fullmatch(r"\\x(?:[0-9A-Fa-f]{2})*", value) and len(value) // 2 - 1 <= (logical.length or len(value))
        return f"x'{value[2:]}'" if fits else None
    if kind in _CHECKED:
        try:
            text = rowtext.format_value(value, logical)
        except ValueError:
            return None
        if kind is Kind.INTEGER:
            return text
        if not text.lstrip("-")[:1].isdigit() or text.endswith("BC"):  # infinity, NaN, before the calendar's first year
            return None
        return names.literal(text.removesuffix("+00") if kind is Kind.TIMESTAMPTZ else text)
    if kind in (Kind.NATIVE, Kind.UNSUPPORTED):
        return None
    if (logical.labels and value not in logical.labels) or len(value) > (logical.length or len(value)):
        return None
    return names.literal(value)


#: Kinds whose values have a form that can be looked at.
_CHECKED = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ})


def _moment(kind: str, utc: bool, logical: types.LogicalType) -> str:
    local, universal, pattern = _MOMENTS[kind]
    if logical.kind in (Kind.TEXT, Kind.ANY):
        return f"(DATE_FORMAT({'UTC_TIMESTAMP()' if utc else 'CURRENT_TIMESTAMP()'}, '{pattern}'))"
    digits = 6 if logical.precision is None else min(logical.precision, 6)
    shown = f"({digits})" if digits else "()"
    if logical.kind is Kind.TIMESTAMPTZ and kind == "current_timestamp":
        return local.format(shown)  # an instant, whatever the zone
    return (universal if utc else local).format(shown)


# -- tables


def _create_table(table: catalog.Table) -> str:
    early = _early_key(table)
    parts = [_column(c) for c in table.columns]
    if table.primary is not None:
        parts.append(f"PRIMARY KEY ({names.names(table.primary.columns)})")
    if isinstance(early, catalog.Key):
        parts.append(f"UNIQUE KEY {names.quote(early.name)} ({names.names(early.columns)})")
    elif isinstance(early, catalog.Index):
        parts.append(f"{'UNIQUE ' if early.unique else ''}KEY {names.quote(early.name)} ({_elements(early)})")
    elif early is not None:
        parts.append(f"KEY ({names.quote(early)})")
    parts += [
        f"CONSTRAINT {names.quote(c.name)} CHECK ({c.sql}){'' if c.validated else ' NOT ENFORCED'}"
        for c in table.checks
    ]
    comment = f" COMMENT={names.literal(table.comment)}" if table.comment else ""
    own = _OPTIONS.search(table.definition)
    collation = f"COLLATE={own[1]}" if own else BINARY
    inside = ",\n  ".join(parts)
    return f"CREATE TABLE {names.qualified(table.name)} (\n  {inside}\n) ENGINE=InnoDB {collation}{comment}"


def _early_key(table: catalog.Table) -> catalog.Key | catalog.Index | str | None:
    """Return the key that AUTO_INCREMENT needs from the beginning, beside the primary one; a column's name for one that
    the source does not have."""
    column = next((c.name for c in table.columns if c.identity is not None), None)
    if column is None or (table.primary is not None and table.primary.columns[0] == column):
        return None
    for key in table.uniques:
        if key.columns[0] == column:
            return key
    for index in table.indexes:
        if index.columns[0].name == column and index.method == "btree":
            return index
    return column


def _column(column: catalog.Column) -> str:
    parts = [names.quote(column.name), _UUID if column.native == "uuid" else column.native]
    if column.collation and column.native != "uuid":
        if not _COLLATION.fullmatch(column.collation):
            raise errors.BadInput(f"MariaDB and MySQL have no collation {column.collation!r}")
        parts.append(f"COLLATE {column.collation}")
    if column.generated is not None:
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) {'VIRTUAL' if column.virtual else 'STORED'}")
    else:
        parts.append("NULL" if column.nullable else "NOT NULL")
        if column.identity is not None:
            parts.append("AUTO_INCREMENT")
        elif column.default is not None:
            parts.append(f"DEFAULT {_default(column, column.default)}")
    if column.extra:
        if not _EXTRA.fullmatch(column.extra):
            raise errors.BadInput(f"the clause {column.extra!r} of column {column.name} is not known")
        parts.append(column.extra)
    if column.comment:
        parts.append(f"COMMENT {names.literal(column.comment)}")
    check = typemap.marker(column.type, column.native, column.name)
    if check is not None:
        parts.append(f"CHECK ({check})")
    return " ".join(parts)


def _default(column: catalog.Column, default: catalog.Default) -> str:
    # Of texts and blobs MySQL takes expressions only, and MariaDB takes both.
    wide = re.match(r"\w*(?:text|blob)|json", column.native, re.IGNORECASE) is not None
    return f"({default.sql})" if wide and not default.sql.startswith("(") and default.kind != "null" else default.sql


def _create_sequence(s: catalog.Sequence) -> str:
    return (
        f"CREATE SEQUENCE {names.qualified(s.name)} START WITH {int(s.start)} MINVALUE {int(s.minimum)}"
        f" MAXVALUE {min(int(s.maximum), 2**63 - 2)} INCREMENT BY {int(s.increment)}"
        f" {f'CACHE {int(s.cache)}' if s.cache > 0 else 'NOCACHE'} {'CYCLE' if s.cycle else 'NOCYCLE'} ENGINE=InnoDB"
    )


# -- after the load


def _elements(index: catalog.Index) -> str:
    return ", ".join(
        (names.quote(c.name) if c.name is not None else f"({c.expression})")
        + (f"({int(c.prefix)})" if c.prefix else "")
        + (" DESC" if c.descending else "")
        for c in index.columns
    )


def _unique(table: catalog.Table, key: catalog.Key) -> defining.Finish:
    name = names.qualified(table.name)
    add = f"ALTER TABLE {name} ADD UNIQUE KEY {names.quote(key.name)} ({names.names(key.columns)})"
    proof, violators = _duplicates(table, key.columns)
    removal = (f"ALTER TABLE {name} DROP KEY {names.quote(key.name)}",)
    return defining.Finish(
        "unique", key.name, (add,), key.columns, proof, violators, removal, _indexed(table, key.name)
    )


def _index(table: catalog.Table, index: catalog.Index) -> defining.Finish:
    name = names.qualified(table.name)
    if index.method not in _METHODS:
        raise errors.BadInput(f"MariaDB and MySQL have no {index.method} index")
    word = _METHODS[index.method]
    kind, using = ("UNIQUE ", "") if index.unique else (word, "") if word.endswith(" ") else ("", word)
    add = f"ALTER TABLE {name} ADD {kind}INDEX {names.quote(index.name)} ({_elements(index)}){using}"
    plain = tuple(c.name for c in index.columns if c.name is not None and c.prefix is None)
    proof = violators = ""
    if index.unique and len(plain) == len(index.columns):
        proof, violators = _duplicates(table, plain)
    removal = (f"ALTER TABLE {name} DROP INDEX {names.quote(index.name)}",)
    there = _indexed(table, index.name)
    return defining.Finish("index", index.name, (add,), plain, proof, violators, removal, there)


def _schema(table: catalog.Table) -> str:
    return names.literal(table.name.schema) if table.name.schema else "DATABASE()"


def _indexed(table: catalog.Table, name: str) -> str:
    """Write the condition that the table has an index of that name."""
    return (
        f"EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = {_schema(table)}"
        f" AND s.TABLE_NAME = {names.literal(table.name.name)} AND s.INDEX_NAME = {names.literal(name)})"
    )


def _duplicates(table: catalog.Table, columns: Sequence[str]) -> tuple[str, str]:
    """Write the query for values that are there twice, and the condition for all but one row of each."""
    name, listed = names.qualified(table.name), names.names(columns)
    filled = " AND ".join(f"{names.quote(c)} IS NOT NULL" for c in columns)
    proof = f"SELECT {listed}, COUNT(*) FROM {name} WHERE {filled} GROUP BY {listed} HAVING COUNT(*) > 1"
    if table.primary is None:
        return proof, ""  # nothing tells one of the rows from the other
    key = names.names(table.primary.columns)
    numbered = f"SELECT {key}, ROW_NUMBER() OVER (PARTITION BY {listed} ORDER BY {key}) AS n FROM {name} WHERE {filled}"
    outer = ", ".join(f"c.{names.quote(k)}" for k in table.primary.columns)
    return proof, f"({outer}) IN (SELECT {key} FROM ({numbered}) AS numbered WHERE n > 1)"


def _foreign_key(table: catalog.Table, key: catalog.ForeignKey) -> defining.Finish:
    name = names.qualified(table.name)
    add = (
        f"ALTER TABLE {name} ADD CONSTRAINT {names.quote(key.name)} FOREIGN KEY ({names.names(key.columns)})"
        f" REFERENCES {names.qualified(key.table)} ({names.names(key.references)})"
        f" ON DELETE {_action(key.on_delete)} ON UPDATE {_action(key.on_update)}"
    )
    match = " AND ".join(
        f"p.{names.quote(r)} = c.{names.quote(own)}" for own, r in zip(key.columns, key.references, strict=True)
    )
    given = " AND ".join(f"c.{names.quote(own)} IS NOT NULL" for own in key.columns)
    parent = names.qualified(key.table)
    if key.table == table.name:  # a table that rows are deleted from is read at one remove
        parent = f"(SELECT {names.names(key.references)} FROM {parent})"
    orphan = f"({given}) AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE {match})"
    listed = ", ".join(f"c.{names.quote(own)}" for own in key.columns)
    removal = (f"ALTER TABLE {name} DROP FOREIGN KEY {names.quote(key.name)}",)
    proof = f"SELECT {listed} FROM {name} AS c WHERE {orphan}"
    there = (
        "EXISTS (SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS r"
        f" WHERE r.CONSTRAINT_SCHEMA = {_schema(table)} AND r.TABLE_NAME = {names.literal(table.name.name)}"
        f" AND r.CONSTRAINT_NAME = {names.literal(key.name)})"
    )
    # Where the server looks at the rows itself it makes the whole table anew, some thirty times slower than to take
    # them on trust and to ask for orphans. From then on it keeps others to the key.
    statements = ("SET SESSION foreign_key_checks = 0", add, "SET SESSION foreign_key_checks = 1")
    return defining.Finish(
        "foreign_key", key.name, statements, key.columns, proof, orphan, removal, there, trusting=True
    )


def _action(text: str) -> str:
    if text.upper() not in _ACTIONS:
        raise errors.BadInput(f"MariaDB and MySQL know no foreign key action {text!r}")
    return text.upper()
