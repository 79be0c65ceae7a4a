"""A table's checksum, computed in Python over typed values: SQLite has no hash function of its own."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from hashlib import blake2b

from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.sqlite import names, read
from sensei.engines.sqlite.session import SqliteSession, translate

_MODULUS = 1 << 128
#: Marshal's oldest format: types and lengths in front of values, floats with 17 digits, the same in every Python.
_FORMAT = 0


def content(session: base.Session, table: catalog.TableName) -> tuple[int, str]:
    """Return (row count, checksum): the sum of the rows' hashes, so order does not matter and pairs do not cancel.

    Storage classes are told apart: 1, 1.0 and '1' differ.
    """
    mine = read.own(session)
    columns = mine.rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1 ORDER BY cid", [table.name])
    if not columns:
        raise errors.UnknownName(f"no such table: {table}")
    quoted = [names.quote(str(c)) for (c,) in columns]
    source = f" FROM {names.qualified(table)}"
    try:
        return _sum(mine, f"SELECT {', '.join(quoted)}{source}")
    except errors.DataRejected:
        # Text that is not valid UTF-8 does not become a Python string: all text goes as bytes, its class beside it.
        fields = (f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in quoted)
        return _sum(mine, f"SELECT {', '.join(fields)}{source}")


def _sum(session: SqliteSession, sql: str) -> tuple[int, str]:
    rows = total = 0
    for row in _stream(session, sql):
        rows += 1
        total += int.from_bytes(blake2b(marshal.dumps(row, _FORMAT), digest_size=16).digest(), "big")
    return rows, f"{total % _MODULUS:032x}"


def _stream(session: SqliteSession, sql: str) -> Iterator[base.Row]:
    try:
        yield from session.db.execute(sql)
    except Exception as e:
        raise translate(e, session.purpose) from e
