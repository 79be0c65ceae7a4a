"""What hangs on tables from outside of them; SQLite itself says what a view or a trigger touches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import apsw

from sensei import catalog
from sensei.engines import base, merging
from sensei.engines.sqlite import names, parse_table, read, tokens

_TOUCHES = (apsw.SQLITE_READ, apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE)


@dataclass(frozen=True)
class Dependant:
    """A view, a trigger or another table's foreign key, and what it touches of the tables that were asked for."""

    kind: str  #: "view", "trigger" or "foreign key"
    words: str
    name: str  #: the view's or trigger's; the table that carries the foreign key
    on: str  #: the trigger's table or view
    sql: str
    touches: Mapping[str, frozenset[str]]  #: folded table -> columns, as far as SQLite tells
    reference: parse_table.Reference | None = None


def dependents(session: base.Session, tables: Sequence[catalog.TableName]) -> list[str]:
    """Name the views, triggers and other tables' foreign keys that touch one of these tables."""
    return [d.words for d in found(session, tables)]


def found(session: base.Session, tables: Sequence[catalog.TableName]) -> list[Dependant]:
    """Return what hangs on these tables: views, triggers, foreign keys of other tables."""
    moved = {names.fold(t.name) for t in tables}
    db = read.own(session).db
    firing = db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)  # else nobody is asked about them
    try:
        return _found(session, db, moved)
    finally:
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, firing)


def _found(session: base.Session, db: apsw.Connection, moved: set[str]) -> list[Dependant]:
    result = []
    objects = session.rows("SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name")
    triggers = {name for kind, name, _, _ in objects if kind == "trigger"}
    for kind, name, on, sql in objects:
        if names.is_own(name):  # evidence and what is kept mind their own business
            continue
        if kind == "view":
            touched = _touched(db, [f"SELECT * FROM main.{names.quote(name)}"], sql, ())
            if moved & touched.keys():
                result.append(Dependant(kind, f"view {name}", name, name, sql, _of(touched, moved)))
        elif kind == "trigger":
            if names.is_own(on):
                continue
            touched = _touched(db, _firing(session, on), sql, triggers - {name})
            if names.fold(on) in moved or moved & touched.keys():
                result.append(Dependant(kind, f"trigger {name}", name, on, sql, _of(touched, moved)))
        elif kind == "table" and names.fold(name) not in moved:
            for r in parse_table.parse(sql or "").references:
                if names.fold(r.table) in moved:
                    words = f"foreign key of table {name} to {r.table}"
                    columns = frozenset(names.fold(c) for c in r.references)
                    touches = {names.fold(r.table): columns}
                    result.append(Dependant("foreign key", words, name, name, sql, touches, r))
    return result


def pointing(session: base.Session, tables: Container[str]) -> dict[str, list[merging.Incoming]]:
    """Return, by folded table, every foreign key that points at one of these tables, their own included."""
    result: dict[str, list[merging.Incoming]] = defaultdict(list)
    for name, sql in session.rows("SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' ORDER BY name"):
        if names.is_own(name):
            continue
        for r in parse_table.parse(sql or "").references:
            if names.fold(r.table) in tables:
                words = f"foreign key of table {name} to {r.table}"
                references = r.references or primary(session, r.table)
                table = catalog.TableName("", str(name))
                result[names.fold(r.table)].append(merging.Incoming(words, r.name, table, r.columns, tuple(references)))
    return result


def primary(session: base.Session, table: str) -> tuple[str, ...]:
    """Return the columns of a table's primary key."""
    found = session.rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE pk > 0 ORDER BY pk", [table])
    return tuple(str(n) for (n,) in found)


def _of(touched: Mapping[str, set[str]], moved: Container[str]) -> dict[str, frozenset[str]]:
    return {table: frozenset(columns) for table, columns in touched.items() if table in moved}


def _firing(session: base.Session, table: str) -> list[str]:
    """Return statements of which at least one would fire a trigger on a table or a view."""
    column = session.rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0", [table])
    quoted = f"main.{names.quote(table)}"
    sets = [f"UPDATE {quoted} SET {names.quote(str(c))} = NULL" for (c,) in column]
    return [f"INSERT INTO {quoted} DEFAULT VALUES", f"DELETE FROM {quoted}", *sets]


def _touched(
    db: apsw.Connection, statements: Iterable[str], sql: str | None, others: Container[str | None]
) -> dict[str, set[str]]:
    """Return the folded tables that a view or trigger touches when these statements are prepared, with its columns.

    Where one can't be prepared, such as over a table that is gone, every name in its text counts.
    """
    touched: dict[str, set[str]] = {}

    def note(action: int, first: str | None, second: str | None, _database: str | None, inside: str | None) -> int:
        # A table's triggers are all prepared together: what another one does is not this one's.
        if action in _TOUCHES and first is not None and inside not in others:
            columns = touched.setdefault(names.fold(first), set())
            if action in (apsw.SQLITE_READ, apsw.SQLITE_UPDATE) and second:
                columns.add(names.fold(second))
        return apsw.SQLITE_OK

    before = db.authorizer
    db.authorizer = note
    try:
        for statement in statements:
            # A cached statement would not be prepared again, and then nobody is asked.
            for _ in db.execute(f"EXPLAIN {statement}", can_cache=False):
                pass
    except apsw.Error:
        return {names.fold(n): set() for n in tokens.mentioned(sql or "")}
    finally:
        db.authorizer = before
    return touched
