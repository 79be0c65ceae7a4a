"""What a database promises about its tables, asked of its own catalog and never of the product."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import moves
import schema_facts_mysql
import servers
from schema_shape import Foreign, Shape

Table = tuple[str, str]

EVERYDAY = frozenset(
    (
        *("int2", "int4", "int8", "numeric", "float4", "float8", "bool", "text", "varchar", "bpchar", "bytea"),
        *("date", "time", "timestamp", "timestamptz", "uuid", "json", "jsonb"),
    )
)

_SCHEMAS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname !~ '^sensei_'"
_NO_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = {} AND e.deptype = 'e')"


def tables(end: moves.End, schemas: list[str] | None) -> list[Table]:
    """Tables in their own right: a partitioned table counts, its partitions do not."""
    if isinstance(end, servers.Database):
        found = end.query(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_SCHEMAS} ORDER BY 1, 2"
        )
        return [(s, t) for s, t in found if schemas is None or s in schemas]
    if isinstance(end, servers.MysqlDatabase):
        return schema_facts_mysql.tables(end, schemas)
    return [("", t) for (t,) in _sqlite(end, "SELECT name FROM sqlite_schema WHERE type = 'table'"
            " AND substr(name, 1, 7) NOT IN ('sqlite_', 'sensei_') ORDER BY 1")]  # fmt: skip


def is_everyday(end: moves.End, table: Table) -> bool:
    """Tell whether every column is of a type that has to be carried."""
    if isinstance(end, servers.MysqlDatabase):
        return schema_facts_mysql.is_everyday(end, table)
    if isinstance(end, Path):
        return True
    found = end.query(
        "WITH RECURSIVE b AS (SELECT atttypid AS oid FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped UNION ALL SELECT t.typbasetype FROM b JOIN pg_type t ON t.oid = b.oid AND"
        " t.typtype = 'd') SELECT typname FROM b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd'",
        [f'"{table[0]}"."{table[1]}"'],
    )
    return {n for (n,) in found} <= EVERYDAY


def not_tables(end: moves.End, schemas: list[str] | None) -> list[tuple[str, str]]:
    """Every object beside tables that no migration carries: (kind, name), once for each."""
    if isinstance(end, servers.MysqlDatabase):
        return schema_facts_mysql.not_tables(end, schemas)
    if isinstance(end, Path):
        return [
            (kind, f"{name} on {table}" if kind == "trigger" else name)
            for kind, name, table in _sqlite(
                end, "SELECT type, name, tbl_name FROM sqlite_schema WHERE type IN ('view', 'trigger')"
            )
        ]
    where = _SCHEMAS + (f" AND n.nspname IN ({', '.join(map(servers.literal, schemas))})" if schemas else "")
    found = end.query(
        f"""
        SELECT CASE relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END, n.nspname || '.' || relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relkind IN ('v', 'm') AND {where} AND {_NO_EXTENSION.format("c.oid")}
        UNION ALL
        SELECT 'trigger', tgname || ' on ' || n.nspname || '.' || relname FROM pg_trigger g
        JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT tgisinternal AND NOT relispartition AND {where}
        UNION ALL
        SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
        n.nspname || '.' || proname || '(' || replace(oidvectortypes(proargtypes), ', ', ',') || ')'
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {where} AND {_NO_EXTENSION.format("p.oid")}
        UNION ALL
        SELECT CASE typtype WHEN 'd' THEN 'domain' ELSE 'type' END, n.nspname || '.' || typname
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE (typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))
        AND {where} AND {_NO_EXTENSION.format("t.oid")}
        UNION ALL
        SELECT 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
        """.replace("%", "%%")
    )
    return [(kind, name) for kind, name in found]


def owned_sequences(end: servers.Database) -> list[tuple[str, str, str]]:
    """(sequence, table, column) of every sequence that a column owns, as SQL names them."""
    return [
        (s, t, c)
        for s, t, c in end.query(
            "SELECT format('%%I.%%I', n.nspname, s.relname), format('%%I.%%I', tn.nspname, t.relname),"
            " quote_ident(attname) FROM pg_class s"
            " JOIN pg_namespace n ON n.oid = s.relnamespace JOIN pg_depend d ON d.objid = s.oid AND d.refobjsubid > 0"
            " AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn"
            " ON tn.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid"
            f" WHERE s.relkind = 'S' AND {_SCHEMAS}",
            [],
        )
    ]


def shape(end: moves.End, table: Table) -> Shape:
    """A table's promises."""
    if isinstance(end, servers.MysqlDatabase):
        return schema_facts_mysql.shape(end, table)
    return _shape_sqlite(end, table[1]) if isinstance(end, Path) else _shape_postgres(end, table)


def _shape_postgres(end: servers.Database, table: Table) -> Shape:
    name = f'"{table[0]}"."{table[1]}"'
    found = Shape()
    connection = end.connect()
    cursor = connection.cursor()

    def ask(sql: str) -> list[tuple]:  # type: ignore[type-arg]
        cursor.execute(sql, {"t": name})
        return list(cursor.fetchall())

    try:
        for column, declared, needed, default, identity in ask(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity"
            " FROM pg_attribute a"
            " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
            " WHERE attrelid = %(t)s::regclass AND attnum > 0 AND NOT attisdropped"
        ):
            domain = ask(
                "SELECT typnotnull, typdefault FROM pg_type t JOIN pg_attribute ON atttypid = t.oid WHERE typtype = 'd'"
                f" AND attrelid = %(t)s::regclass AND attname = {servers.literal(column)}"
            )
            found.types[column] = declared
            found.not_null[column] = needed or bool(domain and domain[0][0])
            if identity or (default or "").startswith("nextval("):
                found.numbered.add(column)
                at = ask(
                    f"SELECT pg_sequence_last_value(pg_get_serial_sequence(%(t)s, {servers.literal(column)})::regclass)"
                )
                found.position = at[0][0]
            elif (default and default != "NULL") or (domain and domain[0][1]):
                found.defaults.add(column)
        for kind, columns, parent, references, deleted, updated, definition in ask(
            "SELECT contype, ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, o) JOIN pg_attribute"
            " ON attrelid = conrelid AND attnum = n ORDER BY o), relname, ARRAY(SELECT attname::text FROM"
            " unnest(confkey) WITH ORDINALITY k(n, o) JOIN pg_attribute ON attrelid = confrelid AND attnum = n"
            " ORDER BY o), confdeltype, confupdtype, pg_get_constraintdef(k.oid) FROM pg_constraint k"
            " LEFT JOIN pg_class c ON c.oid = confrelid WHERE conrelid = %(t)s::regclass"
        ):
            if kind == "p":
                found.primary = tuple(columns)
            elif kind == "u":
                found.uniques.add(tuple(columns))
            elif kind == "c":
                found.checks.append(definition)
            elif kind == "f":
                words = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
                found.foreign.add(Foreign(tuple(columns), parent, tuple(references), words[deleted], words[updated]))
        for index, unique, columns in ask(
            "SELECT relname, indisunique, ARRAY(SELECT pg_get_indexdef(indexrelid, n, false) || CASE WHEN"
            " indoption[n - 1] & 1 = 1 THEN ' DESC' ELSE '' END FROM generate_series(1, indnkeyatts) n)"
            " FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = %(t)s::regclass"
            " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))"
        ):
            found.indexes[index] = (tuple(c.replace('"', "") for c in columns), unique)
    finally:
        connection.close()
    return found


def _shape_sqlite(path: Path, table: str) -> Shape:
    found = Shape()
    sql = _sqlite(path, "SELECT sql FROM sqlite_schema WHERE name = ?", table)[0][0]
    autoincrement = bool(re.search(r"\bAUTOINCREMENT\b", sql, re.IGNORECASE))
    keys: list[tuple[int, str]] = []
    for column, kind, needed, default, key in _sqlite(
        path, 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?)', table
    ):
        found.types[column] = kind
        alias = bool(key) and kind.upper() == "INTEGER"
        found.not_null[column] = bool(needed) or alias
        if key:
            keys.append((key, column))
        if default is not None and default.upper() != "NULL":
            found.defaults.add(column)
    found.primary = tuple(c for _, c in sorted(keys))
    if len(keys) == 1:
        only = keys[0][1]
        declared = dict(_sqlite(path, "SELECT name, type FROM pragma_table_xinfo(?)", table))[only]
        if declared.upper() == "INTEGER":
            found.numbered.add(only)
        if autoincrement:
            at = _sqlite(path, "SELECT seq FROM sqlite_sequence WHERE name = ?", table)
            found.position = at[0][0] if at else None
    for name, unique, origin in _sqlite(path, 'SELECT name, "unique", origin FROM pragma_index_list(?)', table):
        parts = _sqlite(path, 'SELECT name, "desc" FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno', name)
        columns = tuple(f"{c}{' DESC' if d else ''}" for c, d in parts)
        if origin == "c":
            found.indexes[name] = (columns, bool(unique))
        elif origin == "u":
            found.uniques.add(columns)
    keyed: dict[int, list[tuple]] = {}  # type: ignore[type-arg]
    for row in _sqlite(
        path, 'SELECT id, seq, "table", "from", "to", on_delete, on_update FROM pragma_foreign_key_list(?)', table
    ):
        keyed.setdefault(row[0], []).append(row)
    for rows in keyed.values():
        rows.sort(key=lambda r: r[1])
        parent = rows[0][2]
        references = [r[4] for r in rows]
        if references[0] is None:
            references = list(_shape_sqlite(path, parent).primary)
        found.foreign.add(Foreign(tuple(r[3] for r in rows), parent, tuple(references), rows[0][5], rows[0][6]))
    # Word by word, strings aside: enough for the sample databases, which have no column of that name.
    found.checks = re.findall(r"\bCHECK\b", re.sub(r"'[^']*'|\"[^\"]*\"", "x", sql), re.IGNORECASE)
    return found


def _sqlite(path: Path, sql: str, *bound: str) -> list[tuple]:  # type: ignore[type-arg]
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql, bound).fetchall()
    finally:
        connection.close()
