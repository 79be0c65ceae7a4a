"""Reads every row of a table, and nothing else: connections that only read."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg2

import reader_values as values
from reader_mysql import HasAddress, Mysql
from reader_values import Column, Kind

#: A table: its name, or schema and name. "schema.table" is split at the first dot for PostgreSQL. MariaDB's schema is
#: a database, "" the one that is connected to.
Table = str | tuple[str, str]


class HasDsn(Protocol):
    @property
    def dsn(self) -> str: ...


#: A database: a connection string or something that has one, something with a MariaDB server's address, or the path
#: of an SQLite file.
Where = str | HasDsn | HasAddress | os.PathLike[str]


@dataclass(frozen=True)
class Digest:
    """How many rows a table has and which, whatever their order; a row twice is not the same as once."""

    rows: int
    total: str


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Postgres:
    """A read-only session whose settings pin every rendering."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg2.connect(dsn)
        self.connection.set_session(readonly=True, isolation_level="REPEATABLE READ")
        self.connection.set_client_encoding("UTF8")
        self.query(
            "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601';"
            "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content';"
            "SET lc_monetary = 'C'; SET search_path = pg_catalog; SET row_security = off"
        )

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, bound: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, bound)
            return list(cursor.fetchall()) if cursor.description else []

    def split(self, table: Table) -> tuple[str, str]:
        if isinstance(table, tuple):
            return table
        schema, dot, name = table.partition(".")
        return (schema, name) if dot else ("public", table)

    def sql_name(self, table: Table) -> str:
        return ".".join(map(quote, self.split(table)))

    def tables(self, schema: str = "public") -> list[str]:
        """Names of the tables of a schema that hold rows of their own, partitions but not their parents."""
        found = self.query(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s) ORDER BY 1",
            [quote(schema)],
        )
        return [name for (name,) in found]

    def columns(self, table: Table) -> list[Column]:
        found = self.query(
            """
            WITH RECURSIVE base AS (
                SELECT attnum, attname, atttypid AS oid, atttypmod AS modifier, atttypid, atttypmod
                FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
                UNION ALL
                SELECT attnum, attname, t.typbasetype, t.typtypmod, atttypid, atttypmod
                FROM base JOIN pg_type t ON t.oid = base.oid WHERE t.typtype = 'd'
            )
            SELECT attname, format_type(atttypid, atttypmod), typname, modifier
            FROM base JOIN pg_type t ON t.oid = base.oid AND t.typtype <> 'd' ORDER BY attnum
            """,
            [self.sql_name(table)],
        )
        return [Column(name, shown, values.kind_of_postgres(base, mod)) for name, shown, base, mod in found]

    def rows(self, table: Table, names: Sequence[str]) -> Iterator[tuple[str | None, ...]]:
        """Each value as its type's own output function prints it: casts to text drop a char's blanks."""
        shown = ", ".join(f"CASE WHEN {quote(n)} IS NULL THEN NULL ELSE format('%s', {quote(n)}) END" for n in names)
        with self.connection.cursor(f"reader_{secrets.token_hex(4)}") as cursor:
            cursor.itersize = 5000
            cursor.execute(f"SELECT {shown or 'NULL'} FROM {self.sql_name(table)}")
            yield from cursor


class Sqlite:
    """A read-only connection to a file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.connection = sqlite3.connect(Path(path).resolve().as_uri() + "?mode=ro", uri=True)
        # What is not UTF-8 must come through too, and stay what it is.
        self.connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, bound).fetchall()

    def sql_name(self, table: Table) -> str:
        return quote(table if isinstance(table, str) else table[1])

    def tables(self, schema: str = "main") -> list[str]:
        """Names of the tables, without SQLite's own."""
        found = self.query(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY 1"
        )
        return [name for (name,) in found]

    def columns(self, table: Table) -> list[Column]:
        found = self.query(
            "SELECT name, type, hidden FROM pragma_table_xinfo(?) ORDER BY cid",
            [table if isinstance(table, str) else table[1]],
        )
        return [Column(name, declared, None) for name, declared, hidden in found if hidden != 1]

    def rows(self, table: Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        # A quoted name that is no column would be read as a string: qualified, it is an error.
        source = self.sql_name(table)
        shown = ", ".join(f"{source}.{quote(n)}" for n in names)
        yield from self.connection.execute(f"SELECT {shown or 'NULL'} FROM {source}")


Reader = Postgres | Mysql | Sqlite


def open_reader(where: Where) -> Reader:
    """A reader of a database; close it."""
    if isinstance(where, os.PathLike):
        return Sqlite(where)
    if not isinstance(where, str) and hasattr(where, "address"):
        return Mysql(where.address)
    return Postgres(where if isinstance(where, str) else where.dsn)


def own_rows(reader: Reader, table: Table) -> Iterator[tuple[Any, ...]]:
    """Every row in the canonical form of its own engine, columns in their own order."""
    columns = reader.columns(table)
    for row in reader.rows(table, [c.name for c in columns]):
        if isinstance(reader, Sqlite):
            yield tuple(map(values.storage, row))
            continue
        read = values.from_mysql if isinstance(reader, Mysql) else values.from_postgres
        yield tuple(read(v, c.kind or Kind("text")) for v, c in zip(row, columns, strict=True))


def row_hash(row: tuple[Any, ...]) -> int:
    """128 bits of a canonical row."""
    return int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest()[:16], "big")


def digest(rows: Iterator[tuple[Any, ...]]) -> Digest:
    """Sum, not exclusive or, of the rows' hashes: two equal rows must not cancel out."""
    count = total = 0
    for row in rows:
        count += 1
        total = (total + row_hash(row)) % (1 << 128)
    return Digest(count, f"{total:032x}")
