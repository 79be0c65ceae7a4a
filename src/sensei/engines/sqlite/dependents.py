"""What hangs on tables from outside of them; SQLite itself says what a view or a trigger touches."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import apsw

from sensei import catalog
from sensei.engines import base
from sensei.engines.sqlite import names, parse_table, read, tokens

_TOUCHES = (apsw.SQLITE_READ, apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE)


def dependents(session: base.Session, tables: Sequence[catalog.TableName]) -> list[str]:
    """Name the views, triggers and other tables' foreign keys that touch one of these tables."""
    moved = {names.fold(t.name) for t in tables}
    found = []
    db = read.own(session).db
    objects = session.rows("SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name")
    triggers = {name for kind, name, _, _ in objects if kind == "trigger"}
    for kind, name, on, sql in objects:
        if kind == "view":
            if moved & _touched(db, [f"SELECT * FROM main.{names.quote(name)}"], sql, ()):
                found.append(f"view {name}")
        elif kind == "trigger":
            others = triggers - {name}
            if names.fold(on) in moved or moved & _touched(db, _firing(session, on), sql, others):
                found.append(f"trigger {name}")
        elif kind == "table" and names.fold(name) not in moved and not names.is_own(name):
            found += [
                f"foreign key of table {name} to {r.table}"
                for r in parse_table.parse(sql or "").references
                if names.fold(r.table) in moved
            ]
    return found


def _firing(session: base.Session, table: str) -> list[str]:
    """Return statements of which at least one would fire a trigger on a table or a view."""
    column = session.rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0", [table])
    quoted = f"main.{names.quote(table)}"
    sets = [f"UPDATE {quoted} SET {names.quote(str(c))} = NULL" for (c,) in column]
    return [f"INSERT INTO {quoted} DEFAULT VALUES", f"DELETE FROM {quoted}", *sets]


def _touched(
    db: apsw.Connection, statements: Iterable[str], sql: str | None, others: Container[str | None]
) -> set[str]:
    """Return the folded names of the tables that a view or trigger touches when these statements are prepared.

    Where one can't be prepared, such as over a table that is gone, every name in its text counts.
    """
    touched: set[str] = set()

    def note(action: int, first: str | None, _second: str | None, _database: str | None, inside: str | None) -> int:
        # A table's triggers are all prepared together: what another one does is not this one's.
        if action in _TOUCHES and first is not None and inside not in others:
            touched.add(names.fold(first))
        return apsw.SQLITE_OK

    before = db.authorizer
    db.authorizer = note
    try:
        for statement in statements:
            # A cached statement would not be prepared again, and then nobody is asked.
            for _ in db.execute(f"EXPLAIN {statement}", can_cache=False):
                pass
    except apsw.Error:
        return {names.fold(n) for n in tokens.mentioned(sql or "")}
    finally:
        db.authorizer = before
    return touched
