"""Questions that somebody else wrote, put to PostgreSQL in transactions that only read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sensei import errors
from sensei.catalog import types
from sensei.engines import asking, base
from sensei.engines.postgres import ddl

_CURSOR = "sensei_question"
_CANCELLED = "57014"
#: What this house itself asks of tables, to sum up their rows.
_OWN = r"""'md5\((string_agg\(l|l\) AS h)|FROM ONLY "|pg_catalog|sensei'"""
_SCANS = frozenset({"Seq Scan", "Sample Scan"})


class Ask:
    """Each question has a transaction of its own, READ ONLY, and a cursor, so that memory holds a block of rows."""

    dialect = "postgres"

    def computed(self, sql: str, of: types.LogicalType, native: str) -> str:
        return f"(({sql}\n)::{native})"

    def prepare(self, session: base.Session, schemas: Sequence[str], seconds: float) -> None:
        path = ", ".join(ddl.quote(s) for s in schemas if s)
        for sql in (
            f"SET search_path = {path or 'public'}",
            f"SET statement_timeout = {max(1, int(seconds * 1000))}",
            # Planned as the application's queries are: not for their first rows, not kept to one worker.
            "SET cursor_tuple_fraction = 1",
            "RESET max_parallel_workers_per_gather",
            "RESET jit",
        ):
            session.run(sql)

    def answer(self, session: base.Session, sql: str, keep: int) -> asking.Answer:
        began = time.monotonic()
        try:
            return asking.counted(_blocks(session, sql, 1000), keep)
        except errors.SenseiError as error:
            return asking.Answer(error=_refused(error, time.monotonic() - began))

    def time(self, session: base.Session, sql: str, is_large: bool) -> float | None:
        try:
            with _reading(session):
                began = time.perf_counter()
                if is_large:
                    # One message to the server; a cursor is never planned for several workers.
                    session.rows(f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {sql}; FETCH {asking.BLOCK} FROM {_CURSOR}")
                else:
                    session.run(sql)  # the driver holds the rows and makes no values of them
                return time.perf_counter() - began
        except errors.SenseiError as error:
            _refused(error, 0)
            return None

    def accesses(self, session: base.Session, sql: str) -> list[asking.Access]:
        with _reading(session):
            found = session.rows(f"EXPLAIN (FORMAT JSON) {sql}")[0][0]
        plan = json.loads(found) if isinstance(found, str) else found
        return list(_walk(plan[0]["Plan"]))

    def statements(self, session: base.Session, limit: int) -> list[asking.Statement]:
        place = session.rows(
            "SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'pg_stat_statements'"
        )
        if not place:
            raise errors.NotYet(
                "PostgreSQL keeps no statistics of its statements: the extension pg_stat_statements is not installed",
                hint="name a file of queries under validation.workload, or install the extension and let the"
                " application run for a while",
            )
        view = f"{ddl.quote(str(place[0][0]))}.pg_stat_statements"
        found = session.rows(
            f"SELECT query, calls FROM {view} s JOIN pg_catalog.pg_database d ON d.oid = s.dbid"
            " WHERE d.datname = current_database() AND query ~* '^\\s*(select|with)\\M'"
            f" AND query !~ {_OWN}"
            " ORDER BY calls DESC, query LIMIT ?",
            [limit],
        )
        return [asking.Statement(str(q), int(n)) for q, n in found]


class _reading:
    """A transaction that the server keeps from writing, and that always ends by being rolled back."""

    def __init__(self, session: base.Session) -> None:
        self.session = session

    def __enter__(self) -> None:
        self.session.run("BEGIN TRANSACTION READ ONLY")

    def __exit__(self, *exc: object) -> None:
        self.session.rollback()


def _blocks(session: base.Session, sql: str, size: int) -> Iterator[list[base.Row]]:
    with _reading(session):
        session.run(f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {sql}")
        while block := session.rows(f"FETCH {size} FROM {_CURSOR}"):
            yield block


def _refused(error: errors.SenseiError, seconds: float) -> str:
    """Return why the server refused a question; raises the error where it was not the question's fault."""
    if isinstance(error, errors.Transient):
        if error.details.get("sqlstate") == _CANCELLED:
            return f"it was given up after {seconds:.0f} s"
        raise error
    if isinstance(error, errors.OutOfSpace | errors.ConnectFailed | errors.TakenOver | errors.Paused):
        raise error
    return error.message.split("\n")[0]


def _walk(node: Mapping[str, Any]) -> Iterator[asking.Access]:
    kind = str(node["Node Type"])
    alias = str(node.get("Alias", ""))
    rows = float(node.get("Plan Rows", 0))
    if kind in _SCANS:
        yield asking.Access(alias, "scan", rows=rows)
    elif kind in ("Index Scan", "Index Only Scan"):
        # Without a condition an index is walked through from its start to its end.
        way = "index" if "Index Cond" in node else "scan"
        yield asking.Access(alias, way, str(node["Index Name"]), rows)
    elif kind == "Bitmap Heap Scan":
        yield asking.Access(alias, "index", next(_bitmaps(node), ""), rows)
        return
    for below in node.get("Plans", ()):
        yield from _walk(below)


def _bitmaps(node: Mapping[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Bitmap Index Scan":
        yield str(node["Index Name"])
    for below in node.get("Plans", ()):
        yield from _bitmaps(below)
