"""Reading a chunk: rows rendered by SQLite, escaped by the block, looked into only where a block is ambiguous."""

from __future__ import annotations

import dataclasses
import itertools
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from sensei import catalog, errors
from sensei.catalog import rowtext
from sensei.catalog.types import Kind
from sensei.engines import base, escaping, seeing
from sensei.engines.sqlite import names
from sensei.engines.sqlite.render import FIELD, Renderer
from sensei.engines.sqlite.session import SqliteSession, translate

BLOCK_BYTES = 512_000
VALUES_ROWS = 2_000
VALUES_BYTES = 4_000_000

_FIELD = FIELD.encode()
_ROW = b"\x1e"
_TO_COPY = bytes.maketrans(_FIELD + _ROW, b"\t\n")


def own(session: base.Session) -> SqliteSession:
    """Return the session as this package's own."""
    if not isinstance(session, SqliteSession):
        raise errors.Fault("a session of another engine was handed to SQLite")
    return session


def source(session: base.Session, table: catalog.TableName) -> str:
    """Return FROM with a table as the migration sees it."""
    view, whole = session.seen.get(table), names.qualified(table)
    if view is None:
        return f" FROM {whole}"
    return f" FROM {seeing.derived(view, whole, names.quote, (view.rowid,) if view.rowid else ())} AS seen"


#: Arguments of one call: SQLite takes 127 by default.
_TOGETHER = 100


def _line(columns: Sequence[str]) -> str:
    """Return SQL that puts the fields of a row, none of them NULL, into one text."""
    parts = list(columns)
    while len(parts) > _TOGETHER:
        parts = [_line(parts[at : at + _TOGETHER]) for at in range(0, len(parts), _TOGETHER)]
    return f"concat_ws(char({ord(FIELD)}), {', '.join(parts)})"


def range_sql(session: base.Session, spec: base.ReadSpec) -> tuple[str, list[Any]]:
    """Return FROM, WHERE and ORDER BY of a chunk, and the values bound in them."""
    sql, conditions = source(session, spec.table), []
    params: list[Any] = []
    columns = key_columns(spec.key)
    left = f"({', '.join(columns)})" if len(columns) > 1 else "".join(columns)
    for bound, sign in ((spec.lower, ">"), (spec.upper, "<=")):
        if bound is not None and columns:
            marks = ", ".join("?" * len(columns))
            conditions.append(f"{left} {sign} ({marks})" if len(columns) > 1 else f"{left} {sign} ?")
            params.extend(bound)
    if conditions:
        sql += " WHERE " + " AND ".join(conditions)
    return (sql + " ORDER BY " + ", ".join(columns) if columns else sql), params


def key_columns(key: base.ChunkKey) -> list[str]:
    """Return the SQL of each key column; none for a table that is one chunk."""
    if key.kind == "rowid":
        # Unquoted, the three aliases never turn into strings.
        return [c if c in ("rowid", "_rowid_", "oid") else names.quote(c) for c in key.columns]
    return [names.quote(c) for c in key.columns] if key.kind == "columns" else []


def read(session: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[base.Block]:
    """Yield the chunk's rows in key order."""
    mine = own(session)
    if form is base.Form.VALUES:
        return _read_values(mine, spec)
    if form is base.Form.TEXT:
        return _read_text(mine, spec)
    raise errors.Fault(f"SQLite does not give rows in the form {form}")


def _read_values(session: SqliteSession, spec: base.ReadSpec) -> Iterator[base.Block]:
    tail, params = range_sql(session, spec)
    quoted = [names.quote(c.name) for c in spec.columns]
    try:
        # octet_length() reads a row's header only, so the size of a block is known before any of it is fetched.
        sizes = " + ".join(f"ifnull(octet_length({c}), 0)" for c in quoted)
        widest = session.rows(f"SELECT max({sizes}){tail}", params)[0][0] or 1
        rows = max(1, min(VALUES_ROWS, VALUES_BYTES // max(int(widest), 1)))
        cursor = iter(session.db.execute(f"SELECT {', '.join(quoted)}{tail}", tuple(params)))
        while block := list(itertools.islice(cursor, rows)):
            yield block
    except GeneratorExit:
        raise
    except Exception as e:
        raise translate(e, session.purpose) from e


def facts(session: SqliteSession, spec: base.ReadSpec) -> dict[str, tuple[str, bool]]:
    """Return (declared type, may it be NULL) of each column, by folded name."""
    found = session.rows("SELECT name, type, \"notnull\" FROM pragma_table_xinfo(?, 'main')", [spec.table.name])
    if not found:
        raise errors.UnknownName(f"no such table: {spec.table}")
    known = {names.fold(n): (t or "", not notnull) for n, t, notnull in found}
    view = session.seen.get(spec.table)
    for name, column in (view.computed() if view is not None else {}).items():
        known[names.fold(name)] = (column.native, True)
    return known


def expressions(session: SqliteSession, spec: base.ReadSpec, null: str) -> list[str]:
    """Return the canonical text of each column as SQL."""
    known = facts(session, spec)
    renderer = Renderer(session.db)
    rowid = spec.key.columns[0] if spec.key.kind == "rowid" else None
    found = []
    for column in spec.columns:
        native, nullable = known.get(names.fold(column.name), ("", True))
        nullable = nullable and column.name != rowid
        found.append(
            renderer.expression(column.name, column.type, native, guard=column.guard, nullable=nullable, null=null)
        )
    return found


def _read_text(session: SqliteSession, spec: base.ReadSpec) -> Iterator[bytes]:
    # NULL travels as a word that nobody can have written into a text: it is made up anew for every read.
    marker = f"\x1d{secrets.token_hex(8)}"
    columns = expressions(session, spec, names.literal(marker))
    reading = _Reading(session, spec, columns, _line(columns), marker.encode())
    try:
        yield from reading.batches() if spec.key.kind == "rowid" else reading.lines(spec)
    except GeneratorExit:
        raise
    except Exception as e:
        raise translate(e, session.purpose) from e


class _Reading:
    """One chunk on its way: the SQL of its rows, and where it stands."""

    def __init__(
        self, session: SqliteSession, spec: base.ReadSpec, columns: Sequence[str], line: str, null: bytes
    ) -> None:
        self.session, self.spec, self.columns, self.line, self.null = session, spec, columns, line, null
        # A cast gives bytes in the file's own encoding, whatever they are; in UTF-16 that is not what travels.
        self.narrow = session.rows("PRAGMA encoding")[0][0] == "UTF-8"

    def _bytes(self, sql: str) -> str:
        return f"CAST({sql} AS BLOB)" if self.narrow else sql

    def batches(self) -> Iterator[bytes]:
        """Yield the rows of a rowid's range, many joined into one value by SQLite: a fetch a row costs as much again.

        Memory stays bounded: a value that grows beyond a few blocks is an error, and its rows are then read one by one.
        """
        db, spec = self.session.db, self.spec
        rowid = key_columns(spec.key)[0]
        joined = self._bytes(f"group_concat(l, char({ord(_ROW)}))")
        rows, limit = 64, db.limit(apsw.SQLITE_LIMIT_LENGTH)
        found: Any
        while True:
            # Bounds and number are bound, not written, so that the statement is compiled once.
            tail, params = range_sql(self.session, spec)
            sql = f"SELECT {joined}, max(k), count(*) FROM (SELECT {self.line} AS l, {rowid} AS k{tail} LIMIT ?)"
            try:
                db.limit(apsw.SQLITE_LIMIT_LENGTH, min(limit, 8 * BLOCK_BYTES))
                (found,) = db.execute(sql, (*params, rows)).fetchall()
            except apsw.TooBigError:
                if rows > 1:
                    rows = max(1, rows // 8)
                    continue
                db.limit(apsw.SQLITE_LIMIT_LENGTH, limit)
                (found,) = db.execute(f"SELECT {rowid}{tail} LIMIT 1", params).fetchall()
                yield from self._large(dataclasses.replace(spec, upper=found))
                spec = dataclasses.replace(spec, lower=found)
                continue
            finally:
                db.limit(apsw.SQLITE_LIMIT_LENGTH, limit)
            joined_rows, last, count = found
            if not count:
                return
            text = _encoded(joined_rows) + _ROW
            block = _escaped(text, count, len(self.columns), self.null)
            if block is None:
                yield from self._fields(dataclasses.replace(spec, upper=(last,)), 0)
            else:
                yield block
            if count < rows:
                return
            spec = dataclasses.replace(spec, lower=(last,))
            rows = max(1, min(BLOCK_BYTES * count // len(text), 2 * rows))

    def _large(self, spec: base.ReadSpec) -> Iterator[bytes]:
        """Yield the one row of a range, field by field; the hex of bytes is nowhere made as a whole."""
        tail, params = range_sql(self.session, spec)

        def one(sql: str) -> Any:
            return next(iter(self.session.db.execute(f"SELECT {sql}{tail}", tuple(params))))

        for at, (column, sql) in enumerate(zip(spec.columns, self.columns, strict=True)):
            if at:
                yield b"\t"
            x = names.quote(column.name)
            kind, size = one(f"typeof({x}), octet_length({x})")
            if column.type.kind is Kind.BYTES and kind == "blob" and size > escaping.PIECE:
                yield from escaping.hexed(one(x)[0])
                continue
            value = one(self._bytes(sql))[0]
            text = None if value is None else _encoded(value)
            if text is None or len(text) <= escaping.PIECE:
                yield _escape(text, self.null)
            else:
                yield from escaping.pieces(text)
        yield b"\n"

    def lines(self, spec: base.ReadSpec) -> Iterator[bytes]:
        """Yield the rows fetched one by one."""
        tail, params = range_sql(self.session, spec)
        lines: list[bytes] = []
        size = done = 0
        for (text,) in self.session.db.execute(f"SELECT {self._bytes(self.line)}{tail}", tuple(params)):
            line = _encoded(text)
            lines.append(line)
            size += len(line)
            if size <= BLOCK_BYTES:
                continue
            large = lines.pop() if len(line) > escaping.LARGE else None
            block = self._joined(lines) if lines else b""
            if block is None:
                yield from self._fields(spec, done)
                return
            done += len(lines)
            lines.clear()
            size = 0
            yield block
            if large is not None:
                if not self._is_plain(large):
                    yield from self._fields(spec, done)
                    return
                del text, line
                yield from self._apart(large)
                done += 1
        if lines:
            block = self._joined(lines)
            if block is None:
                yield from self._fields(spec, done)
            else:
                yield block

    def _is_plain(self, line: bytes) -> bool:
        """Tell whether the separators in a line are all ours."""
        return line.count(_FIELD) == len(self.columns) - 1 and _ROW not in line

    def _apart(self, line: bytes) -> Iterator[bytes]:
        """Yield a line in pieces: whatever is done to it as a whole costs its size once more."""
        start = 0
        for at in range(len(self.columns)):
            if at:
                yield b"\t"
            end = line.find(_FIELD, start)
            end = len(line) if end < 0 else end
            field = memoryview(line)[start:end]
            if len(field) > escaping.PIECE:
                yield from escaping.pieces(field)
            else:
                yield _escape(bytes(field), self.null)
            start = end + 1
        yield b"\n"

    def _joined(self, lines: list[bytes]) -> bytes | None:
        return _escaped(_ROW.join(lines) + _ROW, len(lines), len(self.columns), self.null)

    def _fields(self, spec: base.ReadSpec, skip: int) -> Iterator[bytes]:
        """Read the rest of a range with each field apart: slower, and nothing in the data can confuse it."""
        tail, params = range_sql(self.session, spec)
        fields = ", ".join(self._bytes(c) for c in self.columns)
        # A chunk of a live transaction does not change between two statements, so the same rows are skipped.
        cursor = self.session.db.execute(f"SELECT {fields}{tail} LIMIT -1 OFFSET {int(skip)}", tuple(params))
        out: list[bytes] = []
        size = 0
        for row in cursor:
            texts = [_escape(None if value is None else _encoded(value), self.null) for value in row]
            # A misfit carries our separator on purpose: as a tab it makes one field too many.
            line = b"\t".join(texts) + b"\n"
            out.append(line)
            size += len(line)
            if size > BLOCK_BYTES:
                yield b"".join(out)
                out.clear()
                size = 0
        if out:
            yield b"".join(out)


def _encoded(value: Any) -> bytes:
    # Of a file in UTF-16 SQLite itself makes UTF-8; half a surrogate pair becomes what Unicode has for it.
    return value if isinstance(value, bytes) else str(value).encode()


def _escaped(joined: bytes, rows: int, columns: int, null: bytes) -> bytes | None:
    """Turn rows into COPY text, or None where a separator of ours is also in the data."""
    block = escaping.escape(joined).translate(_TO_COPY)
    # Separators in the data can only add to those that are ours.
    if len(block) - len(block.translate(None, b"\t\n")) != rows * columns:
        return None
    return block.replace(null, b"\\N")


def _escape(value: bytes | None, null: bytes) -> bytes:
    if value is None or value == null:
        return b"\\N"
    value = escaping.escape(value)
    if value.startswith(rowtext.MISFIT.encode()) and value.endswith(_FIELD):
        return value.removesuffix(_FIELD) + b"\t"
    return value
