"""Tables whose keys are not ordered alike: rows spread over buckets by the hash of the key, in no order at all."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sensei.catalog import digestline, rowtext
from sensei.engines import base
from sensei.validation import model, rowset, values

if TYPE_CHECKING:
    from sensei.validation import unit as units

#: Rows that share a bucket, about, and buckets at most (a power of 2).
_ROWS, _MOST = 2_000, 65_536
#: Bytes of rows that are held while the buckets that differ are gone through, about.
_HELD = 64_000_000


def compare(both: units.Sides, unit: units.Unit) -> rowset.Tally:
    """Compare a whole table by buckets; those that differ are read on both sides and matched by key."""
    pair = unit.pair
    comparer = rowset.Comparer(pair, unit.tolerance, unit.samples, unit.collect)
    tally = comparer.tally
    names = [c.source for c in pair.columns]
    key = [names.index(c) for c in pair.key.columns] if pair.key is not None else list(range(len(names)))
    number = 1
    while number < _MOST and number * _ROWS < pair.rows:
        number *= 2
    answers = [both.buckets(at, key, number) for at in (0, 1)]
    here, there = (a.result() for a in answers)
    differing = []
    for at in sorted({*here, *there}):
        a, b = here.get(at, (0, 0)), there.get(at, (0, 0))
        if a != b:
            differing.append((at, max(a[0], b[0])))
        tally.rows_source += a[0]
        tally.rows_target += b[0]
        tally.rows_compared += a[0]
    width = max(pair.width, 64 * len(names))
    # Where two spellings may mean one value, or where values do not travel as text, the servers' buckets are not ours.
    meant = both.form is base.Form.VALUES or any(values.may_be_spelled_twice(pair.columns[n]) for n in key)
    if meant and differing:
        differing = [(at, max(tally.rows_source, tally.rows_target) // number + 1) for at in range(number)]
    for group in _groups(differing, max(1, _HELD // width)):
        _match(both, comparer, key, number, group, meant)
    return tally


def _groups(buckets: Sequence[tuple[int, int]], rows: int) -> Iterator[frozenset[int]]:
    """Cut buckets into groups of about so many rows: both sides are read once for each."""
    group: list[int] = []
    held = 0
    for at, count in buckets:
        if group and held + count > rows:
            yield frozenset(group)
            group, held = [], 0
        group.append(at)
        held += count
    if group:
        yield frozenset(group)


def _match(
    both: units.Sides,
    comparer: rowset.Comparer,
    key: Sequence[int],
    number: int,
    group: frozenset[int],
    by_meaning: bool,
) -> None:
    """Compare the rows of some buckets by their keys."""
    pair = comparer.pair
    kinds = [pair.columns[n].type for n in key]
    rows: dict[bytes, tuple[list[bytes], list[bytes]]] = collections.defaultdict(lambda: ([], []))

    def named(line: bytes) -> tuple[bytes, int]:
        texts = rowtext.split_line(line)
        if len(texts) != len(pair.columns):  # a misfit, made loud by one field too many
            found = comparer.values(line)
            texts = [None if (v := found.get(c.source)) is None else v.encode() for c in pair.columns]
        if by_meaning:
            texts = [_meant(column, text) for column, text in zip(pair.columns, texts, strict=True)]
        name = digestline.line([texts[n] for n in key], kinds)
        return name, digestline.bucket(name, number)

    for at in (0, 1):
        for line in both.lines(at, None, None):
            name, bucket = named(line)
            if bucket in group:
                rows[name][at].append(line)
    for here, there in rows.values():
        comparer.rows(here, there)


def _meant(column: model.Column, text: bytes | None) -> bytes | None:
    if text is None:
        return None
    meant = values.norm(column, text.decode("utf-8", "surrogateescape"))
    return None if meant is None else meant.encode("utf-8", "surrogateescape")


def stored_line(row: base.Row) -> bytes:
    """Return a row as one SQLite file stores it as a line of text, in which 1 and '1' differ."""
    line = rowset.Stored(
        rowtext.join_line(_stored(v) for v in row).removesuffix("\n").encode("utf-8", "surrogateescape")
    )
    line.row = row
    return line


def _stored(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if not isinstance(value, str):
        return repr(value)
    if value.startswith(("\\x", "'")) or _reads_as_number(value):
        return f"'{value}'"
    return value


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
