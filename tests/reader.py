"""Compares tables and whole databases, independently of the product: it can find the product wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import reader_mysql
import reader_values as values
from reader_rows import (
    Column,
    Digest,
    Mysql,
    Postgres,
    Reader,
    Sqlite,
    Table,
    Where,
    digest,
    open_reader,
    own_rows,
    row_hash,
)
from reader_snapshot import diff_snapshots, snapshot
from reader_values import Kind

__all__ = [
    "Digest",
    "Kind",
    "compare_databases",
    "compare_tables",
    "count",
    "diff_snapshots",
    "snapshot",
    "table_digest",
    "tables",
]

Row = tuple[Any, ...]


def compare_tables(
    a: Where,
    table_a: Table,
    b: Where,
    table_b: Table,
    *,
    key: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    ignore: Collection[str] = (),
    limit: int = 20,
) -> list[str]:
    """The differences between source ``a`` and target ``b`` in words, at most ``limit``; [] means equal.

    PostgreSQL's types decide what a value means, else MariaDB's; between two of SQLite, storage class and bits do.
    ``columns`` maps names in a to names in b where they differ; ``kinds`` overrides what a column (by its
    name in a) means; ``ignore`` names columns of a or b to leave out; ``key`` (names in a) pairs rows in the
    words.
    """
    reader_a, reader_b = open_reader(a), open_reader(b)
    try:
        names, found = _matched(reader_a.columns(table_a), reader_b.columns(table_b), columns or {}, ignore)
        meant = [_meant(reader_a, x, reader_b, y, kinds or {}) for x, y in names]
        found += _kinds_that_differ(names, meant)
        read_a = _reading(reader_a, table_a, [x.name for x, _ in names], meant, reader_b, True)
        read_b = _reading(reader_b, table_b, [y.name for _, y in names], meant, reader_a, False)
        digest_a, digest_b = digest(read_a()), digest(read_b())
        if digest_a.rows != digest_b.rows:
            found.append(f"{digest_a.rows} rows in the source, {digest_b.rows} in the target")
        if digest_a != digest_b:
            found += _rows_that_differ([x.name for x, _ in names], read_a, read_b, key, limit)
        return found[:limit]
    finally:
        reader_a.close()
        reader_b.close()


def compare_databases(
    a: Where,
    b: Where,
    *,
    schema_a: str = "public",
    schema_b: str = "public",
    tables: Collection[str] | None = None,
    rename: Mapping[str, str] | None = None,
    ignore: Mapping[str, Collection[str]] | None = None,
    kinds: Mapping[str, Mapping[str, Kind]] | None = None,
    limit: int = 20,
) -> list[str]:
    """The differences of every table of a (or of those named), each line led by the table's name.

    Schemas are of PostgreSQL's side and mean nothing for SQLite; for MariaDB they are databases, and "public" is the
    one that is connected to. Tables that only b has are no difference.
    """
    reader_a, reader_b = open_reader(a), open_reader(b)
    try:
        names = [t for t in reader_a.tables(schema_a) if tables is None or t in tables]
        there = set(reader_b.tables(schema_b))
    finally:
        reader_a.close()
        reader_b.close()
    found = [f"{t}: not in the source" for t in tables or () if t not in names]
    if not names:
        found.append("no tables were compared")
    for name in names:
        other = (rename or {}).get(name, name)
        if other not in there:
            found.append(f"{name}: not in the target")
            continue
        differences = compare_tables(
            a,
            (schema_a, name),
            b,
            (schema_b, other),
            ignore=(ignore or {}).get(name, ()),
            kinds=(kinds or {}).get(name),
            limit=limit,
        )
        found += [f"{name}: {line}" for line in differences]
    return found[:limit]


def tables(where: Where, schema: str = "public") -> list[str]:
    """Names of the tables that hold rows."""
    reader = open_reader(where)
    try:
        return reader.tables(schema)
    finally:
        reader.close()


def table_digest(where: Where, table: Table) -> Digest:
    """Count and order-free digest of a table's rows; comparable within one engine."""
    reader = open_reader(where)
    try:
        return digest(own_rows(reader, table))
    finally:
        reader.close()


def count(where: Where, table: Table) -> int:
    """How many rows a table has."""
    reader = open_reader(where)
    try:
        return int(reader.query(f"SELECT count(*) FROM {reader.sql_name(table)}")[0][0])
    finally:
        reader.close()


Matched = list[tuple[Column, Column]]


def _matched(
    a: list[Column], b: list[Column], renamed: Mapping[str, str], ignore: Collection[str]
) -> tuple[Matched, list[str]]:
    in_b = {c.name: c for c in b}
    wanted = [(c, renamed.get(c.name, c.name)) for c in a if c.name not in ignore]
    found = [f"column {name} is not in the target" for _, name in wanted if name not in in_b]
    expected = {name for _, name in wanted} | set(ignore)
    found += [f"column {c.name} is only in the target" for c in b if c.name not in expected]
    if not a or not b:
        found.append(f"no such table in the {'source' if not a else 'target'}")
    return [(c, in_b[name]) for c, name in wanted if name in in_b], found


def _meant(a: Reader, x: Column, b: Reader, y: Column, given: Mapping[str, Kind]) -> tuple[Kind | None, bool]:
    """What two columns mean, None where only storage tells, and whether their types can mean the same."""
    if x.name in given:
        return given[x.name], True
    if (isinstance(a, Mysql) and isinstance(b, Postgres)) or (isinstance(b, Mysql) and isinstance(a, Postgres)):
        mine, other = (x, y) if isinstance(a, Mysql) else (y, x)
        kind = reader_mysql.kind_that_both_mean(mine, other)
        return kind or x.kind, kind is not None
    return x.kind or y.kind, not x.kind or not y.kind or x.kind.name == y.kind.name


def _kinds_that_differ(names: Matched, meant: list[tuple[Kind | None, bool]]) -> list[str]:
    return [
        f"column {x.name} is {x.declared} in the source, {y.declared} in the target"
        for (x, y), (_, same) in zip(names, meant, strict=True)
        if not same
    ]


def _reading(
    reader: Reader,
    table: Table,
    names: list[str],
    meant: list[tuple[Kind | None, bool]],
    other: Reader,
    is_source: bool,
) -> Callable[[], Iterator[Row]]:
    """How to read one side's rows."""
    own = {c.name: c.kind for c in reader.columns(table)}
    forms = [
        _form(reader, other, kind if same else own[name] or kind, is_source)
        for name, (kind, same) in zip(names, meant, strict=True)
    ]

    def read() -> Iterator[Row]:
        for row in reader.rows(table, names):
            yield tuple(form(value) for form, value in zip(forms, row, strict=True)) if forms else ()

    return read


def _form(reader: Reader, other: Reader, kind: Kind | None, is_source: bool) -> Callable[[Any], Any]:
    if isinstance(reader, Sqlite):
        if kind is None:
            return values.storage
        return lambda value: values.from_sqlite(value, kind, is_source=is_source)
    decided = kind or Kind("text")
    from_server = values.from_mysql if isinstance(reader, Mysql) else values.from_postgres
    if decided.name == "float4" and isinstance(other, Sqlite) and not is_source:
        return lambda value: values.widened(from_server(value, decided))
    return lambda value: from_server(value, decided)


def _rows_that_differ(
    names: list[str],
    read_a: Callable[[], Iterator[Row]],
    read_b: Callable[[], Iterator[Row]],
    key: Sequence[str],
    limit: int,
) -> list[str]:
    """Which rows: those that one side has more often than the other, in pairs where the key is the same."""
    balance: Counter[int] = Counter(map(row_hash, read_a()))
    balance.subtract(map(row_hash, read_b()))
    only_a = _surplus(read_a, {h: n for h, n in balance.items() if n > 0}, limit * 50)
    only_b = _surplus(read_b, {h: -n for h, n in balance.items() if n < 0}, limit * 50)
    places = [names.index(k) for k in key]
    by_key: dict[str, list[Row]] = {}
    for row in only_b:
        by_key.setdefault(repr([row[p] for p in places]), []).append(row)
    found, lonely = [], []
    for row in only_a:
        twins = by_key.get(repr([row[p] for p in places])) if places else None
        if not twins:
            lonely.append(row)
            continue
        twin = twins.pop()
        where = ", ".join(f"{names[p]}={row[p]!r}" for p in places)
        found += [f"{where}: {n}: {x!r} -> {y!r}" for n, x, y in zip(names, row, twin, strict=True) if x != y]
    found += [f"only in the source: {_shown(names, row)}" for row in lonely]
    found += [f"only in the target: {_shown(names, row)}" for rows in by_key.values() for row in rows]
    return found[:limit] or ["the rows differ"]


def _surplus(read: Callable[[], Iterator[Row]], wanted: dict[int, int], limit: int) -> list[Row]:
    """The rows with these hashes, each as often as asked."""
    found: list[Row] = []
    for row in read():
        if len(found) >= limit or not wanted:
            break
        number = row_hash(row)
        if wanted.get(number, 0) > 0:
            wanted[number] -= 1
            found.append(row)
    return found


def _shown(names: list[str], row: Row) -> str:
    text = ", ".join(f"{n}={v!r}" for n, v in zip(names, row, strict=True))
    return text if len(text) <= 400 else text[:400] + "…"
