"""All rows of tables that differ, by their keys, and those rows read again from the source as the copy reads them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from sensei import errors
from sensei.engines import base
from sensei.transfer import copier
from sensei.validation import advice, data, model, rowset, unit, values
from sensei.work import sides

#: Rows of a table that are put right one by one, at most: for more of them the table is better copied again.
MOST = 100_000
#: Keys that are read one by one; for more, one reading goes through all rows between the first and the last.
_ONE_BY_ONE = 500
#: Rows that are handed over together.
_TOGETHER = 200


@dataclass(frozen=True)
class Apart:
    """How far one table is apart, and the rows that are."""

    divergence: model.Divergence
    form: base.Form  #: in which keys and rows travel between these two ends
    wanted: tuple[rowset.Named, ...]  #: keys, as the source has them, of rows that are missing or different
    found: tuple[rowset.Named, ...]  #: keys, as the target has them, of rows that are different or extra

    @property
    def rows(self) -> int:
        """Rows that differ."""
        return self.divergence.missing + self.divergence.extra + self.divergence.different


def find(
    source: sides.Side,
    target: sides.Side,
    pairs: Sequence[model.Pair],
    migration: str,
    workers: int,
    tolerance: values.Tolerance,
    stop: Callable[[], bool],
) -> list[Apart]:
    """Compare every row of these tables and return the rows that differ. Reads only.

    Raises Refused for a table without a key that both sides have, or with more than `MOST` differing rows.
    """
    for pair in pairs:
        if pair.key is None or any(c.lossy for c in pair.columns if c.source in pair.key.columns):
            raise errors.Refused(
                f"{pair.id} has no key by which a row of both sides is the same row: single rows can't be put right",
                hint=advice.copy_again(migration, pair.id),
                table=pair.id,
            )
    options = data.Options(workers=workers, tolerance=tolerance, collect=MOST)
    try:
        found = data.apart(source, target, pairs, options, data.Watch(stop))
    except data.TooMany as many:
        raise errors.Refused(
            f"{many}: more than {MOST:,} rows differ, which is no work for single rows",
            hint=advice.copy_again(migration, str(many)),
            table=str(many),
        ) from many
    finally:
        copier.drop_sessions()
    by_id = {p.id: p for p in pairs}
    told = []
    for divergence, rows in found:
        form = unit.form_of(by_id[divergence.table], source)
        wanted = tuple(dict.fromkeys(r.source for r in rows if r.source is not None))
        told.append(Apart(divergence, form, wanted, tuple(r.target for r in rows if r.target is not None)))
    return told


def read(
    side: sides.Side,
    session: base.Session,
    pair: model.Pair,
    columns: Sequence[base.ReadColumn],
    apart: Apart,
) -> Iterator[base.Block]:
    """Yield the wanted rows with all their columns, in blocks; a row that is gone since is not among them."""
    assert pair.key is not None
    names = [c.name for c in columns]
    positions = [names.index(c) for c in pair.key.columns]
    wanted = frozenset(apart.wanted)
    for spec in _specs(pair, columns, apart.wanted):
        with contextlib.closing(_of(side, session, spec, apart.form, positions, wanted)) as found:
            while some := list(itertools.islice(found, _TOGETHER)):
                rows = [row for row in some if not isinstance(row, bytes)]
                yield rows or b"".join(line + b"\n" for line in some if isinstance(line, bytes))


def _of(
    side: sides.Side,
    session: base.Session,
    spec: base.ReadSpec,
    form: base.Form,
    positions: Sequence[int],
    wanted: frozenset[rowset.Named],
) -> Generator[bytes | base.Row, None, None]:
    rest = b""
    width = len(spec.columns)
    with sides.told(side.role.value, side.name):
        for block in side.engine.rows.read(session, spec, form):
            if isinstance(block, list):
                yield from (row for row in block if tuple(row[p] for p in positions) in wanted)
                continue
            found = (rest + block).split(b"\n")
            rest = found.pop()
            for line in found:
                fields = rowset.fields(line, width)
                if b"\t".join(fields[p] for p in positions) in wanted:
                    yield line


def _specs(
    pair: model.Pair, columns: Sequence[base.ReadColumn], wanted: Sequence[rowset.Named]
) -> Iterator[base.ReadSpec]:
    """Cut the reading: by single keys where they are whole numbers and few."""
    assert pair.key is not None
    whole = base.ReadSpec(pair.source, tuple(columns), base.ChunkKey("whole"))
    if not wanted:
        return
    if not pair.key.ordered:
        yield whole
        return
    try:
        keys = sorted(tuple(int(v) for v in (k.split(b"\t") if isinstance(k, bytes) else k)) for k in wanted)
    except (ValueError, TypeError):
        yield whole
        return
    key = base.ChunkKey("columns", pair.key.columns, pair.key.source_natives)
    spans = [(k, k) for k in keys] if len(keys) <= _ONE_BY_ONE else [(keys[0], keys[-1])]
    for first, last in spans:
        yield base.ReadSpec(pair.source, tuple(columns), key, (*first[:-1], first[-1] - 1), last)
