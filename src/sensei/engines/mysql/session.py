"""One pinned connection to a MariaDB or MySQL server, and the one place where its errors get their meaning."""

from __future__ import annotations

import contextlib
import functools
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pymysql
from pymysql import converters, cursors
from pymysql.constants import CLIENT, FIELD_TYPE, SERVER_STATUS

from sensei import catalog, errors
from sensei.catalog import sight
from sensei.engines import base
from sensei.engines.mysql import address, failures

MARIADB, MYSQL = "mariadb", "mysql"
#: Oldest servers that are spoken to: both enforce CHECK constraints, take expressions as defaults and cast to FLOAT.
OLDEST = {MARIADB: (10, 5), MYSQL: (8, 0, 17)}

#: Everything that could change how a value is rendered, read or compared, or which rows are seen; the first that
#: the server knows of several spellings is taken. Values are SQL.
_PINNED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("time_zone",), "'+00:00'"),
    (("sql_mode",), "'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,"
                    "ALLOW_INVALID_DATES'"),
    (("autocommit",), "1"),
    (("completion_type",), "0"),
    (("sql_notes",), "1"),  # a rounded decimal is told by a note only
    (("max_error_count",), "65535"),  # as many as there can be: each is looked at where columns are computed
    (("sql_select_limit",), "18446744073709551615"),
    (("sql_big_selects",), "1"),
    (("sql_safe_updates",), "0"),
    (("sql_auto_is_null",), "0"),
    (("sql_quote_show_create",), "1"),
    (("div_precision_increment",), "4"),
    (("lc_time_names",), "'en_US'"),
    (("old_mode",), "''"),
    (("foreign_key_checks",), "1"),
    (("unique_checks",), "1"),
    (("group_concat_max_len",), "1073741824"),
    # The other side of a copy may be slow without being gone.
    (("net_read_timeout",), "3600"),
    (("net_write_timeout",), "3600"),
    (("wait_timeout",), "86400"),
)  # fmt: skip
#: Settings that some versions refuse to an ordinary account; nothing depends on them where definitions are explicit.
_WISHED = (("explicit_defaults_for_timestamp", "1"), ("innodb_strict_mode", "1"))

#: Numbers become Python's; whatever Python's types can't hold (zero dates, long durations) stays text.
_DECODERS: dict[int, Any] = {
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.INT24), int),
    FIELD_TYPE.YEAR: int,
    FIELD_TYPE.FLOAT: float,
    FIELD_TYPE.DOUBLE: float,
    **{t: converters.decoders[t] for t in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL)},
}
_CONVERSIONS: dict[Any, Any] = {**converters.encoders, **_DECODERS}


_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'
      | "(?:[^"\\]|\\.|"")*"
      | `(?:[^`]|``)*`
      | (?:\#|--(?=\s))[^\n]*
      | /\*.*?\*/
      | [?%]""",
    re.VERBOSE | re.DOTALL,
)


@functools.lru_cache(maxsize=512)
def placeholders(sql: str) -> str:
    """Turn each `?` outside of quotes and comments into the driver's `%s`, and double every `%`."""
    return _TOKEN.sub(lambda m: "%s" if m[0] == "?" else m[0].replace("%", "%%"), sql)


class MysqlSession:
    """A connection in autocommit mode: transactions are opened and closed by begin, commit and rollback."""

    def __init__(self, where: address.Address, purpose: base.Purpose, application: str) -> None:
        self.connection = _open(where, application, str(purpose))
        self.purpose = purpose
        self.application = application
        self.database = where.database
        self._where = where
        self.mark = secrets.token_hex(16)
        self.number = 0
        self.flavour, self.version = flavour(str(self.rows("SELECT VERSION()")[0][0]))
        #: Whether the server takes LOAD DATA LOCAL.
        self.local_infile = False
        #: Bytes of the largest statement or value that the server takes.
        self.max_packet = 0
        self.in_transaction = False
        #: A statement of this transaction failed so that the server may have ended it.
        self.broken = False
        #: What rows.py found out about tables, for as long as this session lives.
        self.known: dict[Any, Any] = {}
        self.seen: Mapping[catalog.TableName, sight.Sight] = {}

    @property
    def side(self) -> str:
        return str(self.purpose)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        with self.executed(sql, params) as cursor:
            return int(cursor.rowcount)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[base.Row]:
        with self.executed(sql, params) as cursor:
            return list(cursor.fetchall()) if cursor.description else []

    @contextlib.contextmanager
    def translated(self, *, committing: bool = False) -> Iterator[None]:
        """Let a driver's errors leave the block as ours."""
        try:
            with failures.translated(self.side, committing=committing):
                yield
        except errors.Transient:
            # A deadlock has ended the transaction on the server, and the answer does not say so.
            self.broken = self.in_transaction
            raise

    @contextlib.contextmanager
    def executed(self, sql: str, params: Sequence[Any] = ()) -> Iterator[cursors.Cursor]:
        """Execute and yield the driver's cursor."""
        with self.translated(committing=sql == "COMMIT"):
            cursor = self.connection.cursor()
            try:
                if params:
                    cursor.execute(placeholders(sql), tuple(params))
                else:
                    cursor.execute(sql)
            except UnicodeDecodeError:
                self.close()  # the rest of the answer is still on the wire
                raise
        yield cursor

    def begin(self) -> None:
        # A source's transaction sees one state from its first to its last statement.
        source = self.purpose is base.Purpose.SOURCE
        self.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" if source else "START TRANSACTION READ WRITE")
        self.in_transaction, self.broken = True, False

    def commit(self) -> None:
        if not self.connection.open:
            raise errors.Transient("the connection was lost before COMMIT was sent")
        if self.broken or not self.connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            self.rollback()
            raise errors.Fault("COMMIT of a transaction that a statement in it had ended: DDL, or a deadlock")
        self.run("COMMIT")
        self.in_transaction = False

    def rollback(self) -> None:
        self.in_transaction = self.broken = False
        try:
            if self.connection.open:
                self.run("ROLLBACK")
        except (errors.SenseiError, pymysql.MySQLError):
            self.close()  # its state is unknown; the server rolls back a session that is gone

    def close(self) -> None:
        try:
            self.connection.close()
        except Exception:  # a connection that is already gone is closed
            pass

    def interrupt(self) -> None:
        """End the statement that runs in this session, from beside it."""
        other = _open(self._where, self.application, self.side)
        try:
            with self.translated(), other.cursor() as cursor:
                cursor.execute(f"KILL QUERY {self.number}")
        finally:
            other.close()

    def confirm_pinned(self) -> None:
        found = self.rows("SELECT @sensei_session, CONNECTION_ID()")[0]
        if (found[0], int(found[1])) != (self.mark, self.number):
            raise pooled()


def flavour(version: str) -> tuple[str, tuple[int, ...]]:
    """Return which of the two servers a version() is of, and the version in numbers."""
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        raise errors.Refused(f"the server's version {version!r} can't be read")
    return (MARIADB if "mariadb" in version.lower() else MYSQL), tuple(map(int, found.groups()))


def pooled() -> errors.Refused:
    """Return the refusal of a proxy that changes server sessions under us."""
    return errors.Refused(
        "a proxy gives each statement or transaction another server session, so that settings and locks would be lost",
        hint="connect to the server itself, or let the proxy pin a session to a connection",
    )


def _open(where: address.Address, application: str, side: str) -> Any:
    """Open the bare connection; raises ConnectFailed or Transient, never showing a password."""
    try:
        connection = pymysql.connect(
            **where.arguments,
            charset="utf8mb4",
            autocommit=True,
            local_infile=True,  # for `load`, which sends only what it was asked for
            client_flag=CLIENT.FOUND_ROWS,  # rows matched, as every other engine counts
            conv=_CONVERSIONS,
            program_name=application,
        )
    except (pymysql.MySQLError, OSError, ValueError) as exc:
        text = str(exc.args[1] if len(exc.args) > 1 else exc).strip()
        for secret in where.secrets:
            text = text.replace(secret, "***")
        failed: errors.ServerFailed
        if failures.number(exc) in (1040, 1203, 1053):
            failed = errors.Transient(f"the server takes no connection now: {text}")
        else:
            failed = errors.ConnectFailed(
                f"no connection to the MariaDB or MySQL server: {text}",
                hint="see that the server runs and takes connections from here, and that address, database, user and"
                " password are right; then run the same command again",
            )
        failed.side = side
        raise failed from None  # the driver's error could hold what is not to be shown
    _keep_alive(connection)
    return connection


def _keep_alive(connection: Any) -> None:
    """Find a peer whose machine is gone within a minute, rather than in the hours of the kernel's default."""
    with contextlib.suppress(OSError, AttributeError):  # a Unix socket, or a system without these
        for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                connection._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def connect(url: str, purpose: base.Purpose, *, application: str = "sensei") -> MysqlSession:
    """Connect and pin; raises ConnectFailed, Transient, Refused (proxy, read-only target, old), BadInput."""
    where = address.parse(url)
    session = MysqlSession(where, purpose, application)
    try:
        if session.version < OLDEST[session.flavour]:
            raise errors.Refused(
                f"the server is {session.flavour} {'.'.join(map(str, session.version))}, needed is"
                f" {'.'.join(map(str, OLDEST[session.flavour]))} or later"
            )
        _pin(session, where)
        _look(session)
        # A proxy gives its clients numbers of its own.
        if session.number != session.connection.thread_id():
            _refuse_pooler(session, where)
    except BaseException:
        session.close()
        raise
    return session


def _pin(session: MysqlSession, where: address.Address) -> None:
    known = {str(name).lower() for name, _ in session.rows("SHOW SESSION VARIABLES")}
    pins = {next((n for n in names if n in known), names[0]): value for names, value in _PINNED}
    if "old_mode" not in known:
        del pins["old_mode"]
    lock, statement = where.timeouts["lock_wait_timeout"], where.timeouts["statement_timeout"]
    pins["lock_wait_timeout"] = pins["innodb_lock_wait_timeout"] = str(max(lock, 1))
    if session.flavour == MARIADB:
        pins["max_statement_time"] = str(statement)
    else:
        pins["max_execution_time"] = str(statement * 1000)
        pins["information_schema_stats_expiry"] = "0"  # else positions and times may be told from memory, a day old
    session.run("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
    session.run(
        ", ".join([f"SET @sensei_session = '{session.mark}'", *(f"SESSION {n} = {v}" for n, v in pins.items())])
    )
    for name, value in _WISHED:
        with contextlib.suppress(errors.SenseiError):
            session.run(f"SET SESSION {name} = {value}")
    source = session.purpose is base.Purpose.SOURCE
    # A target's transaction must see what a twin committed while it waited for the twin's lock. Under a binary log of
    # statements InnoDB takes writes only from REPEATABLE READ on: there the first read, which waits, sees it.
    logged = session.rows("SELECT @@log_bin, @@binlog_format")[0]
    repeatable = source or (logged[0] and logged[1] == "STATEMENT")
    session.run(
        f"SET SESSION TRANSACTION ISOLATION LEVEL {'REPEATABLE READ' if repeatable else 'READ COMMITTED'},"
        f" {'READ ONLY' if source else 'READ WRITE'}"
    )


def _look(session: MysqlSession) -> None:
    """Ask what the server did with our wishes, and what it takes."""
    read_only = "tx_read_only" if session.flavour == MARIADB and session.version < (11, 1) else "transaction_read_only"
    mark, thread, reads, standby, infile, packet = session.rows(
        f"SELECT @sensei_session, CONNECTION_ID(), @@session.{read_only}, @@global.read_only, @@global.local_infile,"
        " @@session.max_allowed_packet"
    )[0]
    if mark != session.mark:
        raise pooled()
    session.number = int(thread)
    session.local_infile = bool(int(infile))
    session.max_packet = int(packet)
    source = session.purpose is base.Purpose.SOURCE
    if source and not int(reads):
        raise errors.Refused("the server did not make the source session read only")
    if not source and str(standby).upper() not in ("0", "OFF", "NO_LOCK"):
        raise errors.Refused(
            "the target is set to read_only, as replicas are", hint="name the primary server as the target"
        )


def _refuse_pooler(session: MysqlSession, where: address.Address) -> None:
    """Raise Refused where a second connection's transaction makes this one change its server session."""
    for _ in range(3):
        session.confirm_pinned()
        other = _open(where, session.application, session.side)
        try:
            with failures.translated(session.side), other.cursor() as cursor:
                cursor.execute("START TRANSACTION")
                cursor.execute("SELECT CONNECTION_ID()")
                taken = cursor.fetchone()
                if taken is None or int(taken[0]) == session.number:
                    raise pooled()
            session.confirm_pinned()
        finally:
            other.close()
