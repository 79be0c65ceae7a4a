"""Loading COPY text by INSERTs of many rows, for servers that forbid LOAD DATA LOCAL; strict mode refuses misfits."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from sensei import errors
from sensei.catalog import rowtext, types
from sensei.engines import base
from sensei.engines.mysql import facts, failures, names, typemap
from sensei.engines.mysql.session import MysqlSession

if TYPE_CHECKING:  # it calls this room
    from sensei.engines.mysql import load as loading

Kind = types.Kind

#: Bytes of one statement, where the server takes as many.
BATCH = 1 << 20
#: Of max_allowed_packet, what a statement needs beside its rows.
_HEAD = 16_384

_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})*")
_WHOLE = re.compile(rb"-?[0-9]+")
_YEAR = re.compile(rb"0|[0-9]{4}")
_FRACTION = re.compile(rb"\.([0-9]+)")

Literal = Callable[[bytes], bytes]


def load(
    mine: MysqlSession,
    spec: base.LoadSpec,
    columns: list[tuple[facts.Column, types.LogicalType]],
    form: base.Form,
    lines: loading.Lines,
    known: facts.Facts,
) -> int:
    """Write rows; return how many. Raises DataRejected, and ServerFailed for a row beyond max_allowed_packet."""
    ways = [literal(column, type, own=form is base.Form.NATIVE) for column, type in columns]
    listed = ", ".join(names.quote(column.name) for column, _ in columns)
    head = f"INSERT INTO {names.qualified(spec.table)} ({listed}) VALUES ".encode()
    limit = min(BATCH, mine.max_packet - _HEAD)
    rows = size = 0
    waiting: list[bytes] = []
    for block in lines:
        for line in block[:-1].split(b"\n"):
            row = _row(line.split(b"\t"), ways, spec)
            if waiting and size + len(row) > limit:
                rows += _insert(mine, head, waiting, known)
                waiting, size = [], 0
            if len(row) > mine.max_packet - _HEAD:
                raise failures.meaning(1153, f"{spec.table} has a row of {len(row)} bytes")
            waiting.append(row)
            size += len(row) + 1
    if waiting:
        rows += _insert(mine, head, waiting, known)
    return rows


def _row(fields: list[bytes], ways: list[Literal], spec: base.LoadSpec) -> bytes:
    if len(fields) != len(ways):
        raise errors.DataRejected(f"{spec.table}: a row has {len(fields)} fields, expected were {len(ways)}")
    return b"(%b)" % b",".join(
        b"NULL" if field == b"\\N" else way(field) for field, way in zip(fields, ways, strict=True)
    )


def _insert(mine: MysqlSession, head: bytes, rows: Iterable[bytes], known: facts.Facts) -> int:
    waiting = list(rows)
    with mine.translated():
        done = mine.connection.query(head + b",".join(waiting))
        warnings = mine.connection._result.warning_count
    if (warnings and not known.only_rounded(mine, warnings)) or done != len(waiting):
        # A decimal that is rounded is told by a note, also in strict mode.
        found = [(int(code), str(text)) for _, code, text in mine.rows("SHOW WARNINGS LIMIT 1")] or [(0, "no warning")]
        error = failures.meaning(*found[0])
        raise error if isinstance(error, errors.DataRejected) else errors.DataRejected(found[0][1])
    return len(waiting)


def literal(column: facts.Column, type: types.LogicalType, *, own: bool) -> Literal:
    """Return what makes an SQL literal of a field; see `load.expression`, which does the same inside the server."""

    def refuse(field: bytes) -> errors.DataRejected:
        shown = rowtext.unescape(field.decode("utf-8", "backslashreplace"))
        return errors.DataRejected(f"{shown} can't be held by {column.full}", column=column.name)

    def only(fits: Callable[[bytes], bool], then: Literal = _quoted) -> Literal:
        def make(field: bytes) -> bytes:
            if not fits(field):
                raise refuse(field)
            return then(field)

        return make

    if column.word in facts.BLOBS or column.word in facts.GEOMETRIES:
        if type.kind in (Kind.BYTES, Kind.ANY) or own:
            return only(
                lambda f: f.startswith(b"\\\\x") and _HEX.fullmatch(f, 3) is not None, lambda f: b"x'%b'" % f[3:]
            )
        return _quoted
    if column.word == "bit":
        return only(lambda f: f in (b"t", b"f") or f.isdigit(), lambda f: {b"t": b"1", b"f": b"0"}.get(f, f))
    if own:
        return _quoted
    if column.word == "year":
        return only(lambda f: _YEAR.fullmatch(f) is not None, lambda f: b"'0000'" if f == b"0" else _quoted(f))
    whole = column.word in facts.INTEGERS
    if type.kind is Kind.BOOLEAN:
        return only(lambda f: f in (b"t", b"f"), lambda f: b"1" if f == b"t" else b"0") if whole else _quoted
    if whole and type.kind is not Kind.INTEGER:
        return only(lambda f: _WHOLE.fullmatch(f) is not None)
    if column.word in ("float", "double"):
        return only(lambda f: _is_float(f, column, type), _largest if column.word == "float" else _quoted)
    if column.word in facts.TIMES:
        zoned = type.kind is Kind.TIMESTAMPTZ

        def fits(field: bytes) -> bool:
            digits = _FRACTION.search(field)
            return (not zoned or field.endswith(b"+00")) and (digits is None or len(digits[1]) <= column.digits)

        return only(fits, lambda f: _quoted(f[:-3] if zoned else f))
    if column.word == "enum" and not type.labels:
        labels = typemap.labels(column.full)
        return only(lambda f: rowtext.unescape(f.decode("utf-8", "replace")) in labels)
    if column.word == "char" and not type.fixed and type.kind is Kind.TEXT:
        return only(lambda f: not f.endswith(b" "))
    return _quoted


def _quoted(field: bytes) -> bytes:
    # What COPY escapes, a literal escapes likewise.
    return b"'%b'" % field.replace(b"'", b"\\'")


def _is_float(field: bytes, column: facts.Column, type: types.LogicalType) -> bool:
    try:
        value = float(field)
        if field == b"-0":
            return False
        if type.kind in (Kind.FLOAT, Kind.ANY) and (type.bits == 32 or column.word == "double"):
            return True
        if column.word == "float":
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        return Decimal(repr(value)) == Decimal(field.decode())
    except (ValueError, OverflowError, ArithmeticError):
        return False


def _largest(field: bytes) -> bytes:
    # The shortest text of the largest float is beyond it.
    return _quoted(field.replace(b"8235e", b"82346638528860e") if field.lstrip(b"-") == b"3.4028235e+38" else field)
