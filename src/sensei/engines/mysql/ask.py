"""Questions that somebody else wrote, put to MariaDB or MySQL in transactions that only read."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pymysql
from pymysql import cursors

from sensei import errors
from sensei.catalog import types
from sensei.engines import asking, base
from sensei.engines.mysql import names
from sensei.engines.mysql import session as sessions

#: A statement's own time is over (MariaDB, MySQL), or somebody ended it.
_LATE = frozenset({1969, 3024, 1317})
_SCANS = frozenset({"all", "index", "fulltext"})  # "index" walks through a whole index


#: Kinds whose cast has no length.
_CASTS = {types.Kind.TEXT: "CHAR CHARACTER SET utf8mb4", types.Kind.DATE: "DATE", types.Kind.BYTES: "BINARY"}


class Ask:
    """Each question has a transaction of its own, READ ONLY; rows are fetched as they come."""

    dialect = "mysql"

    def computed(self, sql: str, of: types.LogicalType, native: str) -> str:
        to = _CASTS.get(of.kind)
        if of.kind is types.Kind.DECIMAL:
            if of.precision is None:
                return f"({sql}\n)"
            to = f"DECIMAL({of.precision},{of.scale or 0})"
        elif of.kind is types.Kind.FLOAT:
            to = "FLOAT" if of.bits == 32 else "DOUBLE"
        elif of.kind in (types.Kind.TIME, types.Kind.TIMESTAMP, types.Kind.TIMESTAMPTZ):
            to = (
                f"{'TIME' if of.kind is types.Kind.TIME else 'DATETIME'}({6 if of.precision is None else of.precision})"
            )
        # Whole numbers stay as they are: a cast would round them.
        return f"CAST(({sql}\n) AS {to})" if to else f"({sql}\n)"

    def prepare(self, session: base.Session, schemas: Sequence[str], seconds: float) -> None:
        ours = cast(sessions.MysqlSession, session)
        for schema in schemas[:1]:
            session.run(f"USE {names.quote(schema)}")
        if ours.flavour == sessions.MARIADB:
            session.run(f"SET SESSION max_statement_time = {seconds:.3f}")
        else:
            session.run(f"SET SESSION max_execution_time = {max(1, int(seconds * 1000))}")

    def answer(self, session: base.Session, sql: str, keep: int) -> asking.Answer:
        began = time.monotonic()
        try:
            with _cursor(session) as cursor:
                cursor.execute(sql)
                return asking.counted(_blocks(cursor), keep)
        except errors.SenseiError as error:
            return asking.Answer(error=_refused(error, time.monotonic() - began))

    def time(self, session: base.Session, sql: str, is_large: bool) -> float | None:
        try:
            with _cursor(session) as cursor:
                began = time.perf_counter()
                cursor.execute(sql)
                cursor.fetchmany(asking.BLOCK)
                spent = time.perf_counter() - began
        except errors.SenseiError as error:
            _refused(error, 0)
            return None
        return spent

    def accesses(self, session: base.Session, sql: str) -> list[asking.Access]:
        found = json.loads(str(session.rows(f"EXPLAIN FORMAT=JSON {sql}")[0][0]))
        return list(_walk(found))

    def statements(self, session: base.Session, limit: int) -> list[asking.Statement]:
        held = session.rows("SELECT @@global.general_log, @@global.log_output")[0]
        if int(held[0]) and "TABLE" in str(held[1]).upper():
            return _logged(session, limit)
        if cast(sessions.MysqlSession, session).flavour == sessions.MYSQL:
            found = session.rows(
                "SELECT query_sample_text, count_star, schema_name"
                " FROM performance_schema.events_statements_summary_by_digest"
                " WHERE schema_name = DATABASE() AND query_sample_text IS NOT NULL"
                " AND query_sample_text REGEXP '^[[:space:]]*(select|with)[[:space:]]'"
                f" ORDER BY count_star DESC, digest LIMIT {limit:d}"
            )
            return [asking.Statement(str(q), int(n), str(s)) for q, n, s in found]
        raise errors.NotYet(
            "the server keeps no records of the statements that ran",
            hint="name a file of queries under validation.workload, or SET GLOBAL log_output = 'TABLE' and"
            " SET GLOBAL general_log = 1 while the application runs for a while",
        )


def _logged(session: base.Session, limit: int) -> list[asking.Statement]:
    """Return what the general log holds; it has no schema, so only what reads this one is of use."""
    found = session.rows(
        "SELECT CONVERT(argument USING utf8mb4), count(*) FROM mysql.general_log"
        " WHERE command_type IN ('Query', 'Execute')"
        " AND argument REGEXP '^[[:space:]]*(select|with)[[:space:]]'"
        # This house's own sessions, this one included, begin by marking themselves.
        " AND thread_id NOT IN"
        " (SELECT thread_id FROM mysql.general_log WHERE argument LIKE 'SET @sensei\\_session = %')"
        f" GROUP BY argument ORDER BY count(*) DESC, argument LIMIT {limit:d}"
    )
    return [asking.Statement(str(q), int(n)) for q, n in found]


def _blocks(cursor: Any) -> Iterator[Sequence[base.Row]]:
    while block := cursor.fetchmany(1000):
        yield block


@contextlib.contextmanager
def _cursor(session: base.Session) -> Iterator[Any]:
    ours = cast(sessions.MysqlSession, session)
    ours.run("START TRANSACTION READ ONLY")
    try:
        with ours.translated():
            cursor = ours.connection.cursor(cursors.SSCursor)
            try:
                yield cursor
            finally:
                with contextlib.suppress(pymysql.MySQLError):  # it reads what is left, which may be an error, too
                    cursor.close()
    finally:
        ours.rollback()


def _refused(error: errors.SenseiError, seconds: float) -> str:
    """Return why the server refused a question; raises the error where it was not the question's fault."""
    if isinstance(error, errors.Transient):
        if error.details.get("errno") in _LATE or "max_statement_time" in error.message:
            return f"it was given up after {seconds:.0f} s"
        raise error
    if isinstance(error, errors.OutOfSpace | errors.ConnectFailed | errors.TakenOver | errors.Paused):
        raise error
    return error.message.split("\n")[0]


def _walk(node: Any) -> Iterator[asking.Access]:
    """Yield tables as they come in the document, which is the order of the joins."""
    if isinstance(node, list):
        for part in node:
            yield from _walk(part)
    elif isinstance(node, dict):
        if "table_name" in node and "access_type" in node:
            yield _access(node)
        for key, part in node.items():
            if key != "table_name":
                yield from _walk(part)


def _access(node: Mapping[str, Any]) -> asking.Access:
    way, key = str(node["access_type"]).lower(), str(node.get("key", ""))
    rows = node.get("rows", node.get("rows_examined_per_scan"))
    kind = "scan" if way in _SCANS else "key" if key == "PRIMARY" else "index"
    return asking.Access(str(node["table_name"]), kind, key, None if rows is None else float(rows))
