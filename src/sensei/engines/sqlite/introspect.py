"""Reads what is in an SQLite file: tables, keys, indexes, views, triggers, positions of AUTOINCREMENT."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensei import catalog
from sensei.catalog import Catalog, TableName, types  # a port's method is named like the module
from sensei.engines import base
from sensei.engines.sqlite import content as contents
from sensei.engines.sqlite import declared, dependents, names, parse_table, read, tokens

# One statement for all tables each: the number of statements does not grow with the number of tables.
_COLUMNS = """
    SELECT m.name, x.name, x.type, x."notnull", x.dflt_value, x.pk, x.hidden
    FROM main.sqlite_schema m JOIN pragma_table_xinfo(m.name, 'main') x WHERE m.type = 'table'
    ORDER BY m.name, x.cid"""
_INDEXES = """
    SELECT m.name, i.name, i."unique", i.origin, i.partial, c.name, c."desc", c.coll, c.cid, s.sql
    FROM main.sqlite_schema m
    JOIN pragma_index_list(m.name, 'main') i JOIN pragma_index_xinfo(i.name, 'main') c
    LEFT JOIN main.sqlite_schema s ON s.type = 'index' AND s.name = i.name
    WHERE m.type = 'table' AND c.key = 1 ORDER BY m.name, i.seq DESC, c.seqno"""
_KINDS = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'"
_OBJECTS = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name"

_NUMBER = re.compile(r"[+-]?\s*(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PORTABLE = {
    "current_timestamp": "current_timestamp",
    "datetime('now')": "current_timestamp",
    "current_date": "current_date",
    "date('now')": "current_date",
    "current_time": "current_time",
    "time('now')": "current_time",
}


@dataclass
class _RawIndex:
    name: str
    unique: bool
    origin: str  #: "c" CREATE INDEX, "u" UNIQUE, "pk" PRIMARY KEY
    sql: str
    parts: list[tuple[str | None, bool, str]] = field(default_factory=list)  #: (column, descending, collation)


@dataclass
class _Raw:
    """Everything that was read before tables are put together."""

    columns: dict[str, list[tuple[Any, ...]]]
    indexes: dict[str, dict[str, _RawIndex]]
    parsed: dict[str, parse_table.ParsedTable]
    sql: dict[str, str]
    real_name: dict[str, str]  #: folded -> as stored
    taken: set[str]  #: names of constraints already given


class Introspect:
    """Fills the port `base.Introspect`."""

    def catalog(self, session: base.Session, schemas: Sequence[str] | None, also: Sequence[str] = ()) -> Catalog:
        """Return everything in the file; there are no schemas to choose from."""
        objects = session.rows(_OBJECTS)
        kinds = {str(n): (str(t), bool(wr), bool(strict)) for n, t, wr, strict in session.rows(_KINDS)}
        raw = _read(session, objects)
        tables, others = [], []
        estimates = _estimates(session, [n for n in raw.sql if kinds.get(n, ("table",))[0] == "table"], raw, kinds)
        size = sum(estimates.values()) or 1
        pages = int(session.rows("PRAGMA main.page_count")[0][0]) * int(session.rows("PRAGMA main.page_size")[0][0])
        for kind, name, tbl_name, sql in objects:
            if names.is_own(str(name)) or names.is_own(str(tbl_name)):
                continue
            if kind == "table":
                what = kinds.get(name, ("table", False, False))
                if what[0] == "shadow":
                    others.append(catalog.Other("shadow table", name, sql or ""))
                    continue
                rows = estimates.get(name, 0)
                others += [
                    catalog.Other("clause", f"{name}: {clause}", sql or "", TableName("", name))
                    for clause in raw.parsed[name].lost
                ]
                tables.append(_table(name, what, raw, rows, pages * rows // size))
                if what[0] == "virtual":
                    others.append(catalog.Other("virtual table", name, sql or ""))
            elif kind in ("view", "trigger"):
                table = TableName("", tbl_name) if kind == "trigger" else None
                others.append(catalog.Other(kind, name, sql or "", table))
        return Catalog(
            engine="sqlite",
            version=str(session.rows("SELECT sqlite_version()")[0][0]),
            schemas=("",),
            tables=tuple(tables),
            sequences=tuple(_sequences(session, tables, raw)),
            others=tuple(others),
            extras=_extras(session),
        )

    def identity(self, session: base.Session) -> str:
        """Return the file's device and inode as JSON, as it has many paths; its path where it is absent or empty."""
        path = read.own(session).path.resolve()
        try:
            found = path.stat()
        except OSError:
            return json.dumps({"path": str(path)})
        if not found.st_size:  # opening a file that is not there leaves an empty one behind
            return json.dumps({"path": str(path)})
        return json.dumps({"device": found.st_dev, "inode": found.st_ino})

    def missing_privileges(
        self,
        session: base.Session,
        purpose: base.Purpose,
        tables: Sequence[TableName],
        schemas: Sequence[str],
    ) -> list[base.Missing]:
        """Return what the account lacks on the file, and to write on the folder where the journal goes."""
        path = read.own(session).path.resolve()
        folder = path.parent
        found = []
        if path.exists():
            if not os.access(path, os.R_OK):
                found.append(base.Missing(f"reading {path}", f"chmod u+r '{path}'"))
            if purpose is base.Purpose.TARGET and not os.access(path, os.W_OK):
                found.append(base.Missing(f"writing {path}", f"chmod u+w '{path}'"))
        if purpose is base.Purpose.TARGET and not os.access(folder, os.W_OK | os.X_OK):
            found.append(base.Missing(f"making files in {folder}", f"chmod u+wx '{folder}'"))
        return found

    def content(self, session: base.Session, table: TableName) -> tuple[int, str]:
        """Return (row count, order-independent checksum) over every value and its storage class."""
        return contents.content(session, table)

    def object_identity(self, session: base.Session, kind: str, name: TableName) -> str | None:
        """Return the stored definition of a table, an index or a view; of statistics, the tables that hold them."""
        if kind == "statistics":
            tables = session.rows("SELECT name FROM main.sqlite_schema WHERE name LIKE 'sqlite\\_stat%' ESCAPE '\\'")
            return " ".join(sorted(str(n) for (n,) in tables)) or None
        if kind not in ("table", "index", "view"):
            return None
        found = session.rows(
            "SELECT sql FROM main.sqlite_schema WHERE type = ? AND name = ? COLLATE NOCASE", [kind, name.name]
        )
        return str(found[0][0]) if found else None

    def dependents(self, session: base.Session, tables: Sequence[TableName], own: Sequence[str] = ()) -> list[str]:
        """Name the views, triggers and other tables' foreign keys that mention one of these tables."""
        return dependents.dependents(session, tables)


def _read(session: base.Session, objects: Iterable[tuple[Any, ...]]) -> _Raw:
    columns: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for table, *facts in session.rows(_COLUMNS):
        columns[table].append(tuple(facts))
    indexes: dict[str, dict[str, _RawIndex]] = defaultdict(dict)
    for table, name, unique, origin, _, column, descending, collation, cid, sql in session.rows(_INDEXES):
        raw = indexes[table].setdefault(name, _RawIndex(name, bool(unique), origin, sql or ""))
        raw.parts.append((None if cid == -2 else column, bool(descending), collation))
    sql = {str(name): str(text or "") for kind, name, _, text in objects if kind == "table"}
    return _Raw(
        columns,
        indexes,
        {name: parse_table.parse(text) for name, text in sql.items()},
        sql,
        {names.fold(name): name for name in sql},
        set(),
    )


def _table(name: str, what: tuple[str, bool, bool], raw: _Raw, rows: int, size: int) -> catalog.Table:
    parsed, facts, sql = raw.parsed[name], raw.columns[name], raw.sql[name]
    kind, without_rowid, _ = what
    columns = tuple(_column(f, parsed) for f in facts if f[5] != 1)  # 1: hidden column of a virtual table
    keys = sorted((f[4], f[0]) for f in facts if f[4])
    primary = None
    if keys:
        written = parsed.primary
        primary = catalog.Key(_named(raw, written.name if written else "", name, (), "pkey"), tuple(c for _, c in keys))
    return catalog.Table(
        name=catalog.TableName("", name),
        columns=columns,
        primary=primary,
        uniques=tuple(_uniques(name, raw)),
        foreign_keys=tuple(_foreign_key(r, name, raw) for r in parsed.references),
        checks=tuple(
            catalog.Check(_named(raw, given, name, (), "check"), expression) for given, expression in parsed.checks
        ),
        indexes=tuple(_index(i) for i in raw.indexes[name].values() if i.origin == "c"),
        kind="virtual" if kind == "virtual" else "table",
        definition=sql,
        rowid=None if without_rowid or kind == "virtual" else names.rowid_alias([f[0] for f in facts]),
        identity=hashlib.sha256(sql.encode("utf-8", "surrogateescape")).hexdigest(),
        rows_estimate=rows,
        bytes_estimate=size,
    )


def _column(facts: tuple[Any, ...], parsed: parse_table.ParsedTable) -> catalog.Column:
    name, type_text, notnull, default, pk, hidden = facts
    written = parsed.column(name)
    logical = declared.logical(type_text or "")
    alias = bool(pk) and not parsed.without_rowid and names.fold(type_text or "") == "integer" and _alone(parsed)
    return catalog.Column(
        name=name,
        type=logical,
        native=type_text or "",
        nullable=not notnull and not alias and not (pk and (parsed.without_rowid or parsed.strict)),
        default=_default(default, written.default, logical),
        identity="autoincrement" if written.autoincrement else None,
        generated=(written.generated or "NULL") if hidden in (2, 3) else None,
        collation=written.collation if written.collation and written.collation.upper() != "BINARY" else None,
    )


def _alone(parsed: parse_table.ParsedTable) -> bool:
    return parsed.primary is not None and len(parsed.primary.columns) == 1


def _default(text: str | None, written: str | None, logical: types.LogicalType) -> catalog.Default | None:
    if text is None:
        return None
    sql = written or f"({text})"
    bare = " ".join(text.split())
    while bare.startswith("(") and bare.endswith(")") and "(" not in bare[1:-1]:
        bare = bare[1:-1].strip()
    folded = names.fold(bare).replace(" ", "")
    if folded == "null":
        return catalog.Default("null", sql)
    if folded in _PORTABLE:
        return catalog.Default(_PORTABLE[folded], sql, "utc")
    value: str | None = None
    parts = tokens.tokenize(text)
    if len(parts) == 1 and parts[0].kind in ("string", "quoted"):
        value = parts[0].name
    elif len(parts) == 1 and parts[0].kind == "blob":
        value = "\\x" + parts[0].text[2:-1].lower()
    elif len(parts) == 1 and parts[0].is_word("TRUE", "FALSE"):
        value = "1" if parts[0].is_word("TRUE") else "0"
    elif _NUMBER.fullmatch(bare):
        value = bare.replace(" ", "").removeprefix("+")
    if value is None:
        return catalog.Default("other", sql)
    if logical.kind is types.Kind.BOOLEAN:
        value = {"1": "t", "0": "f", "true": "t", "false": "f", "t": "t", "f": "f"}.get(names.fold(value))
        if value is None:
            return catalog.Default("other", sql)
    return catalog.Default("literal", sql, value)


def _named(raw: _Raw, given: str, table: str, columns: Sequence[str], suffix: str) -> str:
    """Return the constraint's own name, or one made as PostgreSQL would: unique in the file, 63 bytes at most."""
    wanted = given or _cut("_".join((table, *columns)), 63 - len(suffix) - 1) + "_" + suffix
    name, number = wanted, 1
    while not given and names.fold(name) in raw.taken:
        tail = f"{suffix}{number}"
        name = _cut("_".join((table, *columns)), 63 - len(tail) - 1) + "_" + tail
        number += 1
    raw.taken.add(names.fold(name))
    return name


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")


def _uniques(table: str, raw: _Raw) -> Iterable[catalog.Key]:
    written = list(raw.parsed[table].uniques)
    for index in raw.indexes[table].values():
        if index.origin != "u":
            continue
        columns = tuple(c for c, _, _ in index.parts if c is not None)
        match = next((w for w in written if [*map(names.fold, w.columns)] == [*map(names.fold, columns)]), None)
        if match is not None:
            written.remove(match)
        yield catalog.Key(_named(raw, match.name if match else "", table, columns, "key"), columns)


def _foreign_key(r: parse_table.Reference, table: str, raw: _Raw) -> catalog.ForeignKey:
    def true_name(of: str | None, written: str) -> str:
        return next((f[0] for f in raw.columns.get(of or "", ()) if names.fold(f[0]) == names.fold(written)), written)

    parent = raw.real_name.get(names.fold(r.table))
    references = tuple(true_name(parent, c) for c in r.references)
    if not references and parent is not None:
        references = tuple(c for _, c in sorted((f[4], f[0]) for f in raw.columns[parent] if f[4]))
    columns = tuple(true_name(table, c) for c in r.columns)
    return catalog.ForeignKey(
        name=_named(raw, r.name, table, columns, "fkey"),
        columns=columns,
        table=catalog.TableName("", parent or r.table),
        references=references,
        on_delete=r.on_delete,
        on_update=r.on_update,
        match=r.match,
        deferrable=r.deferrable,
        deferred=r.deferred,
    )


def _index(raw: _RawIndex) -> catalog.Index:
    parsed = parse_table.parse_index(raw.sql)
    columns = []
    for at, (column, descending, collation) in enumerate(raw.parts):
        expression = None
        if column is None:
            expression = parse_table.element_expression(parsed.elements[at]) if at < len(parsed.elements) else "NULL"
        columns.append(
            catalog.IndexColumn(
                column,
                expression,
                descending,
                collation=None if collation.upper() == "BINARY" else collation,
            )
        )
    return catalog.Index(raw.name, tuple(columns), unique=raw.unique, where=parsed.where, definition=raw.sql)


def _sequences(session: base.Session, tables: Iterable[catalog.Table], raw: _Raw) -> Iterable[catalog.Sequence]:
    stands: dict[str, int | None] = {}
    if "sqlite_sequence" in raw.sql:
        stands = {str(n): s for n, s in session.rows("SELECT name, seq FROM main.sqlite_sequence")}
    for table in tables:
        for column in table.columns:
            if column.identity == "autoincrement":
                last = stands.get(table.name.name)
                yield catalog.Sequence(
                    name=catalog.TableName("", table.name.name),
                    last_value=last if isinstance(last, int) else None,
                    owner=(table.name, column.name),
                )


def _estimates(
    session: base.Session, tables: Sequence[str], raw: _Raw, kinds: dict[str, tuple[str, bool, bool]]
) -> dict[str, int]:
    """Guess rows per table: what ANALYZE noted, else the span of rowids; both cost next to nothing."""
    found: dict[str, int] = {}
    # No row takes less than four bytes of a page: a span with a large gap in it is no count.
    pages = session.rows("PRAGMA main.page_count")[0][0] * session.rows("PRAGMA main.page_size")[0][0]
    if "sqlite_stat1" in raw.sql:
        for table, stat in session.rows("SELECT tbl, max(CAST(stat AS INTEGER)) FROM main.sqlite_stat1 GROUP BY tbl"):
            found[str(table)] = int(stat or 0)
    for name in tables:
        alias = names.rowid_alias([f[0] for f in raw.columns[name]])
        if name in found or names.is_own(name) or kinds.get(name, ("", True))[1] or alias is None:
            continue
        table = names.quote(name)
        first, last = session.rows(f"SELECT (SELECT min({alias}) FROM {table}), (SELECT max({alias}) FROM {table})")[0]
        found[name] = 0 if first is None else min(int(last) - int(first) + 1, int(pages) // 4)
    return found


def _extras(session: base.Session) -> dict[str, str]:
    wanted = ("encoding", "user_version", "application_id", "page_size", "auto_vacuum")
    return {name: str(session.rows(f"PRAGMA main.{name}")[0][0]) for name in wanted}
