"""Loading a chunk: canonical text turned into values column by column, never changed, else rejected."""

from __future__ import annotations

import binascii
import codecs
import dataclasses
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sensei import errors
from sensei.catalog import rowtext
from sensei.catalog.types import Kind, LogicalType
from sensei.engines import base, escaping
from sensei.engines.sqlite import declared, names, read
from sensei.engines.sqlite.render import EXACT_DIGITS
from sensei.engines.sqlite.session import SqliteSession, translate

PIECE_BYTES = 256_000

_SAVEPOINT = "sensei_load"
#: An escape that names a byte, not a character.
_BYTES_BY_NUMBER = re.compile(rb"\\[x0-7]")
_LOOKS_NUMERIC = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

_TABS = operator.methodcaller("count", "\t")

Convert = Callable[[Sequence[str | None]], list[Any]]


def load(session: base.Session, spec: base.LoadSpec, form: base.Form, blocks: Iterable[base.Block]) -> int:
    """Write rows inside the caller's transaction; return how many. Where a row is refused none of them stays."""
    mine = read.own(session)
    marks = ", ".join("?" * len(spec.columns))
    columns = ", ".join(names.quote(name) for name, _ in spec.columns)
    insert = f"INSERT INTO {names.qualified(spec.table)} ({columns}) VALUES ({marks})"
    if form is base.Form.VALUES:
        batches: Iterable[Iterable[Sequence[Any]]] = _values(blocks)
    elif form is base.Form.TEXT:
        batches = _texts(mine, spec, blocks)
    else:
        raise errors.Fault(f"SQLite does not take rows in the form {form}")
    db = mine.db
    before = db.total_changes()
    mine.run(f"SAVEPOINT {_SAVEPOINT}")
    try:
        for batch in batches:
            db.executemany(insert, batch)
    except BaseException as e:
        # A disk that ran full may have ended the whole transaction already.
        if db.in_transaction:
            mine.run(f"ROLLBACK TO {_SAVEPOINT}")
            mine.run(f"RELEASE {_SAVEPOINT}")
        if isinstance(e, Exception):
            raise translate(e, mine.purpose) from e
        raise
    loaded = db.total_changes() - before
    mine.run(f"RELEASE {_SAVEPOINT}")
    return loaded


def _values(blocks: Iterable[base.Block]) -> Iterator[list[base.Row]]:
    for block in blocks:
        if isinstance(block, bytes):
            raise errors.Fault("text was handed over where tuples were announced")
        yield block


def _texts(session: SqliteSession, spec: base.LoadSpec, blocks: Iterable[base.Block]) -> Iterator[Iterable[Any]]:
    convert = _converters(session, spec)
    width = len(spec.columns)
    for piece in _pieces(blocks):
        if len(piece) > escaping.LARGE and piece.find(b"\n") == len(piece) - 1:
            yield [_large_row(piece, convert, spec)]
        else:
            yield _rows(bytes(piece), width, convert, spec)


def _pieces(blocks: Iterable[base.Block]) -> Iterator[bytes | bytearray]:
    """Cut blocks of any boundaries into whole lines, some hundred kilobytes or one row at a time."""
    # Grown in place: of a large row a list of pieces would be there twice once they are put together.
    waiting = bytearray()
    for block in blocks:
        if not isinstance(block, bytes):
            raise errors.Fault("tuples were handed over where text was announced")
        if len(waiting) >= PIECE_BYTES:
            # The beginning of one large line, whose end is looked for in what comes only.
            first = block.find(b"\n") + 1
            waiting += memoryview(block)[: first or None]
            if not first:
                continue
            yield waiting
            waiting, block = bytearray(), block[first:]
        waiting += block
        if len(waiting) >= PIECE_BYTES and (end := waiting.rfind(b"\n") + 1):
            whole, waiting = (waiting, bytearray()) if end == len(waiting) else (waiting[:end], waiting[end:])
            yield whole
            del whole
    if waiting:
        if not waiting.endswith(b"\n"):
            raise errors.Fault("the last row of a chunk came without its end")
        yield waiting


def _large_row(line: bytes | bytearray, convert: Sequence[Convert | None], spec: base.LoadSpec) -> list[Any]:
    """Return the values of one line, each made of its own bytes: a copy of the whole line would be felt."""
    if line.count(b"\t") != len(spec.columns) - 1:
        _refuse_widths(bytes(line[:-1]).decode("utf-8", "replace"), len(spec.columns), spec)
    found: list[Any] = []
    start = 0
    for (name, kind), change in zip(spec.columns, convert, strict=True):
        end = line.find(b"\t", start)
        field = memoryview(line)[start : end if end >= 0 else len(line) - 1]
        start = end + 1
        if len(field) <= escaping.PIECE:
            one = dataclasses.replace(spec, columns=((name, kind),))
            found += next(iter(_rows(bytes(field) + b"\n", 1, [change], one)))
            continue
        try:
            if kind.kind is Kind.BYTES and bytes(field[:3]) == rb"\\x":
                found.append(binascii.unhexlify(field[3:]))
            else:
                text = _unescaped(field)
                found += change([text]) if change else [text]
        except (ValueError, OverflowError) as e:
            raise errors.DataRejected(str(e), column=name, table=str(spec.table)) from e
    return found


def _unescaped(field: memoryview) -> str:
    """Return the text of a field; undone piece by piece, as each escape costs more than its letter meanwhile."""
    if _BYTES_BY_NUMBER.search(field):
        return rowtext.unescape(str(field, "utf-8"))
    decoder = codecs.getincrementaldecoder("utf-8")()
    parts: list[str] = []
    rest = ""
    for at in range(0, len(field), escaping.PIECE):
        text = rest + decoder.decode(field[at : at + escaping.PIECE])
        opened = (len(text) - len(text.rstrip("\\"))) % 2
        rest = text[len(text) - opened :]
        parts.append(rowtext.unescape(text[: len(text) - opened]))
    parts.append(decoder.decode(b"", final=True))
    return "".join((*parts, rowtext.unescape(rest)))


def _rows(piece: bytes, width: int, convert: Sequence[Convert | None], spec: base.LoadSpec) -> Iterable[Any]:
    try:
        text = piece.decode()
    except UnicodeDecodeError as e:
        raise errors.DataRejected(f"text that is not valid UTF-8: {e}") from e
    body = text[:-1]
    # str.splitlines() would also cut at U+2028 and its like.
    if set(map(_TABS, body.split("\n"))) != {width - 1}:
        _refuse_widths(body, width, spec)
    # One long list cut by strides costs half of what a list per row does.
    flat = body.replace("\n", "\t").split("\t")
    columns: list[Sequence[Any]] = [flat[at::width] for at in range(width)]
    escaped, strange = "\\" in text, rowtext.MISFIT in text
    for at, (name, kind) in enumerate(spec.columns):
        fields: Sequence[str | None] = columns[at]
        if strange and kind.kind not in (Kind.TEXT, Kind.BYTES, Kind.ANY, Kind.NATIVE):
            _refuse_misfits(fields, name)
        if escaped:
            fields = [None if f == "\\N" else f if f is None or "\\" not in f else rowtext.unescape(f) for f in fields]
        change = convert[at]
        try:
            columns[at] = change(fields) if change else fields
        except (ValueError, OverflowError) as e:
            raise errors.DataRejected(str(e), column=name, table=str(spec.table)) from e
    return zip(*columns, strict=True)


def _refuse_widths(body: str, width: int, spec: base.LoadSpec) -> None:
    for row in body.split("\n"):
        found = row.count("\t") + 1
        if found != width:
            raise errors.DataRejected(
                f"{'an extra' if found > width else 'a missing'} field: {' '.join(row.split(chr(9)))[:200]}",
                table=str(spec.table),
            )


def _refuse_misfits(fields: Iterable[str | None], column: str) -> None:
    for f in fields:
        if f is not None and f.startswith(rowtext.MISFIT):
            raise errors.DataRejected(f"the value does not conform to its type: {f}", column=column)


def _converters(session: SqliteSession, spec: base.LoadSpec) -> list[Convert | None]:
    found = session.rows("SELECT name, type FROM pragma_table_xinfo(?, 'main')", [spec.table.name])
    if not found:
        raise errors.UnknownName(f"no such table: {spec.table}")
    strict = bool(
        session.rows("SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?", [spec.table.name])[0][0]
    )
    native = {names.fold(n): declared.affinity(t or "", strict=strict) for n, t in found}
    return [_converter(kind, native.get(names.fold(name), "blob")) for name, kind in spec.columns]


def _converter(type: LogicalType, affinity: str) -> Convert | None:
    """Return what makes values of canonical texts; None where SQLite's own affinity does it exactly."""
    match type.kind:
        case Kind.INTEGER:
            return None if affinity == "text" else _all(int)
        case Kind.DECIMAL if affinity in ("integer", "numeric"):
            # A double holds 15 digits exactly, and so does the affinity that makes whole ones integers.
            exact = type.precision is not None and type.precision <= EXACT_DIGITS
            return _doubles if exact else _each(_short_decimal)
        case Kind.DECIMAL:
            return None if affinity == "text" else _each(_short_decimal if affinity == "real" else str)
        case Kind.FLOAT:
            return _each(_float)
        case Kind.BOOLEAN:
            return _each({"t": 1, "f": 0}.__getitem__, KeyError)
        case Kind.BYTES:
            return _each(_bytes)
        case Kind.DATE | Kind.TIME | Kind.TIMESTAMP | Kind.TIMESTAMPTZ | Kind.UUID:
            return None  # no affinity takes their canonical text for a number
        case _:
            # Text that looks like a number would become one.
            return None if affinity in ("text", "blob") else _each(_no_number)


def _each(change: Callable[[str], Any], refusal: type[Exception] = ValueError) -> Convert:
    def convert(fields: Sequence[str | None]) -> list[Any]:
        try:
            return [None if f is None else change(f) for f in fields]
        except refusal as e:
            raise ValueError(f"can't be held by SQLite: {e}") from e

    return convert


def _all(change: Callable[[str], Any]) -> Convert:
    def convert(fields: Sequence[str | None]) -> list[Any]:
        try:
            return list(map(change, fields))  # type: ignore[arg-type]  # a None falls through to the slower way
        except TypeError:
            return [None if f is None else change(f) for f in fields]

    return convert


def _doubles(fields: Sequence[str | None]) -> list[float | None]:
    found: list[float | None] = _all(float)(fields)
    for value, text in zip(found, fields, strict=True) if not _sum_is_finite(found) else ():
        if value is not None and not math.isfinite(value):
            raise ValueError(f"can't be held by SQLite: {text} in an exact number")
    return found


def _sum_is_finite(values: Iterable[float | None]) -> bool:
    return math.isfinite(sum(v for v in values if v is not None))


def _finite(text: str) -> str:
    if text in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(f"{text} in an exact number")
    return text


def _short_decimal(text: str) -> str:
    if len(text.lstrip("-0.").replace(".", "")) > EXACT_DIGITS:
        raise ValueError(f"more than {EXACT_DIGITS} digits in a column that holds doubles: {text}")
    return _finite(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError("NaN, which SQLite turns into NULL")
    if value == 0 and text.startswith("-"):
        raise ValueError("-0, which SQLite turns into 0")
    return value


def _bytes(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError("bytes are written as \\x and hex")
    return bytes.fromhex(text[2:])


def _no_number(text: str) -> str:
    if _LOOKS_NUMERIC.fullmatch(text):
        raise ValueError(f"text that a column of this type turns into a number: {text[:80]}")
    return text
