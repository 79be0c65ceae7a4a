"""Values that a column may hold and the type that it becomes does not: named by the target, counted on the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from sensei import catalog
from sensei.catalog import rowtext, types

if TYPE_CHECKING:  # engines are handed in; they name this port
    from sensei.engines import base

Kind = types.Kind

#: Keys of rows that are shown of each finding.
SAMPLES = 5


#: What MySQL takes for dates and others do not.
NO_DATES = "zero and partial dates, those of the year 0, and days that no month has"


class Hazard(StrEnum):
    """What makes a value one that not every engine's type of its kind holds."""

    NAN = "NaN"
    INFINITE = "infinite numbers"
    MINUS_ZERO = "minus zero"
    ZERO_DATE = "zero, partial or impossible dates"
    OUTSIDE = "outside of what is held"  #: below `low` or above `high`
    DURATION = "durations below 00:00:00 or above 24:00:00"
    NUL = "texts with a NUL character"
    NO_TEXT = "bytes that are no characters"
    NO_LABEL = "an enum's empty error value"
    LONG = "too long"  #: longer than `high`, in characters or bytes
    DEEP = "JSON nested too deeply"  #: with more than `high` arrays and objects in each other
    UUID_VARIANT = "no uuid of a variant that is held"


@dataclass(frozen=True)
class Lack:
    """Values that a type does not hold."""

    hazard: Hazard
    says: str  #: which values, in an operator's words, as subject of "go to quarantine"
    low: str | int | None = None
    high: str | int | None = None


@dataclass(frozen=True)
class Asked:
    """A question about one column: the rows of which `sql` is true are those that the lack names."""

    column: str
    lack: Lack
    sql: str


@dataclass(frozen=True)
class Met:
    """What a scan found of one column."""

    column: str
    lack: Lack
    rows: int
    keys: tuple[str, ...]  #: of some of these rows, as an operator would write them


class Hazards(Protocol):
    """What an engine's types do not hold, and how its server is asked for what others' do not."""

    def lacks(self, of: types.LogicalType, native: str) -> Sequence[Lack]:
        """Return which values that mean `of` this engine's type `native` does not hold."""

    def rows(self, session: base.Session, table: catalog.TableName) -> str:
        """Return what to write after FROM for the rows of a source's table that the migration sees."""

    def holding(
        self, session: base.Session, table: catalog.TableName, column: catalog.Column, lack: Lack
    ) -> str | None:
        """Return a condition that is true of such values of a source's column; None where there can be none."""


def beyond(of: types.LogicalType, held: range) -> list[Lack]:
    """Return what a type that holds these integers lacks of another one."""
    all_of_them = rowtext.integers(of)
    low, high = held[0], held[-1]
    if low <= all_of_them[0] and all_of_them[-1] <= high:
        return []
    return [Lack(Hazard.OUTSIDE, f"numbers below {low} or above {high}", low, high)]


def longer(of: types.LogicalType, length: int, what: str) -> list[Lack]:
    """Return what a text or bytes of at most `length` lack of another one."""
    if of.length is not None and of.length <= length:
        return []
    return [Lack(Hazard.LONG, f"values of more than {length} {what}", None, length)]


def joined(conditions: Sequence[str], word: str) -> str:
    """Join conditions by AND or OR in halves of halves: servers limit how deeply an expression is nested."""
    if len(conditions) == 1:
        return f"({conditions[0]})"
    half = len(conditions) // 2
    return f"({joined(conditions[:half], word)} {word} {joined(conditions[half:], word)})"


def scan(
    engine: base.Engine, session: base.Session, table: catalog.TableName, key: Sequence[str], asked: Sequence[Asked]
) -> list[Met]:
    """Read the table once; where a row answers to a question, once more for each count, and for the keys.

    The rows are those that the migration sees. A verdict on whole rows costs less than a sum for each question, and
    nearly all tables are clean.
    """
    quote = engine.ddl.quote
    assert engine.hazards is not None
    source = engine.hazards.rows(session, table)
    any_of = joined([a.sql for a in asked], "OR")
    if not int(session.rows(f"SELECT count(*) FROM {source} WHERE {any_of}")[0][0]):
        return []
    sums = ", ".join(f"sum(CASE WHEN {a.sql} THEN 1 ELSE 0 END)" for a in asked)
    counts = session.rows(f"SELECT {sums} FROM {source} WHERE {any_of}")[0]
    found = []
    for a, n in zip(asked, counts, strict=True):
        if not n:
            continue
        keys: list[tuple[Any, ...]] = []
        if key:
            shown = ", ".join(quote(k) for k in key)
            keys = session.rows(f"SELECT {shown} FROM {source} WHERE {a.sql} LIMIT {SAMPLES}")
        found.append(Met(a.column, a.lack, int(n), tuple(", ".join(map(_shown, row)) for row in keys)))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"x'{bytes(value).hex()}'"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
