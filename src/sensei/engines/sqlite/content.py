"""A table's checksum, computed in Python over typed values: SQLite has no hash function of its own."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any

from sensei import catalog
from sensei.engines import base
from sensei.engines.sqlite import names

_MODULUS = 1 << 128


def content(session: base.Session, table: catalog.TableName) -> tuple[int, str]:
    """Return (row count, checksum): the sum of the rows' hashes, so order does not matter and pairs do not cancel.

    Storage classes are told apart: 1, 1.0 and '1' differ. Text is hashed as its bytes, valid UTF-8 or not.
    """
    columns = session.rows(
        "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden <> 1 ORDER BY cid", [table.name]
    )
    if not columns:
        session.rows(f"SELECT 1 FROM {names.qualified(table)} LIMIT 1")  # says that there is no such table
    quoted = [names.quote(str(c)) for (c,) in columns]
    # A text that is not UTF-8 can't become a Python string: all text travels as bytes, with its class beside it.
    fields = ", ".join(f"CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in quoted)
    texts = " || ".join(f"(typeof({c}) = 'text')" for c in quoted)
    rows = total = 0
    for *values, text_flags in _stream(session, f"SELECT {fields}, {texts} FROM {names.qualified(table)}"):
        rows += 1
        total += int.from_bytes(_digest(values, str(text_flags)), "big")
    return rows, f"{total % _MODULUS:032x}"


def _stream(session: base.Session, sql: str) -> Any:
    from sensei.engines.sqlite.session import SqliteSession, translate

    assert isinstance(session, SqliteSession)
    try:
        yield from session.db.execute(sql)
    except Exception as e:
        raise translate(e, session.purpose) from e


def _digest(values: list[Any], text_flags: str) -> bytes:
    parts: list[bytes] = []
    for value, is_text in zip(values, text_flags, strict=True):
        if value is None:
            parts.append(b"n")
        elif isinstance(value, int):
            parts.append(b"i%d;" % value)
        elif isinstance(value, float):
            parts.append(b"r" + struct.pack(">d", value))
        else:
            parts.append(b"%s%d:" % (b"t" if is_text == "1" else b"b", len(value)))
            parts.append(value)
    return blake2b(b"".join(parts), digest_size=16).digest()
