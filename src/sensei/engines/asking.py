"""The port through which validation asks a server questions that somebody else wrote; it writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sensei.catalog import types
from sensei.engines import base

#: Rows that are fetched at once, and after which a measurement of time ends.
BLOCK = 100


@dataclass(frozen=True)
class Answer:
    """What a server answered to one query."""

    rows: tuple[base.Row, ...] = ()  #: in the server's order, the driver's values
    count: int = 0  #: of all rows, also of those beyond what was kept
    error: str = ""  #: why there is none: the server's words, or that it took too long


@dataclass(frozen=True)
class Access:
    """How a server gets at one table of a query; a list of these is in the order in which they are joined."""

    name: str  #: the table, or its alias in the query, as the server prints it
    way: str  #: "scan": all rows; "index": rows found by an index; "key": by the primary key
    index: str = ""  #: name of the index
    rows: float | None = None  #: estimated


@dataclass(frozen=True)
class Statement:
    """A query as the server's own records hold it."""

    text: str
    calls: int = 0
    schema: str = ""  #: the one that unqualified names meant


def counted(blocks: Iterable[Sequence[base.Row]], keep: int) -> Answer:
    """Count the rows of an answer that comes in blocks, and keep the first of them."""
    rows: list[base.Row] = []
    count = 0
    for block in blocks:
        rows += block[: max(0, keep - len(rows))]
        count += len(block)
    return Answer(tuple(rows), count)


class Ask(Protocol):
    """Asks queries in transactions that the server keeps from writing. Sessions are opened with Purpose.SOURCE."""

    #: The name of the server's dialect in `sensei.queries`.
    dialect: str

    def computed(self, sql: str, of: types.LogicalType, native: str) -> str:
        """Return an expression that an operator wrote, of one type: what it gives is no longer the expression's choice.

        `native` is the type in this engine's own words. Where a cast would make NULL of what does not fit, as MySQL's
        do, or would round, the caller asks the data whether it does.
        """

    def prepare(self, session: base.Session, schemas: Sequence[str], seconds: float) -> None:
        """Set the session up as an application's would be: names are found in `schemas`, a query ends in time."""

    def answer(self, session: base.Session, sql: str, keep: int) -> Answer:
        """Ask and count all rows, of which the first `keep` are returned.

        What the server refuses is an answer with an error; raises ServerFailed where the connection is gone.
        """

    def time(self, session: base.Session, sql: str, is_large: bool) -> float | None:
        """Return the seconds until the answer begins to arrive, at most its first `BLOCK` rows; None where refused.

        `is_large`: the answer has too many rows to be held at once.
        """

    def accesses(self, session: base.Session, sql: str) -> list[Access]:
        """Return how the server would get at the tables, in the order of its joins; empty where it does not say."""

    def statements(self, session: base.Session, limit: int) -> list[Statement]:
        """Return queries that ran on this server, those that ran most first.

        Raises NotYet where the server keeps no such records, with what to switch on as hint.
        """
