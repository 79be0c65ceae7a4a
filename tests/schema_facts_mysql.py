"""What a MariaDB database promises about its tables, asked of its own catalog and never of the product."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import servers
from schema_shape import Foreign, Shape

Table = tuple[str, str]

#: Types whose values every engine can carry.
NOT_EVERYDAY = frozenset(
    ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
     "geometrycollection", "inet4", "inet6", "vector")
)  # fmt: skip


def tables(end: servers.MysqlDatabase, schemas: list[str] | None) -> list[Table]:
    """Tables in their own right, with their database."""
    places = ", ".join(map(servers.literal, schemas or [end.name]))
    return [
        (s, t)
        for s, t in end.query(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            f" AND table_schema IN ({places}) AND LEFT(table_name, 7) <> 'sensei_'"
            " ORDER BY 1, CAST(table_name AS BINARY)"
        )
    ]


def is_everyday(end: servers.MysqlDatabase, table: Table) -> bool:
    found = end.query(
        "SELECT data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s", table
    )
    return not {t for (t,) in found} & NOT_EVERYDAY


def not_tables(end: servers.MysqlDatabase, schemas: list[str] | None) -> list[tuple[str, str]]:
    """Every object beside tables that no migration carries: (kind, name), once for each."""
    places = ", ".join(map(servers.literal, schemas or [end.name]))
    return [
        (kind, name)
        for kind, name in end.query(
            f"""
            SELECT 'view', CONCAT(table_schema, '.', table_name) FROM information_schema.views
            WHERE table_schema IN ({places})
            UNION ALL
            SELECT 'trigger', CONCAT(trigger_schema, '.', trigger_name, ' on ', event_object_schema, '.',
                event_object_table) FROM information_schema.triggers WHERE trigger_schema IN ({places})
            UNION ALL
            SELECT LOWER(routine_type), CONCAT(routine_schema, '.', routine_name) FROM information_schema.routines
            WHERE routine_schema IN ({places})
            UNION ALL
            SELECT 'event', CONCAT(event_schema, '.', event_name) FROM information_schema.events
            WHERE event_schema IN ({places})
            """
        )
    ]


def shape(end: servers.MysqlDatabase, table: Table) -> Shape:
    connection = end.connect()
    cursor = connection.cursor()

    def ask(sql: str, bound: Sequence[str]) -> list[tuple[Any, ...]]:
        cursor.execute(sql, bound)
        return list(cursor.fetchall())

    try:
        return _shape(ask, end.name, table)
    finally:
        connection.close()


def _shape(ask: Callable[[str, Sequence[str]], list[tuple[Any, ...]]], home: str, table: Table) -> Shape:
    found = Shape()
    schema, name = (table[0] if table[0] not in ("", "public") else home), table[1]
    where = [schema, name]
    for column, declared, nullable, default, extra in ask(
        "SELECT column_name, column_type, is_nullable, column_default, extra FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        where,
    ):
        found.types[column] = declared
        found.not_null[column] = nullable == "NO"
        if "auto_increment" in extra:
            found.numbered.add(column)
            following = ask(
                "SELECT auto_increment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
                where,
            )[0][0]
            found.position = following - 1 if following and following > 1 else None
        elif default is not None and default != "NULL":
            found.defaults.add(column)
    indexes: dict[str, tuple[list[str], bool, str]] = {}
    for index, plain, kind, column, part, order in ask(
        "SELECT index_name, non_unique, index_type, column_name, sub_part, collation FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s ORDER BY index_name, seq_in_index",
        where,
    ):
        columns, _, _ = indexes.setdefault(index, ([], not plain, kind))
        columns.append(column + (f"({part})" if part else "") + (" DESC" if order == "D" else ""))
    for index, (columns, unique, kind) in indexes.items():
        if index == "PRIMARY":
            found.primary = tuple(columns)
        elif kind not in ("BTREE", "HASH"):
            found.indexes[index] = ((kind, *columns), unique)
        else:
            found.indexes[index] = (tuple(columns), unique)
            if unique:
                found.uniques.add(tuple(columns))
    keys: dict[str, list[tuple[str, str, str]]] = {}
    for key, column, parent, reference in ask(
        "SELECT constraint_name, column_name, referenced_table_name, referenced_column_name"
        " FROM information_schema.key_column_usage WHERE table_schema = %s AND table_name = %s"
        " AND referenced_table_name IS NOT NULL ORDER BY constraint_name, ordinal_position",
        where,
    ):
        keys.setdefault(key, []).append((column, parent, reference))
    for key, parts in keys.items():
        deleted, updated = ask(
            "SELECT delete_rule, update_rule FROM information_schema.referential_constraints"
            " WHERE constraint_schema = %s AND table_name = %s AND constraint_name = %s",
            [*where, key],
        )[0]
        found.foreign.add(
            Foreign(tuple(c for c, _, _ in parts), parts[0][1], tuple(r for _, _, r in parts), deleted, updated)
        )
    for clause, level in ask(
        "SELECT check_clause, level FROM information_schema.check_constraints"
        " WHERE constraint_schema = %s AND table_name = %s",
        where,
    ):
        # What the server adds to a column of type JSON by itself is part of the type.
        if not re.fullmatch(r"json_valid\(`(?:[^`]|``)*`\)", clause):
            found.checks.append(clause)
            found.column_checks += level == "Column"
    return found
