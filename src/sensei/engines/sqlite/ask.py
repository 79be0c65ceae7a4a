"""Questions that somebody else wrote, put to an SQLite file that is open for reading only."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import apsw

from sensei import errors
from sensei.catalog import types
from sensei.engines import asking, base
from sensei.engines.sqlite import session as sessions

#: "SCAN o USING COVERING INDEX i", "SEARCH orders USING INDEX orders_customer (customer=?)",
#: "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH t USING AUTOMATIC COVERING INDEX (a=?)"
_DETAIL = re.compile(
    r"(?P<how>SCAN|SEARCH) (?P<name>.+?)"
    r"(?: USING (?:(?P<key>INTEGER PRIMARY KEY|PRIMARY KEY)|(?P<auto>AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?"
    r"INDEX(?: (?P<index>(?!\().+?))?))?(?: \((?P<cond>.*)\))?(?: LEFT-JOIN)?$",
    re.DOTALL,
)
#: Virtual machine's instructions between two looks at the clock.
_STEPS = 20_000


class Ask:
    """The file is opened read only; a question that takes too long is interrupted from within."""

    dialect = "sqlite"

    def __init__(self) -> None:
        self._seconds = 60.0

    def computed(self, sql: str, of: types.LogicalType, native: str) -> str:
        # A value has its own class here, and is rendered as what it should mean, or rejected, like any other.
        return f"({sql}\n)"

    def prepare(self, session: base.Session, schemas: Sequence[str], seconds: float) -> None:
        self._seconds = seconds

    def answer(self, session: base.Session, sql: str, keep: int) -> asking.Answer:
        rows: list[base.Row] = []
        count = 0
        try:
            with _limited(session, self._seconds) as cursor:
                for row in cursor.execute(sql):
                    if count < keep:
                        rows.append(row)
                    count += 1
        except errors.SenseiError as error:
            return asking.Answer(error=_refused(error, self._seconds))
        return asking.Answer(tuple(rows), count)

    def time(self, session: base.Session, sql: str, is_large: bool) -> float | None:
        began = time.perf_counter()
        try:
            with _limited(session, self._seconds) as cursor:
                for n, _ in enumerate(cursor.execute(sql), 1):
                    if n == asking.BLOCK:
                        break
                spent = time.perf_counter() - began
        except errors.SenseiError as error:
            _refused(error, self._seconds)
            return None
        return spent

    def accesses(self, session: base.Session, sql: str) -> list[asking.Access]:
        found = []
        for row in session.rows(f"EXPLAIN QUERY PLAN {sql}"):
            match = _DETAIL.match(str(row[3]))
            if match is None or match["name"].startswith(("SUBQUERY", "CONSTANT ROW", "(")):
                continue
            way = "scan" if match["how"] == "SCAN" or match["auto"] else "key" if match["key"] else "index"
            found.append(asking.Access(match["name"], way, "" if match["auto"] else match["index"] or ""))
        return found

    def statements(self, session: base.Session, limit: int) -> list[asking.Statement]:
        raise errors.NotYet(
            "SQLite keeps no records of the statements that ran",
            hint="name a file of queries under validation.workload",
        )


@contextlib.contextmanager
def _limited(session: base.Session, seconds: float) -> Iterator[Any]:
    db = cast(sessions.SqliteSession, session).db
    ends = time.monotonic() + seconds
    db.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
    cursor = db.cursor()
    try:
        yield cursor
    except apsw.InterruptError as error:
        raise errors.NotYet("") from error  # told in `_refused`
    except (apsw.Error, ValueError, OverflowError) as error:
        raise sessions.translate(error, session.purpose) from error  # type: ignore[attr-defined]
    finally:
        cursor.close(True)
        db.set_progress_handler(None)


def _refused(error: errors.SenseiError, seconds: float) -> str:
    """Return why a question was refused; raises the error where it was not the question's fault."""
    if isinstance(error, errors.NotYet):
        return f"it was given up after {seconds:.0f} s"
    if isinstance(error, errors.Transient | errors.OutOfSpace | errors.ConnectFailed):
        raise error
    return error.message.split("\n")[0]
