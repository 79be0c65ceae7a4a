"""Transactions on the store's database, the same for every engine that can hold it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sensei import errors

T = TypeVar("T")
Row = tuple[Any, ...]

#: How long a store that is locked or out of reach is waited for, in seconds.
PATIENCE = 10.0


class ConnectionLost(errors.Transient):
    """The connection to the store was lost before COMMIT was sent: nothing took effect."""

    side = "store"


class Tx(Protocol):
    """One open transaction; statements use ``?`` for values."""

    #: What makes a SELECT hold the rows that it found: "" where one writer at a time is the rule.
    for_update: str

    def all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """Return every row."""

    def one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """Return the first row, or None."""

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry out a statement; return how many rows it touched."""

    def now(self) -> datetime:
        """Return the time by the store's clock (SQLite: this host's), aware, UTC."""


class Database(ABC):
    """A connection that runs functions in transactions, and again where nothing had taken effect.

    One connection, one transaction at a time: threads of a process wait for each other here.
    Not to be carried over a fork.
    """

    def __init__(self, label: str) -> None:
        self.label = label  #: how messages name the store: no secret in it
        self._turn = threading.RLock()

    def write(self, work: Callable[[Tx], T]) -> T:
        """Return ``work(tx)`` once its transaction is durable.

        A lost connection is made again and the work repeated, for up to ``PATIENCE`` seconds, as long as
        COMMIT was not sent. Raises CommitUnknown where its answer was lost, StoreFailed for the rest.
        """
        return self._transact(work, read_only=False)

    def read(self, work: Callable[[Tx], T]) -> T:
        """Return ``work(tx)``, all of whose queries see the store at one moment."""
        return self._transact(work, read_only=True)

    def _transact(self, work: Callable[[Tx], T], *, read_only: bool) -> T:
        give_up = time.monotonic() + PATIENCE
        pause = 0.05
        while True:
            try:
                with self._turn:
                    return self._once(work, read_only)
            except ConnectionLost as e:
                if time.monotonic() + pause > give_up:
                    raise errors.StoreFailed(
                        f"the connection to the state store {self.label} was lost: {e}",
                        hint="nothing was written; run the same command again once the store can be reached",
                    ) from e
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _once(self, work: Callable[[Tx], T], read_only: bool) -> T:
        try:
            result = work(self._begin(read_only))
        except BaseException:
            self._rollback()
            raise
        self._commit()
        return result

    @abstractmethod
    def create(self, statements: Iterable[str]) -> None:
        """Run DDL inside the write transaction that is open."""

    @abstractmethod
    def is_made(self, tx: Tx) -> bool:
        """Tell whether the store's tables are there."""

    @abstractmethod
    def claim(self, tx: Tx) -> bool:
        """In a write transaction: keep others from making the tables; tell whether they are there."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; the next use of a PostgreSQL store opens another."""

    @abstractmethod
    def _begin(self, read_only: bool) -> Tx: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _rollback(self) -> None: ...


def open_database(url: str) -> Database:
    """Open the database behind a store's URL.

    Raises BadInput for a URL that can't be a store, StoreFailed for a store that can't be opened.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        from sensei.journal import sqlite

        return sqlite.SqliteDatabase(sqlite.path_of(url))
    if scheme in ("postgresql", "postgres"):
        from sensei.journal import postgres  # loads psycopg2, which most commands have no use for

        return postgres.PostgresDatabase(url)
    raise errors.BadInput(
        "the state store's URL must begin with sqlite:/// or postgresql://",
        hint="set SENSEI_STORE to one of these, or unset it to use the file in the home",
    )
