"""Compares copied tables with what they came from: the source with its checksums, the target with the source."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sensei import errors
from sensei.catalog import rowtext, types
from sensei.engines import base
from sensei.transfer import copier
from sensei.work import executor, sides

_MODULUS = 1 << 128
#: More parts than this are read by workers side by side.
_ALONE = 4


@dataclass(frozen=True)
class Part:
    """Some rows of one table on one side; plain and picklable."""

    side: sides.Side
    table: str
    read: base.ReadSpec
    form: base.Form  #: text, or values where both sides give them
    #: The chunk's number, form and checksum, where the bytes that were copied are to be looked for, too.
    copied: tuple[int, base.Form, str] | None = None
    #: By value: what each column's text is brought to first. None: byte by byte.
    by_value: tuple[ByValue, ...] | None = None
    key_positions: tuple[int, ...] = ()
    without: frozenset[tuple[str | None, ...]] = frozenset()  #: keys of rows that are left out: those in quarantine


@dataclass(frozen=True)
class ByValue:
    """How one column is compared where its two texts may differ and mean the same."""

    type: types.LogicalType
    exact: bool  #: the target's type is the source's equal
    lossy: bool  #: the operator agreed that values may change: not compared

    def text(self, field: bytes | None) -> str:
        """Return what stands for a value; of two that mean the same, the same."""
        if field is None or self.lossy:
            return rowtext.NULL if field is None else ""
        text = field.decode("utf-8", "backslashreplace")
        kind = self.type.kind
        try:
            if kind is types.Kind.JSONB or (kind is types.Kind.JSON and not self.exact):
                return rowtext.canonical_json(text)
            if kind is types.Kind.DECIMAL:
                number = Decimal(text)
                return str(number.normalize()) if number.is_finite() and number else text if number else "0"
            if kind is types.Kind.FLOAT:
                return repr(float(text) + 0.0)
        except (ValueError, ArithmeticError):
            return text
        return text.rstrip(" ") if self.type.fixed else text


@dataclass(frozen=True)
class Sum:
    """What was found in a part, or in a table: the hashes of its rows added up, so that order does not matter."""

    table: str
    rows: int
    sum: int
    left_out: int = 0
    problem: str | None = None

    def __add__(self, other: Sum) -> Sum:
        return Sum(
            self.table,
            self.rows + other.rows,
            (self.sum + other.sum) % _MODULUS,
            self.left_out + other.left_out,
            self.problem or other.problem,
        )


def look(part: Part) -> Sum:
    """Read a part, again after what may pass, and add it up."""
    budget = sides.Budget()
    while True:
        try:
            return _look(part)
        except (errors.Transient, errors.ConnectFailed) as error:
            copier.drop_sessions()
            if not budget.again(error, connected=True):
                raise


def _look(part: Part) -> Sum:
    problem: str | None = None
    digest: copier.Digest | None = None
    if part.copied is not None:
        number, form, checksum = part.copied
        if form is part.form:  # one passage does for both
            digest = copier.Digest(checksum.startswith("seq:"))
        else:
            problem = copier.check_chunk(copier.CheckTask(part.side, part.read, form, part.table, number, checksum))
    rows = total = left_out = 0
    for row in _rows(part, digest):
        stands_for = _stands_for(part, row)
        if stands_for is None:
            left_out += 1
            continue
        rows += 1
        total += int.from_bytes(hashlib.blake2b(stands_for, digest_size=16).digest(), "big")
    if digest is not None and digest.text() != checksum:
        problem = copier.not_as_copied(part.table, number, part.read)
    return Sum(part.table, rows, total % _MODULUS, left_out, problem)


def _rows(part: Part, digest: copier.Digest | None) -> Iterator[bytes | base.Row]:
    session = copier.session(part.side, "sensei compare")
    rest = b""
    with sides.told(part.side.role.value, part.side.name):
        for block in part.side.engine.rows.read(session, part.read, part.form):
            if digest is not None:
                digest.add(block)
            if isinstance(block, list):
                yield from block
                continue
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from lines


def _stands_for(part: Part, row: bytes | base.Row) -> bytes | None:
    """Return the bytes that stand for a row, or None where it is left out."""
    if part.without:
        values = copier.readable(row, [c.name for c in part.read.columns])
        if tuple(list(values.values())[i] for i in part.key_positions) in part.without:
            return None
    if not isinstance(row, bytes):
        return repr(row).encode("utf-8", "surrogatepass")
    if part.by_value is None:
        return row
    fields = rowtext.split_line(row)
    if len(fields) != len(part.by_value):  # a misfit, made loud by one field too many: no target holds it
        return row
    return json.dumps([c.text(f) for c, f in zip(part.by_value, fields, strict=True)]).encode()


def add_up(parts: Sequence[Part], workers: int, stop: Callable[[], bool]) -> dict[tuple[str, str], Sum]:
    """Read all parts; returns (table, "source" or "target") -> sum. Raises Paused where `stop` asks for it."""
    found: dict[tuple[str, str], Sum] = {}

    def take(results: Iterator[Sum]) -> None:
        for part, one in zip(parts, results, strict=True):
            key = (part.table, part.side.role.value)
            found[key] = found[key] + one if key in found else one
            if stop():
                raise errors.Paused("stopped while the other tables were checked")

    if len(parts) <= _ALONE:
        take(map(look, parts))
        return found
    pool: concurrent.futures.Executor
    with executor.local(workers) as pool:
        try:
            take(pool.map(look, parts))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
