"""Reading a chunk: rows rendered by SQLite, escaped by the block, looked into only where a block is ambiguous."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from sensei import errors
from sensei.catalog import rowtext
from sensei.engines import base
from sensei.engines.sqlite import names
from sensei.engines.sqlite.render import FIELD, Renderer
from sensei.engines.sqlite.session import SqliteSession, translate

BLOCK_BYTES = 512_000
VALUES_ROWS = 2_000
VALUES_BYTES = 4_000_000

_FIELD = FIELD.encode()
_ROW = b"\x1e"
_TO_COPY = bytes.maketrans(_FIELD + _ROW, b"\t\n")
_SPECIAL = b"\\\t\n\r\b\v\f"
_ESCAPES = tuple((c.encode(), rowtext.escape(c).encode()) for c in "\\\t\n\r\b\v\f")


def own(session: base.Session) -> SqliteSession:
    """Return the session as this package's own."""
    if not isinstance(session, SqliteSession):
        raise errors.Fault("a session of another engine was handed to SQLite")
    return session


def range_sql(spec: base.ReadSpec) -> tuple[str, list[Any]]:
    """Return FROM, WHERE and ORDER BY of a chunk, and the values bound in them."""
    sql, conditions = f" FROM {names.qualified(spec.table)}", []
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
    tail, params = range_sql(spec)
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
    return {names.fold(n): (t or "", not notnull) for n, t, notnull in found}


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
    null = marker.encode()
    tail, params = range_sql(spec)
    columns = expressions(session, spec, names.literal(marker))
    line = f"SELECT CAST(concat_ws(char({ord(FIELD)}), {', '.join(columns)}) AS BLOB){tail}"
    lines: list[bytes] = []
    add = lines.append
    size = done = 0
    try:
        for (text,) in session.db.execute(line, tuple(params)):
            add(text)
            size += len(text)
            if size > BLOCK_BYTES:
                block = _escaped(lines, len(columns), null)
                if block is None:
                    yield from _field_by_field(session, spec, columns, tail, params, done, null)
                    return
                done += len(lines)
                lines.clear()
                size = 0
                yield block
        if lines:
            block = _escaped(lines, len(columns), null)
            if block is None:
                yield from _field_by_field(session, spec, columns, tail, params, done, null)
            else:
                yield block
    except GeneratorExit:
        raise
    except Exception as e:
        raise translate(e, session.purpose) from e


def _escaped(lines: list[bytes], columns: int, null: bytes) -> bytes | None:
    """Turn rows into COPY text, or None where a separator of ours is also in the data."""
    rows = len(lines)
    joined = _ROW.join(lines) + _ROW
    block = joined.translate(_TO_COPY, _SPECIAL)
    # Separators in the data can only add to those that are ours.
    if len(block) - len(block.translate(None, b"\t\n")) != rows * columns:
        return None
    if len(block) != len(joined):
        for special, escape in _ESCAPES:
            if special in joined:
                joined = joined.replace(special, escape)
        block = joined.translate(_TO_COPY)
    return block.replace(null, b"\\N")


def _field_by_field(
    session: SqliteSession,
    spec: base.ReadSpec,
    columns: Sequence[str],
    tail: str,
    params: Sequence[Any],
    skip: int,
    null: bytes,
) -> Iterator[bytes]:
    """Read the rest of the chunk with each field apart: slower, and nothing in the data can confuse it."""
    fields = ", ".join(f"CAST({c} AS BLOB)" for c in columns)
    # A chunk of a live transaction does not change between two statements, so the same rows are skipped.
    cursor = session.db.execute(f"SELECT {fields}{tail} LIMIT -1 OFFSET {int(skip)}", tuple(params))
    out: list[bytes] = []
    size = 0
    for row in cursor:
        texts = [_escape(value, null) for value in row]
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


def _escape(value: bytes | None, null: bytes) -> bytes:
    if value is None or value == null:
        return b"\\N"
    for special, escape in _ESCAPES:
        if special in value:
            value = value.replace(special, escape)
    if value.startswith(rowtext.MISFIT.encode()) and value.endswith(_FIELD):
        return value.removesuffix(_FIELD) + b"\t"
    return value
