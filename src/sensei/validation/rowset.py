"""What is found between the rows of one key on both sides, added up."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sensei.catalog import rowtext
from sensei.transfer import copier
from sensei.validation import model, values

#: A row's key as the rows travel: fields of canonical text between tabs, or values between two files of SQLite.
Named = bytes | tuple[Any, ...]
#: Differences whose texts are kept of one kind; a count needs none.
_SHOWN = 500


class Values(dict[str, str | None]):
    """What one row holds: canonical text by the source's columns."""

    line: bytes = b""  #: what it was read from


@dataclass(frozen=True)
class Rows:
    """One difference: the keys of its rows, None where a side has none."""

    source: Named | None
    target: Named | None


@dataclass
class Tally:
    """What was found so far; JSON-able, and added up over parts of a table."""

    rows_source: int = 0
    rows_target: int = 0
    rows_compared: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    quarantined: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    #: "column\tkind\tdetail" -> rows
    kinds: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    #: Every difference, where they are collected, and one more than that where there are more. Not for later runs.
    apart: list[Rows] = field(default_factory=list)

    def add(self, other: Tally, samples: int) -> None:
        """Add another part of the same table."""
        for name in ("rows_source", "rows_target", "rows_compared", "missing", "extra", "different", "quarantined"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.columns, other.columns), (self.kinds, other.kinds)):
            for key, n in theirs.items():
                mine[key] = mine.get(key, 0) + n
        self.samples += other.samples[: max(samples - len(self.samples), 0)]
        self.apart += other.apart

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {name: value for name, value in self.__dict__.items() if name != "apart"}


class Comparer:
    """Compares rows of one table that share a key, and tallies."""

    def __init__(self, pair: model.Pair, tolerance: values.Tolerance, samples: int, collect: int = 0) -> None:
        self.pair, self.tolerance, self.samples, self.collect = pair, tolerance, samples, collect
        self.names = [c.source for c in pair.columns]
        self.key = pair.key.columns if pair.key is not None else tuple(self.names)
        self._positions = [self.names.index(c) for c in self.key]
        self.tally = Tally()
        self._awaited: collections.Counter[tuple[str | None, ...]] = collections.Counter()
        self._awaited_whole: collections.Counter[tuple[str | None, ...]] = collections.Counter()
        for row in pair.quarantined:
            if set(row.key) == set(self.key):
                self._awaited[tuple(_bare(row.key[c]) for c in self.key)] += 1
            else:
                self._awaited_whole[tuple(_bare(row.row.get(c)) for c in self.names)] += 1

    def rows(self, source: Sequence[bytes], target: Sequence[bytes]) -> None:
        """Take into account the rows of one key, as lines of canonical text; both sides' counts are kept elsewhere."""
        if len(source) == len(target) == 1:
            if source[0] != target[0]:
                self._pair_up([self.values(source[0])], [self.values(target[0])])
            return
        left = collections.Counter(source)
        left.subtract(collections.Counter(target))
        here = [line for line, n in left.items() for _ in range(n)]
        there = [line for line, n in left.items() for _ in range(-n)]
        if here or there:
            self._pair_up([self.values(line) for line in here], [self.values(line) for line in there])

    def values(self, line: bytes) -> Values:
        """Return a row's values; one that does not conform is shown as it is."""
        found = Values(copier.readable(line, self.names))
        found.line = line
        return found

    def normal(self, row: Values) -> tuple[str | None, ...]:
        """Return what stands for a row: equal for rows that mean the same."""
        return tuple(values.norm(c, row.get(c.source)) for c in self.pair.columns)

    def _pair_up(self, here: list[Values], there: list[Values]) -> None:
        """Match rows that mean the same, then, where there is a key, what is left one by one."""
        remaining: dict[tuple[str | None, ...], list[Values]] = {}
        for row in there:
            remaining.setdefault(self.normal(row), []).append(row)
        lone: list[Values] = []
        for row in here:
            same = remaining.get(self.normal(row))
            if same:
                same.pop()
            else:
                lone.append(row)
        rest = [row for rows in remaining.values() for row in rows]
        while lone and rest and self.pair.key is not None:
            self._differs(lone.pop(0), rest.pop(0))
        for row in lone:
            self._missing(row)
        for row in rest if not self.pair.shared else ():
            self.tally.extra += 1
            self._collect(None, row)
            self._sample(row, "extra", None, None, None)

    def _missing(self, row: Values) -> None:
        bare = {name: _bare(text) for name, text in row.items()}
        for awaited, named in (
            (self._awaited, tuple(bare.get(c) for c in self.key)),
            (self._awaited_whole, tuple(bare.get(c) for c in self.names)),
        ):
            if awaited[named] > 0:
                awaited[named] -= 1
                self.tally.quarantined += 1
                return
        self.tally.missing += 1
        self._collect(row, None)
        self._sample(row, "missing", None, None, None)

    def _differs(self, here: Values, there: Values) -> None:
        apart = [
            c for c in self.pair.columns if not values.same(c, here.get(c.source), there.get(c.source), self.tolerance)
        ]
        if not apart:
            return
        tally = self.tally
        tally.different += 1
        self._collect(here, there)
        kinds = _swapped(apart, here, there)
        for column in apart:
            a, b = here.get(column.source), there.get(column.source)
            tally.columns[column.source] = tally.columns.get(column.source, 0) + 1
            kind, detail = kinds.get(column.source) or values.difference(column, a, b)
            name = f"{column.source}\t{kind}\t{detail}"
            if name not in tally.kinds and len(tally.kinds) >= _SHOWN:
                name = f"{column.source}\tother\t"
            tally.kinds[name] = tally.kinds.get(name, 0) + 1
            self._sample(here, "different", column.source, a, b)

    def _collect(self, here: Values | None, there: Values | None) -> None:
        if self.collect and len(self.tally.apart) <= self.collect:
            self.tally.apart.append(Rows(self._named(here), self._named(there)))

    def _named(self, row: Values | None) -> Named | None:
        if row is None:
            return None
        if isinstance(row.line, Stored):
            return tuple(row.line.row[at] for at in self._positions)
        found = fields(row.line, len(self.names))
        return b"\t".join(found[at] for at in self._positions)

    def _sample(self, row: Values, kind: str, column: str | None, source: str | None, target: str | None) -> None:
        if len(self.tally.samples) < self.samples:
            key = {c: row.get(c) for c in self.key}
            self.tally.samples.append(model.Sample(key, kind, column, source, target).to_json())


class Stored(bytes):
    """A row as one SQLite file stores it, as a line of text, with its values."""

    row: tuple[Any, ...] = ()


def fields(line: bytes, width: int) -> list[bytes]:
    """Cut a line of canonical text into so many fields; where it has one too many, a misfit was made loud by that."""
    found = line.split(b"\t")
    at = 0
    while len(found) > width and at < len(found) - 1:
        if found[at].startswith(rowtext.MISFIT.encode()) and not found[at + 1]:
            del found[at + 1]
        at += 1
    return found


def _bare(text: str | None) -> str | None:
    """Return a value as the quarantine shows it: without the words that make a misfit loud."""
    if text is None or not text.startswith(rowtext.MISFIT):
        return text
    return text.removeprefix(rowtext.MISFIT + " ").partition(" ")[2]


def _swapped(apart: Sequence[model.Column], here: Values, there: Values) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for n, one in enumerate(apart):
        for other in apart[n + 1 :]:
            a, b = here.get(one.source), here.get(other.source)
            if a != b and there.get(one.source) == b and there.get(other.source) == a:
                found[one.source] = ("swapped", other.source)
                found[other.source] = ("swapped", one.source)
    return found


def read_tally(data: Mapping[str, Any]) -> Tally:
    """Read what to_json wrote."""
    return Tally(**data)


def total(parts: Iterable[Tally], samples: int) -> Tally:
    """Add up the parts of a table."""
    whole = Tally()
    for part in parts:
        whole.add(part, samples)
    return whole
