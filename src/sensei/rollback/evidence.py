"""Writes migrated tables to Parquet files before they are dropped, each file proven by reading it again."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sensei import catalog, crashpoints, errors
from sensei.catalog import rowtext, types
from sensei.engines import base, ledger
from sensei.plan import model
from sensei.work import sides

#: A row group ends with the row that passes one of these: bounds memory, whatever the table's size.
GROUP_ROWS = 50_000
GROUP_BYTES = 4_000_000

Exported = tuple[Path, catalog.TableName, int, str]


def export(
    plan: model.Plan,
    side: sides.Side,
    session: base.Session,
    book: ledger.Ledger,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Exported]:
    """Write each table that the ledger says this migration made, and yield (file, table, rows, SHA-256 of the file).

    A file is whole, durable and compared with the table before it is yielded; cut off, the export is done again from
    the start and replaces what is there. Columns are int64, double, bool, binary or string; what has none of these as
    its own is its canonical text. Types and the migration's id stand in the file's metadata.

    Raises Refused where pyarrow is missing, StoreFailed where the folder can't be written, DifferenceFound where a
    table changed meanwhile. Nothing in the target is changed in any case.
    """
    _arrow()
    made = {name: identity for _, kind, name, identity in book.objects(session) if kind == "table"}
    _make(folder)
    for number, table in enumerate(plan.tables, 1):
        name = table.target.name
        there = side.engine.introspect.object_identity(session, "table", name)
        if there is None or there != made.get(name):
            continue  # never made, or somebody else's by now: the walk back leaves it alone as well
        say(f"exporting {name}")
        path = folder / f"{number:04d}-{re.sub(r'[^A-Za-z0-9._-]', '_', str(name))[:100]}.parquet"
        columns = _columns(table, side, session)
        with _writable(path, book.migration):
            rows, checksum = _write(path, columns, table, side, session, book.migration)
        after = side.engine.rows.count(session, name)
        if after != rows:
            raise errors.DifferenceFound(
                f"{name} had {rows} rows when it was exported and has {after} now: somebody writes to it",
                hint=f"stop the writers, then sensei migrations rollback {book.migration} --full",
            )
        yield path, name, rows, checksum


@dataclasses.dataclass(frozen=True)
class _Column:
    """One column of the file: what its values mean, and the column of the target that they come from."""

    name: str
    type: types.LogicalType
    native: str


def _columns(table: model.TablePlan, side: sides.Side, session: base.Session) -> list[_Column]:
    carried = {c.target: c.source_type for c in table.columns}
    columns = [_Column(c.name, carried.get(c.name, c.type), c.native) for c in table.target.columns]
    if side.engine.capabilities.enforced_types:
        return columns
    # Somebody may have written other values since: a column that holds some is taken as it comes.
    shaped = dataclasses.replace(
        table.target,
        columns=tuple(
            dataclasses.replace(c, type=mine.type) for c, mine in zip(table.target.columns, columns, strict=True)
        ),
    )
    found = side.engine.rows.profile(session, shaped)
    return [
        dataclasses.replace(c, type=types.LogicalType(types.Kind.ANY))
        if c.name in found and found[c.name].misfits
        else c
        for c in columns
    ]


def _write(
    path: Path,
    columns: Sequence[_Column],
    table: model.TablePlan,
    side: sides.Side,
    session: base.Session,
    migration: str,
) -> tuple[int, str]:
    """Write one file beside its name, prove it, and give it the name; return rows and SHA-256."""
    pa, pq = _arrow()
    schema = pa.schema(
        [pa.field(c.name, _arrow_type(pa, c.type)) for c in columns],
        metadata={
            "sensei.migration": migration,
            "sensei.table": str(table.target.name),
            "sensei.source_table": table.id,
            "sensei.columns": json.dumps(
                [{"name": c.name, "type": str(c.type), "native": c.native} for c in columns], ensure_ascii=False
            ),
        },
    )
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    written = _Digest()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for group in _groups(side, session, table, columns):
                for row in group:
                    written.add(row)
                arrays = [
                    pa.array([_value(row[i], c.type) for row in group], type=field.type)
                    for i, (c, field) in enumerate(zip(columns, schema, strict=True))
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    crashpoints.reach("evidence:written")
    _prove(fresh, columns, written, str(table.target.name))
    with fresh.open("rb") as whole:
        checksum = hashlib.file_digest(whole, "sha256").hexdigest()
    fresh.replace(path)
    _sync(path.parent)
    crashpoints.reach("evidence:renamed")
    return written.rows, checksum


def _groups(
    side: sides.Side, session: base.Session, table: model.TablePlan, columns: Sequence[_Column]
) -> Iterator[list[list[str | None]]]:
    """Read the table; yield rows of canonical texts, as many at once as make a row group."""
    rows = side.engine.rows
    read = tuple(base.ReadColumn(c.name, c.type) for c in columns)
    spec = base.ReadSpec(table.target.name, read, rows.key(table.target))
    group: list[list[str | None]] = []
    size, rest = 0, b""
    for block in rows.read(session, spec, base.Form.TEXT):
        assert isinstance(block, bytes)
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            group.append(_texts(line, table.target.name) if columns else [])
            size += len(line)
            if len(group) >= GROUP_ROWS or size >= GROUP_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group


def _texts(line: bytes, name: catalog.TableName) -> list[str | None]:
    try:
        return [None if f is None else f.decode() for f in rowtext.split_line(line)]
    except ValueError as error:
        raise errors.Refused(
            f"{name} holds text that is not UTF-8, which Parquet has no place for: {line[:80]!r}",
            hint="nothing was dropped; mend the row, then roll back again",
        ) from error


class _Digest:
    """Counts and hashes rows of canonical texts, in their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, row: Sequence[str | None]) -> None:
        self.rows += 1
        self._hash.update(rowtext.join_line(row).encode())

    def text(self) -> str:
        return self._hash.hexdigest()


def _prove(path: Path, columns: Sequence[_Column], written: _Digest, name: str) -> None:
    """Read a file again and compare each value, as canonical text, with what the table gave."""
    _, pq = _arrow()
    found = _Digest()
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            values = [table.column(i).to_pylist() for i in range(len(columns))]
            for row in zip(*values, strict=True):
                found.add([_text(v, c.type) for v, c in zip(row, columns, strict=True)])
    if (found.rows, found.text()) != (written.rows, written.text()):
        raise errors.DifferenceFound(
            f"{name}: the file {path.name} does not hold what the table gave ({found.rows} of {written.rows} rows,"
            " or other values)",
            hint="nothing was dropped; look at the disk, then roll back again, or set evidence: keep",
        )


#: The kinds that Parquet has a type for; all others are kept as their canonical text.
_OWN = frozenset({types.Kind.INTEGER, types.Kind.FLOAT, types.Kind.BOOLEAN, types.Kind.BYTES})


def _arrow_type(pa: Any, type: types.LogicalType) -> Any:
    match type.kind:
        case types.Kind.INTEGER:
            return pa.uint64() if type.unsigned else pa.int64()
        case types.Kind.FLOAT:
            return pa.float64()
        case types.Kind.BOOLEAN:
            return pa.bool_()
        case types.Kind.BYTES:
            return pa.binary()
        case _:
            return pa.string()


def _value(text: str | None, type: types.LogicalType) -> Any:
    return rowtext.parse_value(text, type) if type.kind in _OWN else text


def _text(value: Any, type: types.LogicalType) -> str | None:
    if value is None or type.kind not in _OWN:
        return None if value is None else str(value)
    return rowtext.format_value(value, type)


def _arrow() -> tuple[Any, Any]:
    """Import pyarrow, which only this needs; raises Refused with what to install."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise errors.Refused(
            "evidence: export writes Parquet files, for which the package pyarrow is missing",
            hint="pip install 'sensei-migrations[parquet]', then roll back again; nothing was dropped",
        ) from error
    return pyarrow, parquet


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


@contextlib.contextmanager
def _writable(path: Path, migration: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):
            path.with_name(path.name + ".new").unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> errors.StoreFailed:
    return errors.StoreFailed(
        f"{path} can't be written: {error.strerror or error}",
        hint="nothing was dropped; make room or set the folder's owner right, then roll back again",
        path=str(path),
    )


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
