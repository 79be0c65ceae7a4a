"""Whether somebody wrote to tables since a moment, as far as the server can tell: never too few tables."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.mysql import facts

#: Seconds by which clock and uptime may drift apart before the clock counts as set.
DRIFT = 2
#: Marks that are taken before one stands in whose second a table was written.
WAITS = 3
#: How long a transaction is taken to stay open at most, in seconds, where the account may not see which ones are.
LONGEST = 3600

#: Engines that keep the time of the last write in a file; InnoDB keeps it in memory, and forgets.
_FILES = frozenset({"myisam", "aria", "csv", "archive"})


def marker(session: base.Session) -> str:
    """Return the server's clock and uptime, and when each table of the session's database was last written, as JSON.

    InnoDB calls by that name when the last transaction to commit had begun. One that is open now and commits later
    gives its tables a time before this mark: `oldest` is the begin of the oldest one, null where there is none, and
    false where the account lacks the privilege (PROCESS) to be told. Then the times of the tables tell.

    Times are whole seconds. A table that was written in the second of the mark would be a suspect for ever, so the mark
    waits for the next one, a few times at most: who writes all the time is a suspect rightly.
    """
    for _ in range(WAITS):
        mark, latest = _mark(session)
        if latest < mark["now"]:
            break
        ((now,),) = session.rows("SELECT UNIX_TIMESTAMP(NOW(3))")
        time.sleep(max(0.0, min(1.01, mark["now"] + 1.01 - float(now))))
    return json.dumps(mark, ensure_ascii=False)


def _mark(session: base.Session) -> tuple[dict[str, Any], int]:
    """Return a mark of this moment, and the latest second in which a table of the database was made or written."""
    now, up = _clock(session)
    oldest: int | bool | None
    try:
        ((begun,),) = session.rows(
            "SELECT MIN(UNIX_TIMESTAMP(trx_started)) FROM information_schema.INNODB_TRX WHERE trx_is_read_only = 0"
        )
        oldest = None if begun is None else int(begun)
    except errors.MissingPrivilege:
        oldest = False
    found = session.rows(
        "SELECT TABLE_NAME, UNIX_TIMESTAMP(UPDATE_TIME), UNIX_TIMESTAMP(CREATE_TIME) FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'",
        [facts.own(session).database],
    )
    written = {str(name): int(at) for name, at, _ in found if at is not None}
    latest = max((int(at) for _, *times in found for at in times if at is not None), default=0)
    return {"now": now, "up": up, "oldest": oldest, "written": written}, latest


def _clock(session: base.Session) -> tuple[int, int]:
    ((now,),) = session.rows("SELECT UNIX_TIMESTAMP()")
    return int(now), _status(session)["uptime"]


def _status(session: base.Session) -> dict[str, int]:
    return {
        str(name).lower(): int(value)
        for name, value in session.rows(
            "SHOW GLOBAL STATUS WHERE Variable_name IN"
            " ('Uptime', 'Uptime_since_flush_status', 'Opened_table_definitions')"
        )
    }


def suspects(session: base.Session, marked: str, tables: Sequence[catalog.TableName]) -> list[catalog.TableName]:
    """Return the tables that may have been written since; all of them where the server or its clock was set anew."""
    then = json.loads(marked)
    if not _same_clock(session, then):
        return list(tables)
    remembers = _remembers(session)
    oldest = then["oldest"]
    if oldest is False:
        oldest = then["now"] - LONGEST
    since = then["now"] if oldest is None else min(oldest, then["now"])
    found = _written(session, tables)
    suspicious = []
    for table in tables:
        known = found.get(table)
        if known is None:
            suspicious.append(table)  # gone, or not ours to see
            continue
        engine, made, written = known
        if made is None or made >= then["now"]:
            suspicious.append(table)  # made, altered or renamed since
        elif written is None:
            if engine != "innodb" or not remembers or _changed(session, then, table, None):
                suspicious.append(table)
        elif written >= since or engine not in _FILES | {"innodb"} or _changed(session, then, table, written):
            suspicious.append(table)
    return suspicious


def certain(session: base.Session, marked: str, tables: Sequence[catalog.TableName]) -> list[catalog.TableName]:
    """Return the tables that were written since beyond doubt."""
    then = json.loads(marked)
    if not _same_clock(session, then):
        return []
    found = _written(session, tables)
    written = {t: at for t, (_, _, at) in found.items() if at is not None}
    return [t for t in tables if t in written and (written[t] > then["now"] or _changed(session, then, t, written[t]))]


def _changed(session: base.Session, then: dict[str, Any], table: catalog.TableName, written: int | None) -> bool:
    """Tell whether a table's time is another than at the mark, whichever of them is the later one.

    Of other databases than the session's nothing was noted.
    """
    if table.schema not in ("", facts.own(session).database):
        return False
    before: dict[str, int] = then["written"]
    return before.get(table.name) != written


def _same_clock(session: base.Session, then: dict[str, Any]) -> bool:
    """Tell whether this is still the same run of the server, and its clock was not set since."""
    now, up = _clock(session)
    return bool(up >= then["up"] and abs((now - then["now"]) - (up - then["up"])) <= DRIFT)


def _remembers(session: base.Session) -> bool:
    """Tell whether InnoDB can't have forgotten when a table was written.

    It forgets tables that it closes, and it closes some once more than table_definition_cache were opened. Tables that
    it opens by itself, for foreign keys, are not in the count: a part of the room is left to them.
    """
    status = _status(session)
    room = int(session.rows("SELECT @@table_definition_cache")[0][0])
    counted_from_start = status.get("uptime_since_flush_status", -1) >= status["uptime"] - DRIFT
    return counted_from_start and status.get("opened_table_definitions", room) * 2 < room


def _written(
    session: base.Session, tables: Sequence[catalog.TableName]
) -> dict[catalog.TableName, tuple[str, int | None, int | None]]:
    """Return (engine, when it was made, when it was written last) of tables, in seconds."""
    result = {}
    home = facts.own(session).database
    by_schema = itertools.groupby(sorted(tables), key=lambda t: t.schema)
    for schema, group in by_schema:
        wanted = {t.name for t in group}
        for name, engine, made, written in session.rows(
            "SELECT TABLE_NAME, ENGINE, UNIX_TIMESTAMP(CREATE_TIME), UNIX_TIMESTAMP(UPDATE_TIME)"
            " FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?"
            + (" AND TABLE_NAME = ?" if len(wanted) == 1 else ""),
            [schema or home, *(wanted if len(wanted) == 1 else ())],
        ):
            if str(name) in wanted:
                result[catalog.TableName(schema, str(name))] = (
                    str(engine or "").lower(),
                    None if made is None else int(made),
                    None if written is None else int(written),
                )
    return result
