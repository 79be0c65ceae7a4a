"""Rows summed up inside PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from sensei import catalog, errors
from sensei.catalog import digestline, types
from sensei.engines import base, comparing
from sensei.engines.postgres import ddl, rows

Kind = types.Kind

_WHOLE = ("smallint", "integer", "bigint", "numeric")

#: Since this version the server hashes whole rows to 64 bits; partitioning by hash binds later ones to the same hash.
_ROWS_HASHED = 140000
#: Kinds whose values are equal to the server only where their texts are: its hash tells them apart. Of numbers without
#: a scale it takes 1.0 for 1.00, of floats -0 for 0, of jsonb either.
_HASHED = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.TIMESTAMPTZ, Kind.UUID})


class Digests:
    """Fills the port `comparing.Digests`."""

    def own_hash(self, session: base.Session) -> bool:
        return rows.own(session).version >= _ROWS_HASHED

    def sorts_as_number(self, native: str) -> bool:
        return native.split("(")[0] in _WHOLE

    def span(self, session: base.Session, table: catalog.TableName, key: base.ChunkKey) -> tuple[int, int] | None:
        first = ddl.quote(key.columns[0])
        ((low, high),) = session.rows(f"SELECT min({first}), max({first}) FROM {rows.source_of(session, table)}")
        return None if low is None else (int(low), int(high))

    def block(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, limit: int, last: bool = True
    ) -> comparing.Digest:
        where, params = rows.range_sql(spec.key, spec.lower, spec.upper)
        hashed = form is base.Form.BINARY
        line = _hash(session, spec) if hashed else _line(session, spec, range(len(spec.columns)))
        keys = [ddl.quote(c) for c in spec.key.columns]
        # Rows come from the inner query in its order, and are aggregated in it. Telling the last key costs a tenth.
        named = "".join(f", {k} AS k{n}" for n, k in enumerate(keys)) if last else ""
        ends = ["max(k0)", *(f"(array_agg(k{n}))[count(*)]" for n in range(1, len(keys)))] if last else []
        lines = "string_agg(l, ''::bytea)" if hashed else "string_agg(l, chr(10))"
        told = ["count(*)", f"md5({lines})", f"octet_length({lines})", *ends]
        ((found, checksum, size, *key),) = session.rows(
            f"SELECT {', '.join(told)}"
            f" FROM (SELECT {line} AS l{named} FROM {rows.source_of(session, spec.table)}{where}"
            f" ORDER BY {', '.join(keys)} LIMIT {int(limit)}) s",
            params,
        )
        return comparing.Digest(
            int(found), checksum or "", tuple(int(k) for k in key) if found and last else None, size or 0
        )

    def buckets(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, key: Sequence[int], number: int
    ) -> dict[int, tuple[int, int]]:
        everything = range(len(spec.columns))
        whole = list(key) == list(everything)
        named = "" if whole else f", {_line(session, spec, key)} AS k"
        # OFFSET 0 keeps the planner from writing a line out twice, and having it made twice.
        found = session.rows(
            f"SELECT ('x' || substr(k, 1, 4))::bit(16)::int & {number - 1}, count(*),"
            f" sum(('x' || substr(h, 1, 15))::bit(60)::bigint)"
            f" FROM (SELECT md5(l) AS h, md5({'l' if whole else 'k'}) AS k FROM"
            f" (SELECT {_line(session, spec, everything)} AS l{named} FROM {rows.source_of(session, spec.table)}"
            " OFFSET 0) lines OFFSET 0) hashes GROUP BY 1"
        )
        return {int(b): (int(n), int(total)) for b, n, total in found}


def _line(session: base.Session, spec: base.ReadSpec, positions: Sequence[int] | range) -> str:
    """Return the SQL of a row's line, or of some of its columns'.

    concat() gives a value's text as COPY does (it calls the type's output function), and of NULL an empty one.
    """
    known = columns(session, spec.table)
    parts: list[str] = []
    for at in positions:
        column = spec.columns[at]
        if column.name not in known:
            raise errors.UnknownName(f"there is no column {spec.table}.{column.name}", column=column.name)
        native, never_null = known[column.name]
        parts += _field(ddl.quote(column.name), column.type, native, never_null)
    # A function of PostgreSQL takes 100 arguments.
    while len(parts) > 90:
        parts = [f"concat_ws(chr(31), {', '.join(parts[n : n + 90])})" for n in range(0, len(parts), 90)]
    return f"concat_ws(chr(31), {', '.join(parts)})"


def _hash(session: base.Session, spec: base.ReadSpec) -> str:
    """Return the SQL of a row's hash, eight bytes; of a value that the server would not tell apart, of its text.

    Half of what a line costs is making texts of values. A row that differs goes unseen by one chance in 2^64.
    """
    known = columns(session, spec.table)
    parts = []
    for column in spec.columns:
        x, of = ddl.quote(column.name), column.type
        whole = of.kind in _HASHED or (of.kind is Kind.DECIMAL and of.precision is not None)
        # Texts without labels: an enum is hashed by a number of its own database. Blanks at the end of a bpchar are no
        # part of its hash: to one with a length they belong, and all of its values have as many as they can.
        native = known.get(column.name, ("", False))[0]
        padded = native == "bpchar" and of.fixed and of.length is not None
        text = of.kind is Kind.TEXT and (native in ("text", "varchar") or padded) and not of.labels
        if not (whole or text or (of.kind is Kind.BYTES and native == "bytea")):
            x = f"CASE WHEN {x} IS DISTINCT FROM NULL THEN concat({x}) END"
        parts.append(x)
    return f"int8send(hash_record_extended(ROW({', '.join(parts)}), 0))"


def _field(x: str, type: types.LogicalType, native: str, never_null: bool) -> list[str]:
    large = digestline.may_be_large(type)
    if type.kind in digestline.FREE:
        # What takes text directly counts its bytes without making a copy. Of others it is the text as COPY prints it,
        # which a cast to text is not always: that of an inet names its mask.
        length = f"octet_length({x})" if native in ("text", "varchar", "bpchar") else f"octet_length(concat({x}))"
        value = f"CASE WHEN {length} > {digestline.LARGE} THEN md5(concat({x})) ELSE concat({x}) END" if large else x
        if never_null:
            return [length, value]
        if "concat" in length:
            # Of NULL it would be an empty text, which is something else. IS NOT NULL asks a row for all its fields.
            length = f"CASE WHEN {x} IS DISTINCT FROM NULL THEN {length} END"
        return [f"concat({length})", f"concat({value})"]
    if type.kind is Kind.BYTES and large and native == "bytea":
        short = f"concat(octet_length({x}), ':', md5({x}))"
        return [f"CASE WHEN octet_length({x}) > {digestline.LARGE} THEN {short} ELSE concat({x}) END"]
    return [x if never_null else f"concat({x})"]


#: Types as a definition writes them -> as pg_type names them.
_INTERNAL = {"character varying": "varchar", "character": "bpchar"}


def columns(session: base.Session, table: catalog.TableName) -> dict[str, tuple[str, bool]]:
    """Return (name of the type in pg_type, never NULL) of each column, as the migration sees them."""
    pg = rows.own(session)
    if table not in pg.columns:
        pg.columns[table] = {
            str(name): (str(native), bool(never_null))
            for name, native, never_null in pg.rows(
                "SELECT a.attname, coalesce(b.typname, t.typname), a.attnotnull FROM pg_attribute a"
                " JOIN pg_class c ON c.oid = a.attrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid"
                " LEFT JOIN pg_type b ON b.oid = t.typbasetype"
                " WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped",
                [table.schema, table.name],
            )
        }
        view = session.seen.get(table)
        for name, column in (view.computed() if view is not None else {}).items():
            native = column.native.split("(")[0]
            pg.columns[table][name] = (_INTERNAL.get(native, native), False)
    return pg.columns[table]
