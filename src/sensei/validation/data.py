"""The perspective of data: every row and every column of both sides, compared by both servers at once."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensei import errors
from sensei.catalog import types
from sensei.engines import base, comparing
from sensei.validation import model, patterns, plain, rowset, unit, values
from sensei.work import executor, sides

#: Blocks of a unit, about: what is remembered as finished, and what a worker has at a time.
_UNIT_BLOCKS = 10
#: Blocks that a quick look takes of a table, and rows of a table without ordered keys that it looks at whole.
_SAMPLE_BLOCKS = 20
_SMALL = 100_000
#: Fewer rows than this in all are not worth starting processes for.
_ALONE = 300_000


@dataclass(frozen=True)
class Options:
    """How deeply, and by how many."""

    quick: bool = False  #: counts, and a sample of blocks of every table
    workers: int = 1
    samples: int = 100  #: differences of a table that are shown down to the values
    collect: int = 0  #: differences of a table whose keys are collected, at most
    block_rows: int = unit.BLOCK_ROWS
    tolerance: values.Tolerance = field(default_factory=values.Tolerance)


@dataclass(frozen=True)
class Watch:
    """What the conductor wants to hear."""

    stop: Callable[[], bool] = lambda: False
    #: A unit is over: its name and its tally as JSON-able data, for `compare` of a later run to be handed again.
    done: Callable[[str, dict[str, Any]], None] = lambda name, tally: None
    progress: Callable[[str, int, int], None] = lambda table, rows, of: None  #: table, its rows compared, of so many


def compare(
    source: sides.Side,
    target: sides.Side,
    pairs: Sequence[model.Pair],
    options: Options = Options(),
    watch: Watch = Watch(),
    finished: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[model.Divergence]:
    """Compare all pairs; units that are finished already are not read again.

    Reads only. Raises Paused where `watch.stop` asked for it; what is done by then has been told.
    """
    return _Comparison(source, target, pairs, options, watch, dict(finished or {})).run()


def apart(
    source: sides.Side, target: sides.Side, pairs: Sequence[model.Pair], options: Options, watch: Watch
) -> list[tuple[model.Divergence, list[rowset.Rows]]]:
    """Compare as `compare` does, and return the keys of all that differs.

    Raises TooMany where that is more than `options.collect` in one table.
    """
    comparison = _Comparison(source, target, pairs, options, watch, {})
    found = comparison.run()
    return [(d, [r for tally in comparison.tallies[d.table].values() for r in tally.apart]) for d in found]


class TooMany(Exception):
    """More differences of a table than are collected; its id is the argument."""


class _Comparison:
    def __init__(
        self,
        source: sides.Side,
        target: sides.Side,
        pairs: Sequence[model.Pair],
        options: Options,
        watch: Watch,
        finished: dict[str, Mapping[str, Any]],
    ) -> None:
        self.source, self.target, self.options, self.watch = source, target, options, watch
        self.pairs = {p.id: p for p in pairs}
        self.finished = finished
        self.tallies: dict[str, dict[str, rowset.Tally]] = {p.id: {} for p in pairs}
        self.counts: dict[str, tuple[int, int]] = {}

    def run(self) -> list[model.Divergence]:
        units = self._units()
        self._work(units)
        again = self._not_all_seen(units)
        self._work(again)
        return [self._divergence(pair) for pair in self.pairs.values()]

    # -- what is to be done

    def _units(self) -> list[unit.Unit]:
        found: list[unit.Unit] = []
        with (
            self.source.session("sensei validate") as here,
            self.target.session("sensei validate") as there,
            concurrent.futures.ThreadPoolExecutor(1) as beside,
        ):
            for pair in self.pairs.values():
                self._stop()
                if self.options.quick or not self._enforced:
                    # In a file whose types are not enforced, NULL in a key is in no range of keys.
                    counting = beside.submit(_count, self.target, there, pair.target)
                    self.counts[pair.id] = (_count(self.source, here, pair.source), counting.result())
                found += self._of_table(pair, here)
        return found

    @property
    def _enforced(self) -> bool:
        return all(s.engine.capabilities.enforced_types for s in (self.source, self.target))

    def _of_table(self, pair: model.Pair, here: base.Session) -> list[unit.Unit]:
        # Chunks are for causes, and would travel with every unit.
        carried = tuple(c for c in pair.columns if not c.lossy)
        pair = dataclasses.replace(pair, columns=carried, copied=(), key=self._key(pair.key, carried))
        if not pair.columns:
            return []
        plain_unit = unit.Unit(
            pair,
            self.source,
            self.target,
            samples=self.options.samples,
            collect=self.options.collect,
            block_rows=self.options.block_rows,
            tolerance=self.options.tolerance,
        )
        if pair.key is None or not pair.key.ordered:
            few = max(self.counts.get(pair.id, (pair.rows, pair.rows))) <= _SMALL
            return [dataclasses.replace(plain_unit, spread=True)] if few or not self.options.quick else []
        limit = unit.limit_of(plain_unit)
        rows = max((*self.counts.get(pair.id, ()), pair.rows))
        pieces = max(1, math.ceil(rows / (limit * _UNIT_BLOCKS)))
        sampled = self.options.quick and rows > limit * _SAMPLE_BLOCKS
        if sampled:
            pieces = _SAMPLE_BLOCKS
        if pieces == 1:
            return [plain_unit]
        key = base.ChunkKey("columns", pair.key.columns, pair.key.source_natives)
        with sides.told("source", self.source.name):
            span = _digests(self.source).span(here, pair.source, key)
        cuts = _cuts(span, pieces, len(key.columns))
        if not cuts:
            return [dataclasses.replace(plain_unit, blocks=1 if sampled else None)]
        bounds = [None, *cuts, None]
        found = [
            dataclasses.replace(plain_unit, lower=lower, upper=upper, blocks=1 if sampled else None)
            for lower, upper in itertools.pairwise(bounds)
        ]
        if sampled and span is not None:
            found[-1] = dataclasses.replace(found[-1], lower=_near_the_end(span, rows, limit, cuts[-1]), blocks=2)
        return found

    def _key(self, key: model.Key | None, columns: Sequence[model.Column]) -> model.Key | None:
        """Return a key of columns that are compared, said to be ordered only where both servers order it alike."""
        known = {c.source: c for c in columns}
        if key is None or any(name not in known for name in key.columns):
            return None
        ordered = key.ordered and all(
            known[name].type.kind is types.Kind.INTEGER
            and _digests(self.source).sorts_as_number(native)
            and _digests(self.target).sorts_as_number(there)
            for name, native, there in zip(key.columns, key.source_natives, key.target_natives, strict=True)
        )
        return dataclasses.replace(key, ordered=ordered)

    # -- doing it

    def _work(self, units: Sequence[unit.Unit]) -> None:
        todo = []
        for one in units:
            if one.name in self.finished:
                self._take(one, rowset.read_tally(self.finished[one.name]), new=False)
            else:
                todo.append(one)
        if not todo:
            return
        rows = sum(self._rows_of(u) for u in todo)
        if rows <= _ALONE or (self.options.workers == 1 and len(todo) <= 1):
            for one in todo:
                self._stop()
                self._take(one, _tolerant(one))
            return
        with executor.local(max(1, min(self.options.workers, len(todo)))) as pool:
            try:
                self._hand_out(pool, todo)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _hand_out(self, pool: concurrent.futures.Executor, todo: Sequence[unit.Unit]) -> None:
        waiting: dict[concurrent.futures.Future[rowset.Tally | None], unit.Unit] = {}
        coming = iter(todo)
        while True:
            while len(waiting) < 2 * self.options.workers and (one := next(coming, None)) is not None:
                waiting[pool.submit(_tolerant, one)] = one
            if not waiting:
                return
            done, _ = concurrent.futures.wait(waiting, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                self._take(waiting.pop(future), future.result())
            self._stop()

    def _rows_of(self, one: unit.Unit) -> int:
        if one.blocks is not None:
            return one.blocks * unit.limit_of(one)
        return min(one.pair.rows, unit.limit_of(one) * _UNIT_BLOCKS) if not one.spread else one.pair.rows

    def _take(self, one: unit.Unit, tally: rowset.Tally | None, new: bool = True) -> None:
        if tally is None:  # the order of its keys can't be trusted: the table is spread over buckets instead
            return
        mine = self.tallies[one.pair.id]
        mine[one.name] = tally
        if self.options.collect and sum(len(t.apart) for t in mine.values()) > self.options.collect:
            raise TooMany(one.pair.id)
        if new:
            self.watch.done(one.name, tally.to_json())
        compared = sum(t.rows_compared for t in mine.values())
        self.watch.progress(one.pair.id, compared, max(compared, self.pairs[one.pair.id].rows))

    def _not_all_seen(self, units: Sequence[unit.Unit]) -> list[unit.Unit]:
        """Return tables to compare anew, whole and in no order: ranges of keys did not show every row of them."""
        again = []
        for table in self.pairs:
            mine = [u for u in units if u.pair.id == table]
            if not mine or mine[0].spread or mine[0].blocks is not None:
                continue
            seen = rowset.total(self.tallies[table].values(), 0)
            counted = self.counts.get(table)
            lost = len(self.tallies[table]) < len(mine)
            if lost or (counted is not None and counted != (seen.rows_source, seen.rows_target)):
                self.tallies[table] = {}
                again.append(dataclasses.replace(mine[0], lower=None, upper=None, blocks=None, spread=True))
        return again

    def _stop(self) -> None:
        if self.watch.stop():
            raise errors.Paused("stopped while rows were compared")

    # -- what came of it

    def _divergence(self, pair: model.Pair) -> model.Divergence:
        order = list(self.tallies[pair.id].values())
        found = rowset.total(order, self.options.samples)
        here, there = found.rows_source, found.rows_target
        missing, extra, quarantined = found.missing, found.extra, found.quarantined
        if self.options.quick:
            here, there = self.counts[pair.id]
            if found.rows_compared < here:
                # What was not looked at can only be counted.
                quarantined = min(len(pair.quarantined), max(here - there, 0)) or quarantined
                gap = here - quarantined - there if not pair.shared else 0
                missing, extra = max(missing, gap), max(extra, -gap)
        return model.Divergence(
            table=pair.id,
            rows_source=here,
            rows_target=there,
            rows_compared=found.rows_compared,
            missing=missing,
            extra=extra,
            different=found.different,
            quarantined=quarantined,
            columns=dict(sorted(found.columns.items(), key=lambda item: (-item[1], item[0]))),
            samples=tuple(model.Sample(**s) for s in found.samples),
            patterns=patterns.find(found.kinds, found.different),
            not_compared=tuple(c.source for c in pair.columns if c.lossy),
        )


def _digests(side: sides.Side) -> comparing.Digests:
    return side.engine.digests or plain.Digests(side.engine.rows)


def _tolerant(one: unit.Unit) -> rowset.Tally | None:
    """Compare a unit; None where its keys turn out to be no numbers."""
    try:
        return unit.compare(one)
    except unit.NotNumbers:
        return None


def _count(side: sides.Side, session: base.Session, table: Any) -> int:
    def act() -> int:
        with sides.told(side.role.value, side.name):
            return side.engine.rows.count(session, table)

    return act()


def _cuts(span: tuple[int, int] | None, pieces: int, columns: int) -> list[base.KeyValue]:
    """Cut between the lowest and the highest key, at even distances: any place will do, on both sides the same."""
    if span is None:
        return []
    low, high = span
    firsts = sorted({low + (high - low) * n // pieces for n in range(1, pieces)} - {low})
    return [(first, *(0,) * (columns - 1)) for first in firsts]


def _near_the_end(span: tuple[int, int], rows: int, limit: int, last: base.KeyValue) -> base.KeyValue:
    low, high = span
    first = high - max(1, (high - low) * limit // max(rows, 1))
    return max(last, (first, *(0,) * (len(last) - 1)))
