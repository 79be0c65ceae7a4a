"""One pinned connection to a PostgreSQL server, and the one place where its errors get their meaning."""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions

from sensei import catalog, errors
from sensei.catalog import sight
from sensei.engines import base

#: Oldest server that is spoken to: 13 brought pg_current_snapshot and xid8.
OLDEST = 130000

#: The one list of what may be retried: SQLSTATEs, or classes where only two characters are given.
RETRYABLE = frozenset(
    {
        "08",  # connection lost
        "40001", "40P01",  # serialization failure, deadlock
        "53300",  # too many connections
        "55P03",  # lock not available within lock_timeout
        "57014",  # statement time-out, or cancelled by an administrator
        "57P01", "57P02", "57P03",  # administrator's shutdown, crash, starting up
        "57P05", "25P03",  # idle time-outs
    }
)  # fmt: skip

#: Refusals of data rather than of the statement: classes 22 and 23, a value too long for an index, a trigger.
_DATA = ("22", "23", "54000", "P0001")
_MISSING = ("42P01", "3F000")
_BUSY_AT_CONNECT = re.compile(
    r"too many (clients|connections)|remaining connection slots|database system is|no more connections"
)
_NO_SPACE = "No space left"
_CONNECT_HINT = (
    "see that the server runs and takes connections from here, and that address, user and password are right;"
    " then run the same command again"
)

#: Query parameters of a URL that libpq knows; any other is left out rather than refused by the driver.
_LIBPQ = frozenset(
    {
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "gssencmode",
        "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
        "krbsrvname", "options", "passfile", "password", "port", "service", "sslcert", "sslcrl", "sslkey",
        "sslmode", "sslpassword", "sslrootcert", "target_session_attrs", "tcp_user_timeout", "user",
    }
)  # fmt: skip

#: What a URL may say about sessions, beyond libpq's parameters; values as PostgreSQL writes them ("5min").
#: Building a key on a large table rightly takes hours, so a statement has a day. A dead peer is found by
#: keepalives, a blocked statement by lock_timeout.
_SETTABLE = {
    "lock_timeout": "30s",
    "statement_timeout": "24h",
    "idle_in_transaction_session_timeout": "10min",
}

#: Everything that could change how a value or a name is rendered, or which rows are seen.
_PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "3",
    "client_encoding": "UTF8",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "quote_all_identifiers": "off",
    "transform_null_equals": "off",
    "search_path": "pg_catalog, pg_temp",
    "default_transaction_isolation": "read committed",
    # Rows hidden by a policy become an error that names it, instead of silently missing rows.
    "row_security": "off",
    "client_min_messages": "warning",
    "jit": "off",
    # A peer whose machine is gone must not hold locks for the two hours of the kernel's default.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
#: A source's rows come in one order each time, so that the bytes of a chunk can be compared between readings.
_SOURCE = {
    "default_transaction_read_only": "on",
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
}
_TARGET = {"default_transaction_read_only": "off"}


def translate(exc: BaseException, side: str = "", *, committing: bool = False) -> errors.SenseiError:
    """Return the error of our own tree that a driver's error means.

    `committing`: the statement was COMMIT, so that a lost connection leaves its outcome unknown.
    """
    found = _translate(exc, committing)
    if isinstance(found, errors.ServerFailed):
        found.side = side
    return found


#: Where COPY says which column it was at; a name with a comma or a colon is taken up to it.
_COPY_COLUMN = re.compile(r"^COPY .*, line \d+, column ([^\n]*?)(?::|$)", re.MULTILINE)


def _translate(exc: BaseException, committing: bool) -> errors.SenseiError:
    text = str(exc).strip()
    if isinstance(exc, (ValueError, UnicodeError)):  # the driver refuses NUL and lone surrogates by itself
        return errors.DataRejected(f"a value can't be sent to PostgreSQL: {text}")
    state = getattr(exc, "pgcode", None) or ""
    lost = isinstance(exc, psycopg2.InterfaceError) or (
        isinstance(exc, (psycopg2.OperationalError, psycopg2.DatabaseError)) and not state
    )
    if lost or state[:2] in RETRYABLE or state in RETRYABLE:
        gone = lost or (state[:2] in ("08", "57") and state != "57014")
        if committing and gone:
            return errors.CommitUnknown(f"the answer to COMMIT was lost: {text}", sqlstate=state)
        return errors.Transient(text or "the connection was lost", sqlstate=state)
    if state == "53100" or _NO_SPACE in text:
        return errors.OutOfSpace(
            f"the server has no space left: {text}",
            hint="free space, then sensei migrations resume ID",
            sqlstate=state,
        )
    diag = getattr(exc, "diag", None)
    if state == "2BP01":
        return errors.Refused(
            getattr(diag, "message_detail", None) or getattr(diag, "message_primary", None) or text,
            hint="drop what hangs on it, or move it off; then give the same command again",
            sqlstate=state,
        )
    if state == "53200":
        return errors.OutOfMemory(
            f"the server has no memory left for this transaction: {text}",
            hint="raise max_locks_per_transaction, or end what else holds locks; then give the same command again",
            sqlstate=state,
        )
    details = {
        key: value
        for key in ("schema_name", "table_name", "column_name", "constraint_name", "context")
        if (value := getattr(diag, key, None))
    }
    if state.startswith(_DATA):
        place = _COPY_COLUMN.search(details.get("context", ""))
        column = details.get("column_name") or (place[1] if place else None)
        said = ": ".join(
            p for p in (getattr(diag, "message_primary", None), getattr(diag, "message_detail", None)) if p
        )
        rejected = errors.DataRejected(
            said or text, sqlstate=state, **({"column": column} if column else {}), **details
        )
        rejected.duplicate = state == "23505"
        return rejected
    if state == "42501":
        return errors.MissingPrivilege(text, hint=getattr(diag, "message_hint", None) or "", sqlstate=state)
    if state in _MISSING:
        return errors.UnknownName(text, sqlstate=state)
    return errors.ServerFailed(text or type(exc).__name__, sqlstate=state, **details)


@contextlib.contextmanager
def translated(side: str, *, committing: bool = False) -> Iterator[None]:
    """Let a driver's errors leave the block as ours."""
    try:
        yield
    except (psycopg2.Error, ValueError, UnicodeError) as exc:
        raise translate(exc, side, committing=committing) from exc


_TOKEN = re.compile(
    r"""'(?:[^']|'')*'            # a string (standard_conforming_strings is pinned)
      | "(?:[^"]|"")*"            # an identifier
      | (\$[^\W\d]*\w*\$).*?\1    # a dollar-quoted string
      | --[^\n]*
      | /\*.*?\*/
      | [?%]""",
    re.VERBOSE | re.DOTALL,
)


@functools.lru_cache(maxsize=512)
def placeholders(sql: str) -> str:
    """Turn each `?` outside of quotes and comments into the driver's `%s`, and double every `%`."""
    return _TOKEN.sub(lambda m: "%s" if m[0] == "?" else m[0].replace("%", "%%"), sql)


class PostgresSession:
    """A connection in autocommit mode: transactions are opened and closed by begin, commit and rollback."""

    def __init__(self, connection: Any, purpose: base.Purpose, application: str) -> None:
        self.connection = connection
        self.purpose = purpose
        self.application = application
        self.version = int(connection.server_version)
        self.mark = secrets.token_hex(16)
        self.backend = 0
        #: Tables whose rows sit in partitions, as far as asked for: see `rows.source_of`.
        self.partitioned: dict[catalog.TableName, bool] = {}
        self.seen: Mapping[catalog.TableName, sight.Sight] = {}
        #: Column -> (type, whether it is never NULL), as far as asked for: see `digests`.
        self.columns: dict[catalog.TableName, dict[str, tuple[str, bool]]] = {}

    @property
    def side(self) -> str:
        return str(self.purpose)

    def cursor(self) -> Any:
        """Return a driver's cursor; raises Transient where the connection is gone."""
        with translated(self.side):
            return self.connection.cursor()

    def _execute(self, cursor: Any, sql: str, params: Sequence[Any]) -> None:
        with translated(self.side, committing=sql == "COMMIT"):
            if params:
                cursor.execute(placeholders(sql), tuple(params))
            else:
                cursor.execute(sql)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        with self.cursor() as cursor:
            self._execute(cursor, sql, params)
            return int(cursor.rowcount)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[base.Row]:
        with self.cursor() as cursor:
            self._execute(cursor, sql, params)
            with translated(self.side):
                return list(cursor.fetchall()) if cursor.description else []

    def begin(self) -> None:
        # A source's transaction sees one state from its first to its last statement; a target's must see what
        # a twin committed while it waited for the twin's lock.
        source = self.purpose is base.Purpose.SOURCE
        self.run(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            if source
            else "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
        )

    def commit(self) -> None:
        if self.connection.closed:
            raise errors.Transient("the connection was lost before COMMIT was sent")
        aborted = psycopg2.extensions.TRANSACTION_STATUS_INERROR
        if self.connection.info.transaction_status == aborted:
            # The server would answer COMMIT with a roll-back and no error.
            self.rollback()
            raise errors.Fault("COMMIT of a transaction in which a statement had failed")
        self.run("COMMIT")

    def rollback(self) -> None:
        try:
            if self.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                self.run("ROLLBACK")
        except (errors.SenseiError, psycopg2.Error):
            self.close()  # its state is unknown; the server rolls back a session that is gone

    def close(self) -> None:
        try:
            self.connection.close()
        except Exception:  # a connection that is already gone is closed
            pass

    def confirm_pinned(self) -> None:
        found = self.rows("SELECT current_setting('sensei.session', true), pg_backend_pid()")[0]
        if (found[0], int(found[1])) != (self.mark, self.backend):
            raise pooled()


def pooled() -> errors.Refused:
    """Return the refusal of a pooler that changes server sessions under us."""
    return errors.Refused(
        "a pooler gives each transaction another server session, so that settings and locks would be lost",
        hint="connect to the server itself, or to a pooler in session mode",
    )


def parameters(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Split a URL into libpq's parameters and session settings; raises BadInput, never showing the URL."""
    head, _, query = url.partition("?")
    # By hand: parse_qsl would read + as a blank, which libpq does not.
    raw = [(part.partition("=")[0], part) for part in query.split("&") if part]
    known = "&".join(part for key, part in raw if key in _LIBPQ)
    try:
        found = dict(psycopg2.extensions.parse_dsn(f"{head}?{known}" if known else head))
    except (psycopg2.Error, UnicodeError):
        # libpq's own words could hold a piece of the password.
        raise errors.BadInput(
            "the URL is not one that PostgreSQL's client library can read",
            hint="postgresql://user@host:5432/database?sslmode=require, special characters written as %XX",
        ) from None
    settings = dict(_SETTABLE) | {
        key: urllib.parse.unquote(part.partition("=")[2]) for key, part in raw if key in _SETTABLE
    }
    found.pop("client_encoding", None)
    defaults = {
        "connect_timeout": "10",
        "keepalives": "1",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
    return defaults | found, settings


def _open(libpq: dict[str, str], side: str) -> Any:
    """Open the bare connection; raises ConnectFailed or Transient, never showing a password."""
    try:
        connection = psycopg2.connect(None, None, None, **libpq, client_encoding="UTF8")
    except (psycopg2.Error, UnicodeError) as exc:
        text = str(exc).strip()
        for secret in (libpq.get("password"), libpq.get("sslpassword")):
            if secret:
                text = text.replace(secret, "***")
        failed: errors.ServerFailed
        if _BUSY_AT_CONNECT.search(text):
            failed = errors.Transient(f"the server takes no connection now: {text}")
        else:
            failed = errors.ConnectFailed(f"no connection to PostgreSQL: {text}", hint=_CONNECT_HINT)
        failed.side = side
        raise failed from None  # the driver's error holds the whole connection string
    connection.autocommit = True
    return connection


def connect(url: str, purpose: base.Purpose, *, application: str = "sensei") -> PostgresSession:
    """Connect and pin; raises ConnectFailed, Transient, Refused (pooler, standby as target, old), BadInput."""
    libpq, settings = parameters(url)
    source = purpose is base.Purpose.SOURCE
    session = PostgresSession(_open(libpq, str(purpose)), purpose, application)
    try:
        if session.version < OLDEST:
            raise errors.Refused(
                f"the server is PostgreSQL {session.version // 10000}, needed is {OLDEST // 10000} or later"
            )
        pins = _PINNED | settings | (_SOURCE if source else _TARGET)
        pins |= {"application_name": application, "sensei.session": session.mark}
        # SET after connecting, not libpq's `options`: poolers drop or refuse those.
        session.run(
            f"SELECT {', '.join(['set_config(?, ?, false)'] * len(pins))}",
            [part for pair in pins.items() for part in pair],
        )
        if not source:
            # Keys and indexes are built in this session; the usual 64 MB makes them sort on disk.
            session.run(
                "SELECT set_config('maintenance_work_mem', '256MB', false)"
                " WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < 268435456"
            )
        read_only, standby, backend, mark = session.rows(
            "SELECT current_setting('transaction_read_only'), pg_is_in_recovery(), pg_backend_pid(),"
            " current_setting('sensei.session', true)"
        )[0]
        session.backend = int(backend)
        if mark != session.mark:
            raise pooled()
        # A pooler gives its clients made-up process numbers for cancelling.
        if session.backend != session.connection.info.backend_pid:
            refuse_pooler(session, libpq)
        if source and read_only != "on":
            raise errors.Refused("the server did not make the source session read only")
        if not source and standby:
            raise errors.Refused(
                "the target is a standby that only reads", hint="name the primary server as the target"
            )
    except BaseException:
        session.close()
        raise
    return session


def refuse_pooler(session: PostgresSession, libpq: dict[str, str]) -> None:
    """Raise Refused where a second connection's transaction makes this one change its server session.

    Only asked where something stands between us and the server: a pooler in session mode passes. One that shares
    sessions between statements ends connections that open a transaction: three in a row are no accident.
    """
    ended = 0
    for _ in range(3):
        session.confirm_pinned()
        other = _open(libpq, session.side)
        try:
            with translated(session.side), other.cursor() as cursor:
                # Given the server session that was freed last, which is ours if it is shared.
                try:
                    cursor.execute("BEGIN")
                except psycopg2.OperationalError:
                    ended += 1
                    if ended < 3:
                        continue
                    raise pooled() from None
                cursor.execute("SELECT pg_backend_pid()")
                (taken,) = cursor.fetchone()
                if int(taken) == session.backend:
                    raise pooled()
                session.confirm_pinned()
                cursor.execute("ROLLBACK")
        finally:
            other.close()
