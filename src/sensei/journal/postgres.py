"""The store in the schema ``sensei_journal`` of a PostgreSQL database."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg2
import psycopg2.extensions

from sensei import errors
from sensei.config import connections
from sensei.journal import database

SCHEMA = "sensei_journal"

#: Held while the schema is made; any number will do that others are unlikely to lock.
_LOCK = 0x53454E5345490001

_CONNECTION_DEFAULTS = {
    "application_name": "sensei",
    "connect_timeout": "10",
    # A host that vanished is noticed within a minute, not after the system's two hours.
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PostgresDatabase(database.Database):
    """One connection, made at first use and again when it was lost."""

    for_update = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        super().__init__(_label(url))
        given = {name for name, _ in parse_qsl(urlsplit(url).query)}
        self._options = {k: v for k, v in _CONNECTION_DEFAULTS.items() if k not in given}
        self._url = connections.expand(url, os.environ)
        self._open: psycopg2.extensions.connection | None = None
        self._prologue = ""
        self._was_open = False
        self._transact(lambda tx: tx.one("SELECT 1"), read_only=True)

    def _connect(self) -> psycopg2.extensions.connection:
        try:
            connection = _dial(self._url, self._options)
        except psycopg2.Error as e:
            if self._was_open:  # a server that restarts is waited for
                raise database.ConnectionLost(_first_line(e)) from e
            raise errors.StoreFailed(
                f"no connection to the state store {self.label}: {_first_line(e)}",
                hint="check that the server runs and that SENSEI_STORE names it, then run the command again",
            ) from e
        connection.autocommit = True  # BEGIN and COMMIT are sent here, with what each transaction needs
        self._prologue = (
            f"SET LOCAL search_path TO {SCHEMA}, pg_catalog, pg_temp; SET LOCAL TimeZone TO 'UTC'; "
            f"SET LOCAL lock_timeout TO '{int(database.PATIENCE * 1000)}ms'; "
            "SET LOCAL standard_conforming_strings TO on"
        )
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            (durable,) = cursor.fetchone() or ("on",)
        if durable == "off":  # a journal entry that a power cut can lose is no journal entry
            self._prologue += "; SET LOCAL synchronous_commit TO on"
        self._was_open = True
        return connection

    @property
    def _connection(self) -> psycopg2.extensions.connection:
        if self._open is None:
            self._open = self._connect()
        return self._open

    def all(self, sql: str, values: Sequence[object] = ()) -> list[database.Row]:
        """Return every row."""
        with self._connection.cursor() as cursor:
            self._execute(cursor, sql, values)
            return cursor.fetchall()

    def one(self, sql: str, values: Sequence[object] = ()) -> database.Row | None:
        """Return the first row, or None."""
        rows = self.all(sql, values)
        return rows[0] if rows else None

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry out a statement; return how many rows it touched."""
        with self._connection.cursor() as cursor:
            self._execute(cursor, sql, values)
            return cursor.rowcount

    def now(self) -> datetime:
        """Return the server's time."""
        row = self.one("SELECT clock_timestamp()")
        assert row is not None and isinstance(row[0], datetime)
        return row[0].astimezone(UTC)

    def create(self, statements: Iterable[str]) -> None:
        """Run DDL inside the write transaction that is open."""
        with self._connection.cursor() as cursor:
            for statement in statements:
                self._execute(cursor, statement, None)

    def is_made(self, tx: database.Tx) -> bool:
        """Tell whether the store's tables are there."""
        # Not by to_regclass: after a wait for the lock below it still answers from what it knew before.
        found = tx.one(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ? AND c.relname = 'meta'",
            (SCHEMA,),
        )
        return found is not None

    def claim(self, tx: database.Tx) -> bool:
        """Keep others from making the tables until this transaction ends; tell whether they are there."""
        tx.one("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        if self.is_made(tx):
            return True
        # Asked first, since IF NOT EXISTS wants the right to create even where there is nothing to do.
        if tx.one("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ?", (SCHEMA,)) is None:
            tx.run(f"CREATE SCHEMA {SCHEMA}")
        return False

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _begin(self, read_only: bool) -> database.Tx:
        kind = "ISOLATION LEVEL REPEATABLE READ, READ ONLY" if read_only else "ISOLATION LEVEL READ COMMITTED"
        with self._connection.cursor() as cursor:
            self._execute(cursor, f"BEGIN {kind}; {self._prologue}", None)
        return self

    def _commit(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("COMMIT")
                status = cursor.statusmessage
        except psycopg2.Error as e:
            if self._lost():
                raise errors.CommitUnknown(
                    f"the connection to the state store {self.label} was lost while it was committing"
                ) from e
            self._rollback()
            raise self._failed(e) from e
        if status != "COMMIT":  # the server answers ROLLBACK to the COMMIT of a failed transaction
            raise errors.Fault(f"the state store {self.label} rolled back instead of committing")

    def _rollback(self) -> None:
        if self._lost():
            return
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self.close()  # the server rolls back what a closed connection left

    def _lost(self) -> bool:
        if self._open is None:
            return True
        if self._open.closed:
            self._open = None
            return True
        return False

    def _execute(self, cursor: psycopg2.extensions.cursor, sql: str, values: Sequence[object] | None) -> None:
        try:
            if values is None:
                cursor.execute(sql)
            else:
                cursor.execute(sql.replace("%", "%%").replace("?", "%s"), tuple(values))
        except psycopg2.Error as e:
            if self._lost():
                raise database.ConnectionLost(_first_line(e)) from e
            raise self._failed(e) from e

    def _failed(self, e: psycopg2.Error) -> errors.SenseiError:
        code, store, said = e.pgcode or "", f"the state store {self.label}", _first_line(e)
        if code in ("55P03", "40P01", "40001"):
            return errors.StoreFailed(
                f"{store} was locked by another process for {database.PATIENCE:.0f} seconds: {said}",
                hint="see pg_locks and pg_stat_activity for who holds the lock, then run the command again",
            )
        if code == "42501":
            return errors.StoreFailed(
                f"{store} does not let this account in: {said}",
                hint=f"GRANT CREATE ON DATABASE … TO this account, or hand it the schema {SCHEMA}",
            )
        if code == "25006":
            return errors.StoreFailed(f"{store} is read-only: {said}", hint="let SENSEI_STORE name the primary server")
        if code.startswith("53"):
            return errors.StoreFailed(f"{store} lacks a resource: {said}", hint="free some, then resume")
        if code.startswith("23") or code == "P0001":
            return errors.Fault(f"{store} refused a write that breaks its rules: {said}")
        return errors.StoreFailed(f"{store} failed: {said}", hint="state is kept; run the same command again")


def _dial(url: str, options: Mapping[str, Any]) -> psycopg2.extensions.connection:
    connection: psycopg2.extensions.connection = psycopg2.connect(url, **options)
    return connection


def _label(url: str) -> str:
    parts = urlsplit(_VARIABLE.sub("", url))
    name = unquote(parts.path.lstrip("/"))
    return f"{name or 'default database'} on {parts.netloc.rpartition('@')[2] or 'the local server'}"


def _first_line(e: BaseException) -> str:
    # libpq never repeats a password, yet a URL that it can't parse it quotes whole.
    text = (str(e).strip() or type(e).__name__).splitlines()[0]
    return re.sub(r"\"?postgres(?:ql)?://.*", "the URL", text)
