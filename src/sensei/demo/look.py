"""The demo's own eyes: rows and definitions of both sides, read and digested without any of Sensei's code."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg2.extensions


@dataclass(frozen=True)
class Content:
    """The rows of one table, in whatever order they were read."""

    rows: int
    digest: str


def _moment(text: str) -> str:
    """A fraction's trailing zeros say nothing."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _money(value: Any) -> str:
    return str(Decimal(str(value)).quantize(Decimal("0.01")))


#: The first word of a declared type in the shop -> what a value of it is, as one text or number.
_MEANINGS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": int,
    "VARCHAR": str,
    "TEXT": str,
    "JSON": str,
    "UUID": str,
    "DATE": str,
    "TIME": _moment,
    "TIMESTAMP": _moment,
    "DECIMAL": _money,
    "REAL": lambda value: struct.pack("<d", value).hex(),
    "BLOB": lambda value: bytes(value).hex(),
    "BOOLEAN": bool,
}


def columns(shop: Path, table: str) -> list[tuple[str, str]]:
    """Return name and first word of the declared type of each column of a table in the shop's file."""
    with closing(_sqlite(shop)) as connection:
        found = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return [(name, declared.partition("(")[0]) for _, name, declared, *_ in found]


def in_sqlite(shop: Path, table: str) -> Content:
    """Read a table of the shop's file."""
    shape = columns(shop, table)
    with closing(_sqlite(shop)) as connection:
        names = ", ".join(f'"{name}"' for name, _ in shape)
        return _content(connection.execute(f"SELECT {names} FROM {table}"), shape)


def in_postgres(connection: psycopg2.extensions.connection, name: str, shape: Sequence[tuple[str, str]]) -> Content:
    """Read the same columns of a table in PostgreSQL; `name` is qualified and quoted."""
    # Moments, UUIDs and JSON as the server's text: Python's types hold neither all moments nor a JSON's own text.
    plain = ("INTEGER", "VARCHAR", "TEXT", "DECIMAL", "REAL", "BLOB", "BOOLEAN")
    names = ", ".join(f'"{c}"' if kind in plain else f'"{c}"::text' for c, kind in shape)
    connection.autocommit = False
    try:
        with connection.cursor("demo") as cursor:
            cursor.itersize = 20_000
            cursor.execute(f"SELECT {names} FROM {name}")
            return _content(cursor, shape)
    finally:
        connection.rollback()
        connection.autocommit = True


def _content(rows: Iterable[Sequence[Any]], shape: Sequence[tuple[str, str]]) -> Content:
    meanings = [_MEANINGS[kind] for _, kind in shape]
    count = total = 0
    for row in rows:
        means = tuple(None if v is None else m(v) for v, m in zip(row, meanings, strict=True))
        # A sum: the order in which two engines hand out rows is not the same.
        total += int.from_bytes(hashlib.blake2b(repr(means).encode(), digest_size=16).digest(), "big")
        count += 1
    return Content(count, f"{total % 2**128:032x}")


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def everything(connection: psycopg2.extensions.connection) -> list[tuple[Any, ...]]:
    """Return every object, column, index, constraint, sequence position and row of a database but for Sensei's own."""
    # Sensei's own are its ledger, and what a rollback set aside.
    ours = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT LIKE 'sensei\\_%' AND n.nspname <> 'information_schema'"
    queries = (
        f"SELECT 'schema', n.nspname, '' FROM pg_namespace n WHERE {ours}",
        "SELECT c.relkind::text, n.nspname || '.' || c.relname, c.oid::text FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours}",
        "SELECT 'column', c.oid::regclass || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || a.attnotnull"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {ours} AND a.attnum > 0 AND c.relkind = 'r'",
        "SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i"
        f" JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {ours}",
        "SELECT 'constraint', k.conrelid::regclass || '.' || k.conname, pg_get_constraintdef(k.oid)"
        f" FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {ours}",
        "SELECT 'sequence', n.schemaname || '.' || n.sequencename, coalesce(n.last_value, -1)::text FROM pg_sequences n"
        f" WHERE {ours.replace('n.nspname', 'n.schemaname')}",
    )
    found: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for query in queries:
            cursor.execute(query)
            found += cursor.fetchall()
        for kind, name, _ in [f for f in found if f[0] == "r"]:
            cursor.execute(f"SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {name} t")
            found += [(f"rows of {kind}", name, value) for (value,) in cursor.fetchall()]
    return sorted(found, key=repr)


def _sqlite(shop: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{shop.as_uri()}?mode=ro", uri=True)
