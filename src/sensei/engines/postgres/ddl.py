"""Writes PostgreSQL's definitions: tables to load, keys and indexes after the load, positions of sequences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from sensei import catalog, errors
from sensei.catalog import rowtext, types
from sensei.engines import base, defining
from sensei.engines.postgres import fit, typemap

#: Bytes of the longest name; the server would cut longer ones silently.
MAX_NAME = 63

_NUMERIC = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_COLLATION = re.compile(r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*)(?:\.(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_]*))?')
# SQLite's CURRENT_TIMESTAMP is in UTC whatever the session, and so stays after a move; others' are local.
_UTC = "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')"
_PATTERNS = {"current_timestamp": "YYYY-MM-DD HH24:MI:SS", "current_date": "YYYY-MM-DD", "current_time": "HH24:MI:SS"}
_CASTS = {"current_timestamp": _UTC, "current_date": f"({_UTC}::date)", "current_time": f"({_UTC}::time)"}
_LOCAL = {"current_timestamp": "LOCALTIMESTAMP", "current_date": "CURRENT_DATE", "current_time": "LOCALTIME"}


def quote(name: str) -> str:
    """Quote one identifier; raises BadInput for one that PostgreSQL can't hold."""
    if not name or "\0" in name:
        raise errors.BadInput(f"PostgreSQL can't hold the name {name!r}")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME:
        raise errors.BadInput(
            f"the name {name!r} is longer than the {MAX_NAME} bytes that PostgreSQL keeps",
            hint="rename it in the migration file under tables: (target:)",
            name=name,
        )
    return '"' + name.replace('"', '""') + '"'


def qualified(name: catalog.TableName) -> str:
    """Quote a full table name."""
    return f"{quote(name.schema)}.{quote(name.name)}" if name.schema else quote(name.name)


def literal(text: str) -> str:
    """Quote a string for where no value can be bound: definitions and scripts."""
    if "\0" in text:
        raise errors.BadInput("PostgreSQL's text can't hold a NUL character")
    return "'" + text.replace("'", "''") + "'"


def dollar(body: str) -> str:
    """Quote with a tag that the text does not hold."""
    tags = itertools.chain(["sensei"], (f"sensei_{n}" for n in itertools.count(2)))
    tag = next(t for t in tags if f"${t}$" not in body)
    return f"${tag}$\n{body}\n${tag}$"  # on lines of their own: a body may end in $


def names(columns: Sequence[str]) -> str:
    """Quote a list of columns."""
    return ", ".join(map(quote, columns))


class DDL:
    """Definitions in PostgreSQL's dialect."""

    def quote(self, name: str) -> str:
        return quote(name)

    def qualified(self, name: catalog.TableName) -> str:
        return qualified(name)

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
        if kind in _CASTS:
            if logical.kind is types.Kind.TEXT:
                moment = _UTC if default.value == "utc" else "LOCALTIMESTAMP"
                return f"to_char({moment}, '{_PATTERNS[kind]}')"
            if kind == "current_timestamp" and logical.kind is types.Kind.TIMESTAMPTZ:
                return "CURRENT_TIMESTAMP"
            return _CASTS[kind] if default.value == "utc" else _LOCAL[kind]
        if kind == "random_uuid":
            return "gen_random_uuid()" + ("::text" if logical.kind is types.Kind.TEXT else "")
        if kind == "nextval" and default.value is not None:
            # At the first point: names of tables, and so of their sequences, hold points sooner than schemas do.
            schema, point, name = default.value.partition(".")
            if not point:
                schema, name = "", schema
            return f"nextval({literal(qualified(catalog.TableName(schema, name)))}::regclass)"
        return None

    def create(self, thing: catalog.Table | catalog.Sequence) -> list[str]:
        if isinstance(thing, catalog.Sequence):
            name = qualified(thing.name)
            return [f"CREATE SEQUENCE {name} AS {_integer_type(thing.data_type)} {_options(thing)}"]
        table = qualified(thing.name)
        parts = [_column(c) for c in thing.columns]
        parts += [f"CONSTRAINT {quote(c.name)} CHECK ({c.sql})" for c in thing.checks if c.validated]
        found = [f"CREATE TABLE {table} (\n  " + ",\n  ".join(parts) + "\n)"]
        if thing.comment:
            found.append(f"COMMENT ON TABLE {table} IS {literal(thing.comment)}")
        found += [
            f"COMMENT ON COLUMN {table}.{quote(c.name)} IS {literal(c.comment)}" for c in thing.columns if c.comment
        ]
        return found

    def create_schema(self, name: str) -> list[str]:
        return [f"CREATE SCHEMA {quote(name)}"]

    def finish(self, table: catalog.Table) -> list[defining.Finish]:
        name = qualified(table.name)
        found: list[defining.Finish] = []
        keys = [("primary_key", table.primary)] if table.primary else []
        for kind, key in [*keys, *(("unique", u) for u in table.uniques)]:
            word = "PRIMARY KEY" if kind == "primary_key" else "UNIQUE"
            if not key.nulls_distinct:
                word += " NULLS NOT DISTINCT"
            add = f"ALTER TABLE {name} ADD CONSTRAINT {quote(key.name)} {word} ({names(key.columns)})"
            proof, violators = _duplicates(name, key.columns, key.nulls_distinct)
            if kind == "primary_key":
                violators = " OR ".join([violators, *(f"c.{quote(c)} IS NULL" for c in key.columns)])
            removal = _drop_constraint(name, key.name)
            found.append(
                defining.Finish(kind, key.name, (add + _deferral(key),), key.columns, proof, violators, removal)
            )
        found += [_index(table.name, i) for i in table.indexes if i.valid]
        for check in table.checks:
            if not check.validated:
                add = f"ALTER TABLE {name} ADD CONSTRAINT {quote(check.name)} CHECK ({check.sql}) NOT VALID"
                removal = _drop_constraint(name, check.name)
                found.append(defining.Finish("check", check.name, (add,), removal=removal))
        found += [_foreign_key(name, f) for f in table.foreign_keys]
        return found

    def prime(self, table: catalog.Table, sequences: Sequence[catalog.Sequence]) -> list[str]:
        name = qualified(table.name)
        owned = {s.owner[1]: s for s in sequences if s.owner and s.owner[0] == table.name}
        found: list[str] = []
        for column in table.columns:
            sequence = owned.get(column.name)
            if column.identity:
                get = f"pg_catalog.pg_get_serial_sequence({literal(name)}, {literal(column.name)})::regclass"
                if sequence is not None and column.identity != "autoincrement":
                    found.append(
                        f"ALTER TABLE {name} ALTER COLUMN {quote(column.name)} "
                        + " ".join(f"SET {part}" for part in _option_list(sequence, column.native))
                    )
            elif sequence is not None:
                found.append(f"ALTER SEQUENCE {qualified(sequence.name)} OWNED BY {name}.{quote(column.name)}")
                get = f"{literal(qualified(sequence.name))}::regclass"
            else:
                continue
            found.append(advance(get, [(table.name, column.name)], sequence))
        return found

    def prime_alone(
        self, sequence: catalog.Sequence, drawing: Sequence[tuple[catalog.TableName, str]] = ()
    ) -> list[str]:
        # One that cycles gives its numbers again anyway: where it stands is all that there is to say.
        columns = [] if sequence.cycle else drawing
        return [advance(f"{literal(qualified(sequence.name))}::regclass", columns, sequence)]


def advance(
    get: str, drawing: Sequence[tuple[catalog.TableName, str]], sequence: catalog.Sequence | None = None
) -> str:
    """Write the statement that moves a sequence to the further of its old position and the values of its columns.

    Values outside of the sequence's range were not made by it and can't collide with it: they don't count. One that was
    never used, and that no value is ahead of, begins where it was to begin.
    """
    further, furthest, ahead = (
        ("greatest", "max", ">=") if sequence is None or sequence.increment > 0 else ("least", "min", "<=")
    )
    last = "NULL" if sequence is None or sequence.last_value is None else str(int(sequence.last_value))
    values = "".join(
        f", (SELECT {furthest}(d.{column}) FROM {table} d WHERE d.{column} BETWEEN s.seqmin AND s.seqmax)::bigint"
        for table, column in ((qualified(t), quote(c)) for t, c in drawing)
    )
    stands = f"(SELECT {further}({last}::bigint{values}) AS v FROM pg_catalog.pg_sequence s WHERE s.seqrelid = {get}) x"
    if sequence is None:
        return f"SELECT pg_catalog.setval({get}, x.v, true) FROM {stands} WHERE x.v IS NOT NULL"
    if sequence.last_value is not None:
        return f"SELECT pg_catalog.setval({get}, x.v, true) FROM {stands}"
    start = int(sequence.start)
    used = f"coalesce(x.v {ahead} {start}, false)"
    return f"SELECT pg_catalog.setval({get}, CASE WHEN {used} THEN x.v ELSE {start} END, {used}) FROM {stands}"


def _integer_type(text: str) -> str:
    return text if text in ("smallint", "integer", "bigint") else "bigint"


def _option_list(s: catalog.Sequence, native: str = "bigint") -> list[str]:
    # Other engines' numbers reach further than the column that they go into.
    limit = {"smallint": 1 << 15, "integer": 1 << 31}.get(native, 1 << 63)
    return [
        f"INCREMENT BY {int(s.increment)}",
        f"MINVALUE {max(int(s.minimum), -limit)}",
        f"MAXVALUE {min(int(s.maximum), limit - 1)}",
        f"START WITH {int(s.start)}",
        f"CACHE {int(s.cache)}",
        "CYCLE" if s.cycle else "NO CYCLE",
    ]


def _options(s: catalog.Sequence) -> str:
    return " ".join(_option_list(s))


def _column(column: catalog.Column) -> str:
    parts = [quote(column.name), column.native]
    if column.collation:
        if not _COLLATION.fullmatch(column.collation):
            raise errors.BadInput(f"PostgreSQL has no collation {column.collation!r}")
        parts.append(f"COLLATE {column.collation}")
    if column.generated is not None:
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) STORED")
    elif column.identity:
        always = "ALWAYS" if column.identity == "always" else "BY DEFAULT"
        parts.append(f"GENERATED {always} AS IDENTITY")
    elif column.default is not None and column.default.kind != "null":
        parts.append(f"DEFAULT {column.default.sql}")
    if not column.nullable:
        parts.append("NOT NULL")
    return " ".join(parts)


#: Kinds whose literals have a form that can be looked at.
_CHECKED = frozenset(
    {types.Kind.INTEGER, types.Kind.DECIMAL, types.Kind.DATE, types.Kind.TIME, types.Kind.TIMESTAMP,
     types.Kind.TIMESTAMPTZ}
)  # fmt: skip


def _literal_default(value: str, logical: types.LogicalType) -> str | None:
    kind = logical.kind
    if kind is types.Kind.BOOLEAN:
        return {"t": "true", "true": "true", "1": "true", "f": "false", "false": "false", "0": "false"}.get(
            value.lower()
        )
    if kind in (types.Kind.INTEGER, types.Kind.DECIMAL, types.Kind.FLOAT) and _NUMERIC.fullmatch(value):
        return value
    if kind in _CHECKED:
        try:  # what the column's type would refuse would let the whole table fail
            rowtext.format_value(value, logical)
        except ValueError:
            return None
    return literal(value)  # of no type yet: the column's own type reads it, and refuses what it can't


def _deferral(thing: catalog.Key | catalog.ForeignKey) -> str:
    if not thing.deferrable:
        return ""
    return " DEFERRABLE INITIALLY " + ("DEFERRED" if thing.deferred else "IMMEDIATE")


def _drop_constraint(table: str, name: str) -> tuple[str, ...]:
    return (f"ALTER TABLE {table} DROP CONSTRAINT {quote(name)}",)


def _duplicates(table: str, columns: Sequence[str], nulls_distinct: bool) -> tuple[str, str]:
    """Write the query for values that are there twice, and the condition for all but one row of each."""
    listed = names(columns)
    where = " AND ".join(f"{quote(c)} IS NOT NULL" for c in columns)
    proof = (
        f"SELECT {listed}, count(*) FROM {table}"
        + (f" WHERE {where}" if nulls_distinct else "")
        + f" GROUP BY {listed} HAVING count(*) > 1"
    )
    same = "=" if nulls_distinct else "IS NOT DISTINCT FROM"
    match = " AND ".join(f"d.{quote(c)} {same} c.{quote(c)}" for c in columns)
    return proof, f"EXISTS (SELECT 1 FROM {table} d WHERE {match} AND d.ctid < c.ctid)"


def _index(name: catalog.TableName, index: catalog.Index) -> defining.Finish:
    table = qualified(name)
    parts = []
    for column in index.columns:
        part = quote(column.name) if column.name is not None else f"({column.expression})"
        if column.collation:
            if not _COLLATION.fullmatch(column.collation):
                raise errors.BadInput(f"PostgreSQL has no collation {column.collation!r}")
            part += f" COLLATE {column.collation}"
        if column.opclass:
            part += f" {column.opclass}"
        part += " DESC" if column.descending else ""
        if column.nulls_first is not None:
            part += " NULLS FIRST" if column.nulls_first else " NULLS LAST"
        parts.append(part)
    sql = (
        f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote(index.name)} ON {table}"
        f" USING {quote(index.method)} ({', '.join(parts)})"
    )
    if index.include:
        sql += f" INCLUDE ({names(index.include)})"
    if not index.nulls_distinct:
        sql += " NULLS NOT DISTINCT"
    if index.where:
        sql += f" WHERE {index.where}"
    plain = tuple(c.name for c in index.columns if c.name is not None)
    proof = violators = ""
    if index.unique and len(plain) == len(index.columns) and not index.where:
        proof, violators = _duplicates(table, plain, index.nulls_distinct)
    removal = (f"DROP INDEX {qualified(catalog.TableName(name.schema, index.name))}",)
    return defining.Finish("index", index.name, (sql,), plain, proof, violators, removal)


def _foreign_key(table: str, key: catalog.ForeignKey) -> defining.Finish:
    add = (
        f"ALTER TABLE {table} ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({names(key.columns)})"
        f" REFERENCES {qualified(key.table)} ({names(key.references)})"
    )
    if key.match != "SIMPLE":
        add += " MATCH FULL"
    for event, action in (("UPDATE", key.on_update), ("DELETE", key.on_delete)):
        if action != "NO ACTION":
            add += f" ON {event} {_action(action)}"
    # In two statements: only the first holds a lock that keeps writers out, and it does not look at rows.
    statements = [add + _deferral(key) + " NOT VALID"]
    if key.validated:
        statements.append(f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote(key.name)}")
    pairs = list(zip(key.columns, key.references, strict=True))
    match = " AND ".join(f"p.{quote(r)} = c.{quote(own)}" for own, r in pairs)
    given = " AND ".join(f"c.{quote(own)} IS NOT NULL" for own in key.columns)
    orphan = f"({given}) AND NOT EXISTS (SELECT 1 FROM {qualified(key.table)} p WHERE {match})"
    if key.match == "FULL":
        some = " OR ".join(f"c.{quote(own)} IS NOT NULL" for own in key.columns)
        orphan = f"({orphan}) OR (({some}) AND NOT ({given}))"
    listed = ", ".join(f"c.{quote(own)}" for own in key.columns)
    proof = f"SELECT {listed} FROM {table} c WHERE {orphan}" if key.validated else ""
    return defining.Finish(
        "foreign_key",
        key.name,
        tuple(statements),
        key.columns,
        proof,
        orphan if key.validated else "",
        _drop_constraint(table, key.name),
    )


def _action(text: str) -> str:
    words = text.upper()
    if not re.fullmatch(r"CASCADE|RESTRICT|NO ACTION|SET (?:NULL|DEFAULT)(?: \(.*\))?", words):
        raise errors.BadInput(f"PostgreSQL knows no foreign key action {text!r}")
    return text if "(" in text else words
