"""The ports of a comparison: rows summed up by the server, and questions about a table's content and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sensei.engines import base


@dataclass(frozen=True)
class Digest:
    """Some rows in key order, summed up by the server."""

    rows: int
    checksum: str  #: md5 of their lines (`catalog.digestline`), joined; "" of no rows
    last: base.KeyValue | None = None  #: key of the last of them
    bytes: int = 0  #: of their lines


class Digests(Protocol):
    """Sums rows up inside the server, to the same checksum in every engine.

    A line is made of canonical texts in the form `catalog.digestline` says. Two equal checksums prove rows equal; two
    different ones only ask for a closer look, since a server may have to spell one value in its own way.
    `form` VALUES or NATIVE means values as this engine stores them, for two ends of one engine; TEXT canonical texts;
    BINARY the server's own hash of a row, where both sides have one.
    """

    def own_hash(self, session: base.Session) -> bool:
        """Tell whether this server hashes rows by itself, as every other of its engine that says so does."""

    def sorts_as_number(self, native: str) -> bool:
        """Tell whether the server orders whole numbers in a column of this declared type as numbers."""

    def span(self, session: base.Session, table: base.TableName, key: base.ChunkKey) -> tuple[int, int] | None:
        """Return the lowest and the highest value of the key's first column; None of no rows, or no numbers."""

    def block(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, limit: int, last: bool = True
    ) -> Digest:
        """Sum up the first rows of a range in key order, at most `limit`.

        `last` False: nobody will look at the digest's last key, and an engine that pays for it need not tell it.
        The last key may hold what is no number where the engine does not enforce types.
        """

    def buckets(
        self, session: base.Session, spec: base.ReadSpec, form: base.Form, key: Sequence[int], number: int
    ) -> dict[int, tuple[int, int]]:
        """Spread all rows over buckets; returns bucket -> (rows, sum of `digestline.weight`), without empty ones.

        `key` are the positions of the columns whose line decides the bucket, see `digestline.bucket`.
        """


@dataclass(frozen=True)
class ColumnSurvey:
    """What one query told of a column; None where the question makes no sense for its type, or was not asked."""

    nulls: int
    lowest: str | None = None  #: numbers and times, in an ISO or a decimal form
    highest: str | None = None
    mean: float | None = None  #: of numbers
    shortest: int | None = None  #: characters of text without trailing blanks where they are padding; bytes of bytes
    longest: int | None = None
    length: float | None = None  #: the mean length
    distinct: int | None = None


@dataclass(frozen=True)
class Orphans:
    """Rows whose foreign key points at nothing."""

    rows: int
    samples: tuple[str, ...] = ()  #: some of the values that point at nothing


class Survey(Protocol):
    """Questions about a table's content and order that one statement on the server answers; writes nothing."""

    def columns(
        self, session: base.Session, spec: base.ReadSpec, distinct: bool
    ) -> tuple[int, dict[str, ColumnSurvey]]:
        """Return the number of rows in the range of `spec` and what is known of each column, by name.

        `distinct` asks for the number of distinct values, which costs a sort of each column.
        """

    def orphans(
        self,
        session: base.Session,
        child: base.TableName,
        columns: Sequence[str],
        parent: base.TableName,
        references: Sequence[str],
    ) -> Orphans:
        """Count the rows of `child` whose columns, none of them NULL, are in no row of `parent`."""

    def highest(self, session: base.Session, table: base.TableName, column: str) -> int | None:
        """Return the largest integer in a column that is numbered, or None."""

    def asleep(self, session: base.Session, tables: Sequence[base.TableName]) -> list[tuple[base.TableName, str, str]]:
        """Return what is there and switched off on these tables: (table, kind, name); such as disabled triggers."""
