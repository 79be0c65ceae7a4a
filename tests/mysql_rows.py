"""Reading and loading rows of the MySQL engine, without the rest of the house around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import servers
from sensei import catalog
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base
from sensei.engines.mysql import rows, session

Kind, Logical = types.Kind, types.LogicalType
ROWS = rows.Rows()
SOURCE, TARGET = base.Purpose.SOURCE, base.Purpose.TARGET
TEXT, NATIVE = base.Form.TEXT, base.Form.NATIVE
INT = Logical(Kind.INTEGER, bits=32)
Connect = Callable[..., session.MysqlSession]


def connecting() -> Iterator[Connect]:
    """A fixture's body: yields what opens sessions, and closes them in the end."""
    opened: list[base.Session] = []

    def open_one(db: servers.MysqlDatabase, purpose: base.Purpose = TARGET) -> session.MysqlSession:
        url = connections.expand(db.url, {servers.PASSWORD_ENV: servers.password()})
        found = session.connect(url, purpose)
        # The test server's default is another, so that tables without an engine are found out.
        found.run("SET SESSION default_storage_engine = InnoDB")
        opened.append(found)
        return found

    yield open_one
    for each in opened:
        each.close()


def read(
    found: base.Session, table: catalog.TableName, columns: dict[str, Logical], form: base.Form = TEXT, **bounds: Any
) -> list[str]:
    spec = base.ReadSpec(
        table,
        tuple(base.ReadColumn(n, t) for n, t in columns.items()),
        bounds.pop("key", base.ChunkKey("columns", ("id",), ("int",))),
        **bounds,
    )
    blocks = [b for b in ROWS.read(found, spec, form) if isinstance(b, bytes)]
    text = b"".join(blocks).decode()
    assert not text or text.endswith("\n")
    return text[:-1].split("\n") if text else []


def load(
    found: base.Session, table: catalog.TableName, columns: dict[str, Logical], data: bytes, form: base.Form = TEXT
) -> int:
    found.begin()
    try:
        # In pieces of seven bytes: a block may end anywhere, also between a backslash and its letter.
        pieces = [data[at : at + 7] for at in range(0, len(data), 7)] if len(data) < 10_000 else [data]
        count = ROWS.load(found, base.LoadSpec(table, tuple(columns.items())), form, pieces)
    except BaseException:
        found.rollback()
        raise
    found.commit()
    return count
