"""Rows summed up where they are read, for an engine that does not do it inside the server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from sensei import catalog, errors
from sensei.catalog import digestline, rowtext
from sensei.engines import base, comparing


class Digests:
    """Fills the port `comparing.Digests` from reads of canonical text; slower, and the same checksums."""

    def __init__(self, rows: base.Rows) -> None:
        self._rows = rows

    def own_hash(self, session: base.Session) -> bool:
        return False

    def sorts_as_number(self, native: str) -> bool:
        """Tell whether a declared type is a numeric one, in any engine's words."""
        return re.match(r"(tiny|small|medium|big)?(int|integer|numeric|decimal)\b", native.lower()) is not None

    def span(self, session: base.Session, table: catalog.TableName, key: base.ChunkKey) -> tuple[int, int] | None:
        """Return nothing: a table is then one piece."""
        return None

    def block(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, limit: int, last: bool = True
    ) -> comparing.Digest:
        """Sum up the first rows of a range."""
        end = self._rows.boundary(session, spec.table, spec.key, spec.lower, limit)
        if end is not None and spec.upper is not None and _after(end, spec.upper):
            end = spec.upper
        read = base.ReadSpec(spec.table, spec.columns, spec.key, spec.lower, end if end is not None else spec.upper)
        digest, rows, size = hashlib.md5(), 0, 0
        for line in _lines(self._rows, session, read, form):
            one = _line(line, spec)
            digest.update((digestline.ROW if rows else b"") + one)
            rows, size = rows + 1, size + len(one)
        if not rows:
            return comparing.Digest(0, "")
        # The range may have had fewer rows than the limit before its own end, and then that is where it ends.
        return comparing.Digest(rows, digest.hexdigest(), end if end is not None and rows >= limit else None, size)

    def buckets(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, key: Sequence[int], number: int
    ) -> dict[int, tuple[int, int]]:
        """Spread all rows over buckets."""
        found: dict[int, tuple[int, int]] = {}
        for line in _lines(self._rows, session, spec, form):
            whole = _line(line, spec)
            at = digestline.bucket(_line(line, spec, key), number)
            rows, total = found.get(at, (0, 0))
            found[at] = (rows + 1, total + digestline.weight(whole))
        return found


def _after(one: base.KeyValue, other: base.KeyValue) -> bool:
    return bool(one > other)


def _lines(rows: base.Rows, session: base.Session, spec: base.ReadSpec, form: base.Form) -> Iterator[bytes]:
    rest = b""
    for block in rows.read(session, spec, form):
        if isinstance(block, list):
            raise errors.Fault("rows as values are summed up by their own engine")
        found = (rest + block).split(b"\n")
        rest = found.pop()
        yield from found


def _line(line: bytes, spec: base.ReadSpec, positions: Sequence[int] | None = None) -> bytes:
    texts = rowtext.split_line(line)
    # A misfit made loud by one field too many: its line is nobody else's.
    if len(texts) != len(spec.columns):
        return line
    at = range(len(texts)) if positions is None else positions
    return digestline.line([texts[n] for n in at], [spec.columns[n].type for n in at])
