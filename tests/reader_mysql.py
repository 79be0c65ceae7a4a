"""Reads every row of a table of MariaDB or MySQL, and nothing else: a session that only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pymysql
import pymysql.converters
import pymysql.cursors

import reader_values as values
from reader_values import Kind

#: How values are bound; none for what is read.
_WRITE_ONLY = dict(pymysql.converters.encoders)


class HasAddress(Protocol):
    @property
    def address(self) -> Mapping[str, Any]:
        """host, port, user, password and database."""


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


class Mysql:
    """A read-only session of one snapshot, whose settings pin every rendering."""

    def __init__(self, address: Mapping[str, Any]) -> None:
        self.database = str(address["database"])
        # No converters: each value is what the server prints, or bytes where the column is binary.
        self.connection = pymysql.connect(
            **address, charset="utf8mb4", autocommit=True, conv=_WRITE_ONLY, connect_timeout=30
        )
        for statement in (
            "SET SESSION sql_mode = '', time_zone = '+00:00', sql_select_limit = 18446744073709551615,"
            " sql_quote_show_create = 1, group_concat_max_len = 1073741824, lock_wait_timeout = 120,"
            " max_statement_time = 0, tx_isolation = 'REPEATABLE-READ'",
            "SET SESSION TRANSACTION READ ONLY",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ):
            self.query(statement)

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, bound: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, bound)
            return list(cursor.fetchall())

    def named(self, sql: str, bound: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Rows by the names of their columns, in small letters."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, bound)
            names = [d[0].lower() for d in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def split(self, table: str | tuple[str, str]) -> tuple[str, str]:
        """Database and name; "", and PostgreSQL's "public" which stands for no choice, are the session's own."""
        schema, name = table if isinstance(table, tuple) else ("", table)
        return (self.database if schema in ("", "public") else schema, name)

    def sql_name(self, table: str | tuple[str, str]) -> str:
        return ".".join(map(quote, self.split(table)))

    def tables(self, schema: str = "") -> list[str]:
        """Names of the tables that hold rows."""
        found = self.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
            " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY CAST(table_name AS BINARY)",
            [self.split((schema, ""))[0]],
        )
        return [name for (name,) in found]

    def columns(self, table: str | tuple[str, str]) -> list[values.Column]:
        found = self.query(
            "SELECT column_name, column_type, data_type, numeric_scale FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            self.split(table),
        )
        return [
            values.Column(name, declared, values.kind_of_mysql(base, None if scale is None else int(scale)))
            for name, declared, base, scale in found
        ]

    def rows(self, table: str | tuple[str, str], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Each value as the server prints it, text as str and bytes as bytes."""
        declared = {c.name: c.declared for c in self.columns(table)}
        shown = ", ".join(map(_shown, names, [declared[n] for n in names]))
        with self.connection.cursor(pymysql.cursors.SSCursor) as cursor:
            cursor.execute(f"SELECT {shown or 'NULL'} FROM {self.sql_name(table)}")
            yield from cursor


def _shown(name: str, declared: str) -> str:
    base = declared.partition("(")[0].partition(" ")[0]
    if base == "float":
        # As itself it is printed with six digits.
        return f"CAST({quote(name)} AS DOUBLE)"
    if base == "bit":
        return f"CAST({quote(name)} AS UNSIGNED)"
    if base == "char":
        # Blanks that fill it up may come or not; those that count are never the last ones.
        return f"TRIM(TRAILING ' ' FROM {quote(name)})"
    return quote(name)


def kind_that_both_mean(mine: values.Column, other: values.Column) -> Kind | None:
    """What the values of a column here and of one in PostgreSQL both mean; None where they can't mean the same."""
    if mine.kind is None or other.kind is None:
        return mine.kind or other.kind
    if other.declared.startswith("character(") and mine.kind.name == "text":
        return Kind("char")
    if mine.kind.name == other.kind.name:
        return mine.kind
    return other.kind if other.kind.name in _CARRIES.get(mine.kind.name, ()) else None


#: What a type of this engine may hold that another engine has a type of its own for.
_CARRIES = {
    "int": ("bool", "decimal"),
    "decimal": ("int",),
    "float8": ("float4",),
    "timestamp": ("timestamptz",),
    "bytes": ("uuid",),
    "time": ("interval",),
    "text": ("decimal", "uuid", "json", "timestamp", "timestamptz", "date", "time", "interval", "float4", "float8"),
    "uuid": ("text",),
}
