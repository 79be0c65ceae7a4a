"""One piece of a table, compared: blocks summed up by both servers at once, and rows looked at where sums differ."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from sensei import errors
from sensei.catalog import digestline, types
from sensei.engines import base, comparing
from sensei.transfer import copier
from sensei.validation import model, plain, rowset, spread, values
from sensei.work import sides

#: Rows of a block, at most, and its bytes, about: it costs milliseconds, and no server has to hold much of it.
BLOCK_ROWS = 25_000
BLOCK_BYTES = 8_000_000


@dataclass(frozen=True)
class Unit:
    """What one worker compares at a time; plain and picklable."""

    pair: model.Pair
    source: sides.Side
    target: sides.Side
    lower: base.KeyValue | None = None
    upper: base.KeyValue | None = None
    blocks: int | None = None  #: only so many blocks of the source's; None: all
    spread: bool = False  #: by buckets: the key is not ordered alike, or there is none
    samples: int = 100
    collect: int = 0  #: differences whose keys are kept, at most
    block_rows: int = BLOCK_ROWS
    tolerance: values.Tolerance = field(default_factory=values.Tolerance)

    @property
    def name(self) -> str:
        """What a finished unit is remembered by."""
        span = f"{base.key_text(self.lower) or ''}..{base.key_text(self.upper) or ''}"
        return f"{self.pair.id} {'spread' if self.spread else span}{f' first {self.blocks}' if self.blocks else ''}"


class NotNumbers(Exception):
    """A key of whole numbers holds something else: its order can't be trusted."""


def compare(unit: Unit) -> rowset.Tally:
    """Compare one unit, again after what may pass. Reads only: safe to repeat."""
    budget = sides.Budget()
    while True:
        try:
            with _Sides(unit) as both:
                if unit.spread:
                    return spread.compare(both, unit)
                return _ordered(both, unit)
        except (errors.Transient, errors.ConnectFailed) as error:
            copier.drop_sessions()
            if not budget.again(error, connected=True):
                raise
        except BaseException:
            copier.drop_sessions()
            raise


class _Sides:
    """Both ends' sessions, each with a thread of its own: two servers have something to do at once."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        pair = unit.pair
        self.form = form_of(pair, unit.source)
        targets = not unit.target.engine.capabilities.enforced_types
        columns = [c for c in pair.columns if not c.lossy]
        key = pair.key
        self.reads = (
            base.ReadSpec(
                pair.source,
                tuple(base.ReadColumn(c.source, c.type, c.guard) for c in columns),
                base.ChunkKey("columns", key.columns, key.source_natives) if key and key.ordered else _WHOLE,
            ),
            base.ReadSpec(
                pair.target,
                tuple(base.ReadColumn(c.target, c.type, targets) for c in columns),
                base.ChunkKey("columns", key.targets, key.target_natives) if key and key.ordered else _WHOLE,
            ),
        )
        self.ends = (unit.source, unit.target)
        self.digests = tuple(end.engine.digests or plain.Digests(end.engine.rows) for end in self.ends)

    def __enter__(self) -> _Sides:
        self.sessions = tuple(copier.session(end, "sensei validate") for end in self.ends)
        hashed = self.unit.pair.own and all(
            digests.own_hash(session) for digests, session in zip(self.digests, self.sessions, strict=True)
        )
        self.sums = base.Form.BINARY if hashed else self.form
        self.threads = [concurrent.futures.ThreadPoolExecutor(1) for _ in self.ends]
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self.threads:
            thread.shutdown(cancel_futures=True)

    def block(
        self, at: int, lower: base.KeyValue | None, upper: base.KeyValue | None, limit: int
    ) -> concurrent.futures.Future[comparing.Digest]:
        """Let one side sum a range up."""
        spec = ranged(self.reads[at], lower, upper)

        def act() -> comparing.Digest:
            with sides.told(self.ends[at].role.value, self.ends[at].name):
                # Where a range ends is for the source to say.
                return self.digests[at].block(self.sessions[at], spec, self.sums, limit, last=at == 0)

        return self.threads[at].submit(act)

    def buckets(
        self, at: int, key: Sequence[int], number: int
    ) -> concurrent.futures.Future[dict[int, tuple[int, int]]]:
        """Let one side spread its rows over buckets."""

        def act() -> dict[int, tuple[int, int]]:
            with sides.told(self.ends[at].role.value, self.ends[at].name):
                return self.digests[at].buckets(self.sessions[at], self.reads[at], self.form, key, number)

        return self.threads[at].submit(act)

    def lines(self, at: int, lower: base.KeyValue | None, upper: base.KeyValue | None) -> Generator[bytes, None, None]:
        """Yield one side's rows of a range as lines of canonical text, in key order where there is one."""
        spec, end = ranged(self.reads[at], lower, upper), self.ends[at]
        rest = b""
        told = sides.told(end.role.value, end.name)
        with told, contextlib.closing(_closable(end.engine.rows.read(self.sessions[at], spec, self.form))) as blocks:
            for block in blocks:
                if isinstance(block, list):
                    yield from (spread.stored_line(row) for row in block)
                    continue
                found = (rest + block).split(b"\n")
                rest = found.pop()
                yield from found


def _closable(blocks: Iterator[base.Block]) -> Generator[base.Block, None, None]:
    """Let a reading be ended early: a server that still sends rows answers no other question."""
    yield from blocks


_WHOLE = base.ChunkKey("whole")
Sides = _Sides


def form_of(pair: model.Pair, end: sides.Side) -> base.Form:
    """Return the form in which rows are compared: as one engine stores them, where both are; binary ones as text."""
    if not pair.own:
        return base.Form.TEXT
    reads = end.engine.capabilities.reads
    return next((f for f in reads if f in (base.Form.VALUES, base.Form.NATIVE)), base.Form.TEXT)


def ranged(spec: base.ReadSpec, lower: base.KeyValue | None, upper: base.KeyValue | None) -> base.ReadSpec:
    """Return a read of a part of the same rows."""
    return base.ReadSpec(spec.table, spec.columns, spec.key, lower, upper)


def limit_of(unit: Unit) -> int:
    """Return how many rows a block has, as far as is known before the first one."""
    width = unit.pair.width
    return max(1, min(unit.block_rows, BLOCK_BYTES // width)) if width else unit.block_rows


def _ordered(both: _Sides, unit: Unit) -> rowset.Tally:
    """Compare along the key; where a block is more than a server puts into one value, in smaller ones."""
    limit = limit_of(unit)
    while True:
        try:
            return _in_blocks(both, unit, limit)
        except (errors.DataRejected, errors.ServerFailed) as error:
            if limit == 1 or isinstance(error, errors.Transient | errors.ConnectFailed):
                raise
            limit = max(1, limit // 50)


def _in_blocks(both: _Sides, unit: Unit, limit: int) -> rowset.Tally:
    comparer = rowset.Comparer(unit.pair, unit.tolerance, unit.samples, unit.collect)
    for one in _grouped(_differing(both, comparer.tally, unit, unit.lower, unit.upper, limit, unit.blocks)):
        finer = limit // _FINER
        if one.blocks <= _BISECTED and finer >= _FEWEST:
            # Looking at a row costs ten times what summing it up does: only the part of the block that differs is read.
            parts = _differing(both, comparer.tally, unit, one.lower, one.upper, finer, None)
            for part in _grouped(parts):
                _look_closer(both, comparer, part.lower, part.upper, few=part.blocks == 1 and part.few)
        else:
            _look_closer(both, comparer, one.lower, one.upper, few=one.blocks == 1 and one.few)
    return comparer.tally


#: Into about so many parts a block that differs is cut, where these still have so many rows.
_FINER, _FEWEST = 25, 200
#: Where more blocks than this follow on each other, most of their rows may differ: they are read at once.
_BISECTED = 3


@dataclass(frozen=True)
class _Range:
    """A range of keys in which something differs."""

    lower: base.KeyValue | None
    upper: base.KeyValue | None
    few: bool  #: both sides' rows can be held
    blocks: int = 1  #: that follow on each other


def _differing(
    both: _Sides,
    tally: rowset.Tally,
    unit: Unit,
    lower: base.KeyValue | None,
    upper: base.KeyValue | None,
    limit: int,
    blocks: int | None,
) -> list[_Range]:
    """Sum up a range in blocks of so many rows, count what is equal, and return the blocks that are not."""
    done = 0
    waiting: collections.deque[
        tuple[base.KeyValue | None, base.KeyValue | None, comparing.Digest, concurrent.futures.Future[comparing.Digest]]
    ]
    waiting = collections.deque()
    found: list[_Range] = []
    # Large values are stood for by their hash, so that a block does not tell what its rows would take to hold.
    wide = any(digestline.may_be_large(c.type) and c.type.kind in _WIDE for c in unit.pair.columns)
    small = not wide or 0 < unit.pair.width * limit <= BLOCK_BYTES * 4

    def settle() -> None:
        start, end, here, answer = waiting.popleft()
        there = answer.result()
        if (here.rows, here.checksum) != (there.rows, there.checksum):
            # The target may have had more than was asked for.
            found.append(_Range(start, end, there.rows <= here.rows and small))
            return
        tally.rows_source += here.rows
        tally.rows_target += there.rows
        tally.rows_compared += here.rows

    coming = both.block(0, lower, upper, limit)
    while True:
        here = coming.result()
        done += 1
        if here.last is not None and not all(isinstance(k, int) for k in here.last):
            raise NotNumbers
        more = here.rows >= limit
        end = here.last if more else upper
        if here.bytes > BLOCK_BYTES:
            limit = max(1, BLOCK_BYTES * here.rows // here.bytes)
        if more and blocks != done:
            coming = both.block(0, end, upper, limit)
        waiting.append((lower, end, here, both.block(1, lower, end, here.rows + 1)))
        if len(waiting) > 2:
            settle()
        lower = end
        if not more or blocks == done:
            break
    while waiting:
        settle()
    return found


def _grouped(ranges: Sequence[_Range]) -> list[_Range]:
    """Put ranges together that follow on each other: one reading does for all of them."""
    found: list[_Range] = []
    for one in ranges:
        if found and found[-1].upper == one.lower and one.lower is not None:
            found[-1] = _Range(found[-1].lower, one.upper, few=False, blocks=found[-1].blocks + 1)
        else:
            found.append(one)
    return found


_WIDE = digestline.FREE | {types.Kind.BYTES}
Keyed = tuple[tuple[int, ...], list[bytes]]


def _look_closer(
    both: _Sides, comparer: rowset.Comparer, lower: base.KeyValue | None, upper: base.KeyValue | None, few: bool
) -> None:
    """Walk through both sides' rows of a range in key order; memory is bounded by the rows of one key.

    `few`: the range is one block on both sides. It is then held, and what is the same on both is passed over at once.
    """
    tally = comparer.tally
    counts = [0, 0]

    def lines(at: int) -> Iterator[bytes]:
        with contextlib.closing(both.lines(at, lower, upper)) as found:
            for line in found:
                counts[at] += 1
                yield line

    read = (lines(0), lines(1))
    sides: Sequence[Iterator[bytes]] = read
    if few:
        held = [collections.Counter(one) for one in read]
        alone = (held[0] - held[1], held[1] - held[0])
        # Lines stand in the order in which they were met: that of the key.
        sides = [one.elements() for one in alone]
    key = [comparer.names.index(c) for c in comparer.key]
    _merge(comparer, *(_by_key(comparer, key, one) for one in sides))
    tally.rows_source += counts[0]
    tally.rows_target += counts[1]
    tally.rows_compared += counts[0]


def _merge(comparer: rowset.Comparer, here: Iterator[Keyed], there: Iterator[Keyed]) -> None:
    """Hand over the rows of each key that either side has."""
    a, b = next(here, None), next(there, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            comparer.rows(a[1], ())
            a = next(here, None)
        elif a is None or b[0] < a[0]:
            comparer.rows((), b[1])
            b = next(there, None)
        else:
            comparer.rows(a[1], b[1])
            a, b = next(here, None), next(there, None)


def _by_key(comparer: rowset.Comparer, key: Sequence[int], lines: Iterator[bytes]) -> Iterator[Keyed]:
    """Yield the rows of one key after another."""
    last = max(key) + 1

    def of(line: bytes) -> tuple[int, ...]:
        try:
            fields = line.split(b"\t", last)
            return tuple(int(fields[at]) for at in key)
        except ValueError:
            pass
        # A value before it that does not conform made one field too many, or the key itself does not.
        found = comparer.values(line)
        try:
            return tuple(int(found[comparer.names[at]] or "") for at in key)
        except ValueError:
            raise NotNumbers from None

    for named, rows in itertools.groupby(lines, of):
        yield named, list(rows)
