"""Reads everything that is in one database of a MariaDB or MySQL server, and makes tables of it."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sensei import catalog
from sensei.catalog import types
from sensei.engines import base
from sensei.engines.mysql import names, queries, typemap

_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table"}
#: Storage engines whose tables hold no rows of their own.
_FOREIGN = frozenset({"federated", "spider", "connect", "mrg_myisam", "oqgraph", "s3", "ndbinfo", "perfschema"})
_METHODS = {"BTREE": "btree", "HASH": "hash", "FULLTEXT": "fulltext", "RTREE": "spatial", "SPATIAL": "spatial"}
_RULES = {"RESTRICT": "RESTRICT", "CASCADE": "CASCADE", "SET NULL": "SET NULL", "NO ACTION": "NO ACTION",
          "SET DEFAULT": "SET DEFAULT"}  # fmt: skip
_LARGEST = {8: 127, 16: 32767, 24: 8388607, 32: 2**31 - 1, 64: 2**63 - 1}
#: How many sequences one statement asks for their position.
_AT_ONCE = 100


@dataclass
class _Grouped:
    """The rows that tell of one table."""

    columns: list[base.Row] = field(default_factory=list)
    indexes: list[base.Row] = field(default_factory=list)
    keys: list[base.Row] = field(default_factory=list)
    checks: list[base.Row] = field(default_factory=list)
    partitions: list[base.Row] = field(default_factory=list)


class Database:
    """Everything that is in one database, read at once."""

    def __init__(self, session: base.Session, name: str, mariadb: bool) -> None:
        self.session, self.name, self.mariadb = session, name, mariadb
        self.heads = [r for r in session.rows(queries.TABLES, [name]) if not names.is_own(str(r[0]))]
        self.rules = {(str(t), str(c)): (str(u), str(d)) for t, c, u, d in session.rows(queries.RULES, [name])}
        self.of: dict[str, _Grouped] = defaultdict(_Grouped)
        for r in session.rows(queries.COLUMNS, [name]):
            self.of[str(r[0])].columns.append(r)
        for r in session.rows(queries.indexes(mariadb), [name]):
            self.of[str(r[0])].indexes.append(r)
        for r in session.rows(queries.KEY_COLUMNS, [name]):
            self.of[str(r[0])].keys.append(r)
        for r in _checks(session, name, mariadb):
            self.of[str(r[0])].checks.append(r)
        for r in session.rows(queries.PARTITIONS, [name]):
            self.of[str(r[0])].partitions.append(r)
        self._tables: list[catalog.Table] | None = None
        self._clauses: list[catalog.Other] = []

    def tables(self) -> list[catalog.Table]:
        if self._tables is None:
            self._tables = [self._table(r) for r in self.heads if str(r[1]) in _KINDS]
        return self._tables

    def others(self) -> list[catalog.Other]:
        self.tables()
        found = list(self._clauses)
        for sql in queries.OTHERS:
            for kind, name, definition, table in self.session.rows(sql, [self.name]):
                if names.is_own(str(name)):
                    continue
                found.append(
                    catalog.Other(
                        str(kind),
                        f"{self.name}.{name}",
                        str(definition or ""),
                        catalog.TableName(self.name, str(table)) if table else None,
                    )
                )
        return found

    def sequences(self) -> list[catalog.Sequence]:
        """Return where AUTO_INCREMENT columns stand, and MariaDB's sequences."""
        found = []
        numbers = {str(r[0]): r[5] for r in self.heads}
        for table in self.tables():
            for column in table.columns:
                if column.identity is None:
                    continue
                following = numbers[table.name.name]
                bits = column.type.bits or 64
                found.append(
                    catalog.Sequence(
                        name=table.name,
                        maximum=2**bits - 1 if column.type.unsigned else _LARGEST.get(bits, 2**63 - 1),
                        last_value=int(following) - 1 if following is not None and int(following) > 1 else None,
                        data_type=column.native,
                        owner=(table.name, column.name),
                    )
                )
        plain = [str(r[0]) for r in self.heads if str(r[1]) == "SEQUENCE"]
        for start in range(0, len(plain), _AT_ONCE):
            found += self._plain_sequences(plain[start : start + _AT_ONCE])
        return found

    def _plain_sequences(self, listed: list[str]) -> Iterable[catalog.Sequence]:
        parts = [
            f"SELECT {n} AS n, next_not_cached_value, minimum_value, maximum_value, start_value, increment, cache_size,"
            f" cycle_option FROM {names.qualified(catalog.TableName(self.name, name))}"
            for n, name in enumerate(listed)
        ]
        for n, following, low, high, start, increment, cache, cycle in self.session.rows(" UNION ALL ".join(parts)):
            yield catalog.Sequence(
                name=catalog.TableName(self.name, listed[int(n)]),
                start=int(start),
                increment=int(increment) or 1,
                minimum=int(low),
                maximum=int(high),
                cycle=bool(cycle),
                cache=int(cache),
                last_value=None if int(following) == int(start) else int(following) - (int(increment) or 1),
            )

    def _table(self, head: base.Row) -> catalog.Table:
        name, kind, engine, rows, size, _, collation, _options, comment = head
        full, parts = catalog.TableName(self.name, str(name)), self.of[str(name)]
        marks, checks = _marks(parts)
        columns = [c for c in (_column(r, marks, self.mariadb) for r in parts.columns) if c is not None]
        columns = self._certain(full, columns)
        primary, uniques, indexes = _indexes(parts.indexes)
        if str(kind) == "SYSTEM VERSIONED":
            self._clauses.append(catalog.Other("system versioning", str(full), "WITH SYSTEM VERSIONING", full))
        if parts.partitions:
            self._clauses.append(catalog.Other("partitioning", str(full), _partitioning(parts.partitions), full))
        word = str(engine or "").lower()
        return catalog.Table(
            name=full,
            columns=tuple(columns),
            primary=primary,
            uniques=tuple(uniques),
            foreign_keys=tuple(self._foreign_keys(parts.keys)),
            checks=tuple(checks),
            indexes=tuple(indexes),
            comment=str(comment) if comment else None,
            kind="foreign" if word in _FOREIGN or not word else "partitioned" if parts.partitions else "table",
            definition=f"ENGINE={engine} COLLATE={collation}" if collation else f"ENGINE={engine}",
            identity=_shape(parts.columns),
            rows_estimate=int(rows or 0),
            bytes_estimate=int(size or 0),
        )

    def _certain(self, table: catalog.TableName, columns: list[catalog.Column]) -> list[catalog.Column]:
        """Ask for the bytes of defaults that information_schema can't print: binary ones, and characters of four bytes,
        in whose place it prints a question mark."""
        unsure = [
            c
            for c in columns
            if c.default is not None
            and c.default.sql.startswith(("'", "_"))
            and (c.type.kind is types.Kind.BYTES or "?" in c.default.sql)
        ]
        if not unsure:
            return columns
        listed = ", ".join(f"HEX(DEFAULT(t.{names.quote(c.name)}))" for c in unsure)
        found = self.session.rows(
            f"SELECT {listed} FROM (SELECT 1 AS one) x LEFT JOIN {names.qualified(table)} t ON 1 = 0"
        )[0]
        known = {c.name: typemap.of_bytes(str(h), c.type) for c, h in zip(unsure, found, strict=True) if h is not None}
        return [_with_default(c, known.get(c.name)) for c in columns]

    def _foreign_keys(self, rows: list[base.Row]) -> Iterable[catalog.ForeignKey]:
        for key, group in itertools.groupby(rows, key=lambda r: str(r[1])):
            listed = list(group)
            on_update, on_delete = self.rules.get((str(listed[0][0]), key), ("RESTRICT", "RESTRICT"))
            yield catalog.ForeignKey(
                name=key,
                columns=tuple(str(r[2]) for r in listed),
                table=catalog.TableName(str(listed[0][3]), str(listed[0][4])),
                references=tuple(str(r[5]) for r in listed),
                on_delete=_RULES.get(on_delete, on_delete),
                on_update=_RULES.get(on_update, on_update),
            )


def _with_default(column: catalog.Column, default: catalog.Default | None) -> catalog.Column:
    return dataclasses.replace(column, default=default) if default is not None else column


def _checks(session: base.Session, schema: str, mariadb: bool) -> list[base.Row]:
    """Return table, name, expression and whether it is enforced, of every check."""
    if mariadb:
        (sql,) = queries.checks(mariadb)
        return [(t, c, clause, True) for t, c, clause, _ in session.rows(sql, [schema])]
    clauses, tables = queries.checks(mariadb)
    # MySQL prints the clause with its quotes escaped once more.
    known = {str(c): str(clause).replace("\\'", "'") for c, clause in session.rows(clauses, [schema])}
    return [
        (t, c, known[str(c)], str(enforced).upper() == "YES")
        for t, c, enforced in session.rows(tables, [schema])
        if str(c) in known
    ]


def _marks(parts: _Grouped) -> tuple[dict[str, types.Kind], list[catalog.Check]]:
    """Tell checks that only say what a column means from those that a table has besides."""
    marks: dict[str, types.Kind] = {}
    rest: list[catalog.Check] = []
    words = {str(r[1]): str(r[4]).lower() for r in parts.columns}
    for _, name, clause, enforced in parts.checks:
        text = str(clause)
        named = set(names.quoted_names(text))
        column = next(iter(named)) if len(named) == 1 else None
        mark = typemap.marked(column, words.get(column, ""), text) if column is not None and enforced else None
        if mark is None or column is None or column in marks:
            rest.append(catalog.Check(str(name), text, bool(enforced)))
        else:
            marks[column] = mark
    return marks, rest


def _column(r: base.Row, marks: dict[str, types.Kind], mariadb: bool) -> catalog.Column | None:
    (_, name, default, nullable, word, full, length, precision, scale, digits, collation, extra, generation,
     comment) = r  # fmt: skip
    clauses = str(extra or "")
    upper = clauses.upper()
    # MySQL prints expressions with their quotes escaped once more.
    generated = (str(generation) if mariadb else str(generation).replace("\\'", "'")) if generation else None
    if generated is not None and generated.upper() in ("ROW START", "ROW END"):
        return None  # of system versioning, which is listed apart
    declared = typemap.Declared(
        str(word), str(full), _int(length), _int(precision), _int(scale), _int(digits),
        str(collation) if collation else None,
    )  # fmt: skip
    of = typemap.logical(declared, marks.get(str(name)))
    kept = [m[0] for m in re.finditer(r"on update \w+(?:\(\d*\))?|invisible", clauses, re.IGNORECASE)]
    found = None
    if default is not None and generated is None:
        expression = None if mariadb else "DEFAULT_GENERATED" in upper or _is_now(str(default), of)
        found = typemap.default(str(default), of, expression=expression)
        if found.kind == "null":
            found = None
    return catalog.Column(
        name=str(name),
        type=of,
        native=str(full),
        nullable=str(nullable).upper() == "YES",
        default=found,
        identity="by default" if "AUTO_INCREMENT" in upper else None,
        generated=generated,
        collation=str(collation) if collation else None,
        comment=str(comment) if comment else None,
        virtual="VIRTUAL" in upper,
        extra=" ".join(kept),
    )


def _is_now(default: str, of: types.LogicalType) -> bool:
    moments = (types.Kind.TIMESTAMP, types.Kind.TIMESTAMPTZ)
    return of.kind in moments and default.upper().startswith("CURRENT_TIMESTAMP")


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _indexes(rows: list[base.Row]) -> tuple[catalog.Key | None, list[catalog.Key], list[catalog.Index]]:
    primary: catalog.Key | None = None
    uniques: list[catalog.Key] = []
    indexes: list[catalog.Index] = []
    for name, group in itertools.groupby(rows, key=lambda r: str(r[1])):
        listed = list(group)
        plain = tuple(str(r[3]) for r in listed if r[3] is not None)
        whole = len(plain) == len(listed) and all(r[5] is None for r in listed)
        unique = not int(listed[0][2])
        method = _METHODS.get(str(listed[0][6]).upper(), str(listed[0][6]).lower())
        if name == "PRIMARY" and whole:
            primary = catalog.Key("", plain)  # its name is not anybody's choice
            continue
        if unique and whole and method in ("btree", "hash") and not any(r[4] == "D" for r in listed):
            uniques.append(catalog.Key(name, plain))
            continue
        indexes.append(
            catalog.Index(
                name=name,
                columns=tuple(
                    catalog.IndexColumn(
                        str(r[3]) if r[3] is not None else None,
                        str(r[8]).replace("\\'", "'") if r[3] is None else None,
                        r[4] == "D",
                        prefix=_int(r[5]) if method in ("btree", "hash") else None,
                    )
                    for r in listed
                ),
                unique=unique,
                method=method,
            )
        )
    return primary, uniques, indexes


def _partitioning(rows: list[base.Row]) -> str:
    _, _, method, expression, _, _ = rows[0]
    listed = dict.fromkeys(f"{name} {description or ''}".strip() for _, name, _, _, description, _ in rows)
    return f"PARTITION BY {method} ({expression}): {', '.join(listed)}"


def _shape(columns: list[base.Row]) -> str:
    """Return the shape of a table as `queries.SHAPE` gives it."""
    total = 0
    for position, r in enumerate(columns, 1):
        text = "\0".join((str(position), str(r[1]), str(r[5]), str(r[3])))
        total += int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16)
    return f"{len(columns)}-{total}"
