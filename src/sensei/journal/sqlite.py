"""The store in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from sensei import errors
from sensei.journal import database, events

#: Marks the file as a state store of Sensei ("SENS"), so that nobody's database is taken for one.
APPLICATION_ID = 0x53454E53


def path_of(url: str) -> Path:
    """Return the file of ``sqlite:///relative`` or ``sqlite:////absolute``; raises BadInput."""
    rest = url.removeprefix("sqlite://").partition("?")[0]
    if len(rest) < 2 or not rest.startswith("/"):
        raise errors.BadInput("an SQLite state store is written sqlite:///relative/file or sqlite:////absolute/file")
    return Path(unquote(rest[1:])).expanduser()


class SqliteDatabase(database.Database):
    """A WAL-mode SQLite file, readable by its owner only."""

    for_update = ""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        folder = self._path.parent
        if not folder.is_dir():
            raise errors.StoreFailed(
                f"the state store {self.label} can't be made: there is no folder {folder}",
                hint=f"make it with: mkdir -p -m 700 {folder}, or set SENSEI_STORE to another place",
            )
        try:
            # SQLite gives its -wal and -shm files the mode of the main file, so this one call is enough.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
        except OSError as e:
            raise errors.StoreFailed(
                f"the state store {self.label} can't be opened for writing: {e.strerror}",
                hint="check the owner and the mode of the file and its folder, or set SENSEI_STORE",
            ) from e
        connection: sqlite3.Connection | None = None
        try:
            connection = sqlite3.connect(
                self._path, timeout=database.PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._refuse_other_databases(connection)
            self._close_to_others()
            # What somebody wrote into the file must be read to be reported, whatever bytes it is.
            connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
            self._to_wal(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException as e:
            if connection is not None:
                connection.close()
            if isinstance(e, sqlite3.Error):
                raise self._failed(e) from e
            raise
        return connection

    def _refuse_other_databases(self, connection: sqlite3.Connection) -> None:
        # One statement: a writer that makes the store between two would look like somebody else.
        app, objects = connection.execute(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_master)"
        ).fetchone()
        if app != APPLICATION_ID and (app != 0 or objects > 0):
            raise errors.StoreFailed(
                f"{self.label} is an SQLite database of something else, not a state store of Sensei",
                hint="set SENSEI_STORE to a file of its own",
            )

    def _close_to_others(self) -> None:
        if self._path.stat().st_mode & 0o077:
            try:
                self._path.chmod(0o600)
            except OSError:
                pass  # another account's file, shared with us on purpose

    @staticmethod
    def _to_wal(connection: sqlite3.Connection) -> None:
        # Changing the mode needs the file alone and does not wait for it as other statements do.
        give_up = time.monotonic() + database.PATIENCE
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as e:
                if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
            time.sleep(0.02)

    def all(self, sql: str, values: Sequence[object] = ()) -> list[database.Row]:
        """Return every row."""
        return self._execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[object] = ()) -> database.Row | None:
        """Return the first row, or None."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry out a statement; return how many rows it touched."""
        return self._execute(sql, values).rowcount

    def now(self) -> datetime:
        """Return this host's time: the file has no clock of its own."""
        return events.utcnow()

    def create(self, statements: Iterable[str]) -> None:
        """Run DDL inside the write transaction that is open."""
        for statement in statements:
            self._execute(statement, ())

    def is_made(self, tx: database.Tx) -> bool:
        """Tell whether the store's tables are there."""
        return bool(tx.all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'"))

    def claim(self, tx: database.Tx) -> bool:
        """Mark the file as Sensei's (the transaction keeps others out); tell whether the tables are there."""
        tx.run(f"PRAGMA application_id={APPLICATION_ID}")
        return self.is_made(tx)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _begin(self, read_only: bool) -> database.Tx:
        self._execute("BEGIN" if read_only else "BEGIN IMMEDIATE", ())
        return self

    def _commit(self) -> None:
        try:
            self._execute("COMMIT", ())
        except errors.StoreFailed:
            self._rollback()
            raise

    def _rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the error that led here says more, and an unfinished transaction never counts

    def _execute(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, tuple(values))
        except sqlite3.Error as e:
            raise self._failed(e) from e

    def _failed(self, e: sqlite3.Error) -> errors.SenseiError:
        code = getattr(e, "sqlite_errorcode", 0) & 0xFF
        store = f"the state store {self.label}"
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return errors.StoreFailed(
                f"{store} was locked by another process for {database.PATIENCE:.0f} seconds",
                hint="see which process has the file open (fuser or lsof), then run the same command again",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return errors.StoreFailed(
                f"{store} is damaged or not an SQLite database: {e}",
                hint="keep a copy, then put the file back from a backup, or set SENSEI_STORE anew",
            )
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return errors.StoreFailed(
                f"{store} can't be written: {e}",
                hint="check the owner and the mode of the file and its folder, or set SENSEI_STORE",
            )
        if code == sqlite3.SQLITE_FULL:
            return errors.StoreFailed(f"{store} has no room left on its disk", hint="free some, then resume")
        if code == sqlite3.SQLITE_CONSTRAINT:
            return errors.Fault(f"{store} refused a write that breaks its rules: {e}")
        return errors.StoreFailed(f"{store} failed: {e}", hint="state is kept; run the same command again")
