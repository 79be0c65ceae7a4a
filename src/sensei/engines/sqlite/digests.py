"""Rows summed up beside SQLite: it joins their lines, and Python hashes a block of them at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import apsw

from sensei import catalog
from sensei.catalog import digestline, types
from sensei.engines import base, comparing
from sensei.engines.sqlite import declared, names, read, render
from sensei.engines.sqlite.session import SqliteSession, translate

Kind = types.Kind

_OCTETS, _MD5 = "sensei_octets", "sensei_md5"


class Digests:
    """Fills the port `comparing.Digests`."""

    def own_hash(self, session: base.Session) -> bool:
        return False

    def sorts_as_number(self, native: str) -> bool:
        return declared.affinity(native) == "integer"

    def span(self, session: base.Session, table: catalog.TableName, key: base.ChunkKey) -> tuple[int, int] | None:
        first = names.quote(key.columns[0])
        # Two queries: one with both ends in it would pass over the whole table.
        ends = [session.rows(f"SELECT {end}({first}){read.source(session, table)}")[0][0] for end in ("min", "max")]
        return (ends[0], ends[1]) if all(isinstance(e, int) for e in ends) else None

    def block(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, limit: int, last: bool = True
    ) -> comparing.Digest:
        mine = read.own(session)
        tail, params = read.range_sql(mine, spec)
        keys = read.key_columns(spec.key)
        line = _Line(mine, spec, form)
        end = "max(k)" if len(keys) == 1 else "NULL"
        joined = line.bytes("group_concat(l, char(10))")
        sql = f"SELECT {joined}, count(*), {end} FROM"
        ((text, count, key),) = _rows(
            mine,
            f"{sql} (SELECT {line.sql(range(len(spec.columns)))} AS l, {keys[0]} AS k{tail} LIMIT ?)",
            params,
            limit,
        )
        if not count:
            return comparing.Digest(0, "")
        found: tuple[Any, ...] | None = None
        if len(keys) == 1:
            found = (key,)
        elif last:
            (found,) = _rows(mine, f"SELECT {', '.join(keys)}{tail} LIMIT 1 OFFSET ?", params, count - 1)
        raw = text if isinstance(text, bytes) else text.encode()
        return comparing.Digest(count, hashlib.md5(raw).hexdigest(), found, len(raw))

    def buckets(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, key: Sequence[int], number: int
    ) -> dict[int, tuple[int, int]]:
        mine = read.own(session)
        line = _Line(mine, spec, form)
        whole = line.bytes(line.sql(range(len(spec.columns))))
        of_key = "NULL" if list(key) == list(range(len(spec.columns))) else line.bytes(line.sql(key))
        tail, params = read.range_sql(mine, base.ReadSpec(spec.table, spec.columns, base.ChunkKey("whole")))
        found: dict[int, tuple[int, int]] = {}
        try:
            for one, named in mine.db.execute(f"SELECT {whole}, {of_key}{tail}", tuple(params)):
                raw = one if isinstance(one, bytes) else one.encode()
                name = raw if named is None else named if isinstance(named, bytes) else named.encode()
                at = digestline.bucket(name, number)
                rows, total = found.get(at, (0, 0))
                found[at] = (rows + 1, total + digestline.weight(raw))
        except Exception as e:
            raise translate(e, mine.purpose) from e
        return found


def _rows(session: SqliteSession, sql: str, params: Sequence[Any], last: int) -> list[base.Row]:
    try:
        return list(session.db.execute(sql, (*params, last)))
    except Exception as e:
        raise translate(e, session.purpose) from e


class _Line:
    """The SQL of rows' lines on one connection."""

    def __init__(self, session: SqliteSession, spec: base.ReadSpec, form: base.Form) -> None:
        self._spec = spec
        self._own = form is base.Form.VALUES
        self._known = read.facts(session, spec)
        self._renderer = render.Renderer(session.db)
        # In a file in UTF-16 lengths and casts are of other bytes than those that are compared.
        self._narrow = session.rows("PRAGMA encoding")[0][0] == "UTF-8"
        _register(session.db)

    def bytes(self, sql: str) -> str:
        """Return SQL that gives a text's bytes, whatever they are."""
        return f"CAST({sql} AS BLOB)" if self._narrow else sql

    def sql(self, positions: Sequence[int] | range) -> str:
        """Return the SQL of a row's line, or of some of its columns'."""
        parts: list[str] = []
        for at in positions:
            parts += self._field(self._spec.columns[at])
        # A function of SQLite takes 127 arguments in old versions.
        while len(parts) > 90:
            parts = [f"concat_ws(char(31), {', '.join(parts[n : n + 90])})" for n in range(0, len(parts), 90)]
        return f"concat_ws(char(31), {', '.join(parts)})"

    def _field(self, column: base.ReadColumn) -> list[str]:
        x = names.quote(column.name)
        if self._own:
            return self._stored(x)
        native, nullable = self._known.get(names.fold(column.name), ("", True))
        of = column.type
        sql = self._renderer.expression(column.name, of, native, guard=column.guard, nullable=False, null="''")
        large = digestline.may_be_large(of)
        if of.kind in digestline.FREE:
            length = self._octets(sql)
            parts = [length, self._bounded(sql, length) if large else sql]
        elif of.kind is Kind.BYTES and large:
            short = f"length({x}) || ':' || {_MD5}({x})"
            parts = [f"CASE WHEN typeof({x}) = 'blob' AND length({x}) > {digestline.LARGE} THEN {short} ELSE {sql} END"]
        else:
            parts = [sql]
        return [f"CASE WHEN {x} IS NULL THEN '' ELSE {p} END" for p in parts] if nullable else parts

    def _stored(self, x: str) -> list[str]:
        """Return a value as it is stored: its class, its length, itself."""
        length = self._octets(x)
        shown = f"CASE typeof({x}) WHEN 'real' THEN format('%!.17g', {x}) WHEN 'blob' THEN hex({x}) ELSE {x} END"
        value = f"CASE WHEN typeof({x}) IN ('text', 'blob') AND {length} > {digestline.LARGE} THEN "
        value += f"{_MD5}({self.bytes(x)}) ELSE {shown} END"
        return [f"substr(typeof({x}), 1, 1)", f"ifnull({length}, '')", f"ifnull({value}, '')"]

    def _octets(self, sql: str) -> str:
        return f"octet_length({sql})" if self._narrow else f"{_OCTETS}({sql})"

    def _bounded(self, sql: str, length: str) -> str:
        return f"CASE WHEN {length} > {digestline.LARGE} THEN {_MD5}({self.bytes(sql)}) ELSE {sql} END"


def _register(db: apsw.Connection) -> None:
    db.create_scalar_function(_OCTETS, _octets, 1, deterministic=True)
    db.create_scalar_function(_MD5, _md5, 1, deterministic=True)


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _octets(*values: Any) -> int | None:
    return None if values[0] is None else len(_raw(values[0]))


def _md5(*values: Any) -> str:
    return hashlib.md5(_raw(values[0])).hexdigest()
