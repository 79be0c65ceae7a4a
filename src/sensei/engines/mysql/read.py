"""Reading a chunk: rows joined by the server, escaped by the block, looked into only where a block is ambiguous."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from sensei import errors
from sensei.engines import base, escaping, seeing
from sensei.engines.mysql import facts, names, render, session, wire
from sensei.engines.mysql.session import MysqlSession

BLOCK = 256 * 1024

# They part fields and rows until the block is escaped: no text in UTF-8 has them.
_FIELD, _ROW = b"\xff", b"\xfe"
_TO_COPY = bytes.maketrans(_FIELD + _ROW, b"\t\n")


def read(found: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[bytes]:
    """Yield the chunk's rows in key order."""
    if form not in (base.Form.TEXT, base.Form.NATIVE):
        raise errors.Fault(f"MySQL does not give rows in the form {form}")
    mine = facts.own(found)
    # One state of the table, also where a chunk takes two statements.
    alone = mine.purpose is base.Purpose.SOURCE and not mine.in_transaction
    if alone:
        mine.begin()
    try:
        yield from _blocks(mine, spec, form is base.Form.NATIVE)
    finally:
        if alone:
            mine.rollback()


def _blocks(mine: MysqlSession, spec: base.ReadSpec, own: bool) -> Iterator[bytes]:
    known = facts.of(mine, spec.table)
    marks = render.Marks()
    null = names.literal(marks.null.decode())
    columns = []
    for each in spec.columns:
        column = known.column(each.name)
        sql = render.plain(column) if own else render.canonical(column, each.type, marks)
        columns.append(f"IF({names.quote(column.name)} IS NULL, {null}, {sql})" if column.nullable else sql)
    tail = _tail(mine, known, spec)
    # Cast, not merely marked, as binary: the bytes of text go through as they are, and collations need not agree.
    joined = f"CONCAT_WS(CAST(x'ff' AS BINARY), {', '.join(columns)})"
    if long := [c.name for c in map(known.column, (c.name for c in spec.columns)) if c.word in facts.ENDLESS]:
        # A large row is not put together at all: it comes field by field, as one beyond max_allowed_packet does.
        size_of = " + ".join(f"IFNULL(LENGTH({names.quote(c)}), 0)" for c in long)
        joined = f"IF({size_of} > {escaping.LARGE}, NULL, {joined})"
    join = f"SELECT {joined}{tail}"
    done = 0
    waiting: list[bytes] = []
    size = 0
    try:
        with contextlib.closing(wire.lines(mine, join)) as parts:
            for lines in parts:
                waiting += lines
                size += sum(map(len, lines))
                if size < BLOCK:
                    continue
                block = _escaped(waiting, len(columns), marks)
                if block is None:
                    break
                done += len(waiting)
                waiting, size = [], 0
                yield block
            else:
                block = _escaped(waiting, len(columns), marks) if waiting else b""
                if block is not None:
                    yield block
                    return
    except wire.TooWide:
        pass
    yield from _field_by_field(mine, spec, own, marks, f"{tail} LIMIT 18446744073709551615 OFFSET {done}")


def _escaped(lines: list[bytes], columns: int, marks: render.Marks) -> bytes | None:
    """Turn rows into COPY text, or None where bytes that are no UTF-8 look like a separator of ours."""
    joined = _ROW.join(lines) + _ROW
    block = escaping.escape(joined).translate(_TO_COPY)
    if block.count(b"\t") != len(lines) * (columns - 1) or (columns == 1 and block.count(b"\n") != len(lines)):
        return None  # a row too many shows by its fields, but where it has only one
    return marks.settled(block)


def _field_by_field(
    mine: MysqlSession, spec: base.ReadSpec, own: bool, marks: render.Marks, tail: str
) -> Iterator[bytes]:
    """Read the rest of the chunk with each field apart: slower, and neither its text nor its size can confuse it."""
    known = facts.of(mine, spec.table)
    ways = [render.whole_values(known.column(c.name), c.type, marks, own) for c in spec.columns]
    # A NULL that a function made of a value beyond max_allowed_packet must not pass for one of the data.
    checks = [f"{names.quote(known.column(c.name).name)} IS NULL" for c in spec.columns]
    select = f"SELECT {', '.join([*(sql for sql, _ in ways), *checks])}{tail}"
    out: list[bytes] = []
    size = 0
    for row in wire.fields(mine, select):
        values, nulls = row[: len(ways)], row[len(ways) :]
        for at, (value, is_null, column, (_, finish)) in enumerate(zip(values, nulls, spec.columns, ways, strict=True)):
            if value is None and (is_null is None or bytes(is_null) != b"1"):
                raise errors.ServerFailed(
                    f"{spec.table}: a value of {column.name} is beyond the server's max_allowed_packet",
                    hint="raise max_allowed_packet on the server, then sensei migrations resume ID",
                )
            if at:
                out.append(b"\t")
            for piece in (b"\\N",) if value is None else finish(value):
                out.append(piece)
                size += len(piece)
                if size > BLOCK:
                    yield b"".join(out)
                    out, size = [], 0
        out.append(b"\n")
    if out:
        yield b"".join(out)


# -- along a key


def _tail(mine: MysqlSession, known: facts.Facts, spec: base.ReadSpec) -> str:
    where, params = range_sql(known, spec.key, spec.lower, spec.upper)
    sql = f"{source(known, spec.key)}{where}{order(known, spec.key)}"
    return bound(mine, sql, params)


def source(known: facts.Facts, key: base.ChunkKey) -> str:
    """Return FROM with the index that the key is read along: the server must neither sort nor guess."""
    index = known.index(key.columns) if key.kind == "columns" else None
    whole = names.qualified(known.name) + (f" FORCE INDEX ({names.quote(index)})" if index else "")
    return f" FROM {whole if known.view is None else f'{seeing.derived(known.view, whole, names.quote)} seen'}"


def order(known: facts.Facts, key: base.ChunkKey) -> str:
    """Return ORDER BY along the key."""
    if key.kind != "columns":
        return ""
    return " ORDER BY " + ", ".join(names.quote(known.column(c).name) for c in key.columns)


def range_sql(
    known: facts.Facts, key: base.ChunkKey, lower: base.KeyValue | None, upper: base.KeyValue | None
) -> tuple[str, list[Any]]:
    """Write the condition lower < key <= upper, with its parameters.

    Spelled out, column by column: the server does not look up an index by a comparison of whole rows.
    """
    if key.kind != "columns":
        return "", []
    columns = [known.column(c) for c in key.columns]
    parts: list[str] = []
    params: list[Any] = []
    for bounds, strict, sign in ((lower, ">", ">="), (upper, "<", "<=")):
        if bounds is None:
            continue
        first = names.quote(columns[0].name)
        sql, values = constant(columns[0], bounds[0])
        parts.append(f"{first} {strict if len(columns) == 1 and sign == '>=' else sign} {sql}")
        params += values
        if len(columns) == 1:
            continue
        branches = []
        for n, column in enumerate(columns):
            terms = []
            for before, value in zip(columns[:n], bounds[:n], strict=True):
                sql, values = constant(before, value)
                terms.append(f"{names.quote(before.name)} = {sql}")
                params += values
            last = n == len(columns) - 1 and strict == "<"
            sql, values = constant(column, bounds[n])
            terms.append(f"{names.quote(column.name)} {'<=' if last else strict} {sql}")
            params += values
            branches.append(" AND ".join(terms))
        parts.append("(" + " OR ".join(f"({b})" for b in branches) + ")")
    return (" WHERE " + " AND ".join(parts) if parts else ""), params


def constant(column: facts.Column, value: Any) -> tuple[str, list[Any]]:
    """Write a key's value so that it compares as the column's own values do, and finds them in the index."""
    if isinstance(value, int):
        return str(int(value)), []
    if column.word == "double":
        return "CAST(? AS DOUBLE)", [repr(value)]
    if column.word in ("decimal", "numeric"):
        return f"CAST(? AS {column.full.split(' ')[0]})", [str(value)]
    if isinstance(value, bytes) or not column.charset:
        return "?", [value]
    return f"CONVERT(? USING {_word(column.charset)}) COLLATE {_word(column.collation)}", [value]


def _word(name: str) -> str:
    if not name.isascii() or not name.replace("_", "").isalnum():
        raise errors.Fault(f"{name!r} is no name of a character set or collation")
    return name


def bound(mine: MysqlSession, sql: str, params: Sequence[Any]) -> str:
    """Write parameters into a statement."""
    if not params:
        return sql
    with mine.translated():
        text: str = mine.connection.cursor().mogrify(session.placeholders(sql), tuple(params))
    return text
