"""Every extreme value arrives as it is, or its row is in quarantine with key, reason and value; nothing is silent."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import extreme_values
import pytest

import fix_postgres
import fix_sensei
import moves
import reader
import servers


def _name(native: str) -> str:
    return "v_" + re.sub(r"\W+", "_", native).strip("_").lower()


def _fill_postgres(db: servers.Database, values: Mapping[str, Iterable[Any]]) -> None:
    connection = db.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public")
        for native, extremes in values.items():
            cursor.execute(f"CREATE TABLE {_name(native)} (id integer PRIMARY KEY, v {native})")
            for n, value in enumerate(extremes):
                cursor.execute(f"INSERT INTO {_name(native)} VALUES (%s, %s::{native})", [n, value])
    connection.commit()
    connection.close()


def _fill_sqlite(path: Path, values: Mapping[str, Iterable[Any]]) -> None:
    connection = sqlite3.connect(path)
    for native, extremes in values.items():
        connection.execute(f"CREATE TABLE {_name(native)} (id INTEGER PRIMARY KEY, v {native})")
        connection.executemany(f"INSERT INTO {_name(native)} VALUES (?, ?)", list(enumerate(extremes)))
    connection.commit()
    connection.close()


def _forget(end: moves.End, table: str, ids: Iterable[int]) -> None:
    """Take rows out of a source, after the migration, so that the rest can be compared."""
    wanted = ", ".join(map(str, ids))
    if isinstance(end, servers.Database):
        end.execute(f"DELETE FROM public.{table} WHERE id IN ({wanted})")
        return
    connection = sqlite3.connect(end)
    connection.execute(f"DELETE FROM {table} WHERE id IN ({wanted})")
    connection.commit()
    connection.close()


def _quarantined(move: moves.Move) -> dict[str, dict[int, dict[str, Any]]]:
    """Rows in quarantine by bare table name and id."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in move.quarantine():
        found.setdefault(row["table"].rpartition(".")[2], {})[int(row["key"]["id"])] = row
    return found


def _all_else_is_equal(move: moves.Move, natives: Iterable[str], quarantined: Mapping[str, Mapping[int, Any]]) -> None:
    differences = []
    for native in natives:
        table = _name(native)
        if quarantined.get(table):
            _forget(move.source, table, quarantined[table])
        differences += [
            f"{native}: {d}" for d in reader.compare_tables(move.source, table, move.target, table, key=["id"])
        ]
    assert differences == []


#: Extreme values of PostgreSQL that SQLite has no place for, by type.
NO_PLACE_IN_SQLITE = {
    "numeric(10,2)": {"NaN"},
    "double precision": {"NaN", "-0"},
    "real": {"NaN", "-0"},
}


@pytest.mark.parametrize("target_engine", ["postgres", "sqlite"])
def test_extreme_values_of_postgresql_arrive_exactly_or_are_in_quarantine(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path, target_engine: str
) -> None:
    source = make_pg_db()
    source.set_defaults(servers.AWKWARD_DEFAULTS)
    _fill_postgres(source, extreme_values.POSTGRES)
    target: moves.End = tmp_path / "target.db"
    if target_engine == "postgres":
        target = make_pg_db()
        target.set_defaults(servers.AWKWARD_DEFAULTS)
    move = moves.plan_move(sensei, source, target)
    assert move.left() == []
    move.start()

    expected = {} if target_engine == "postgres" else {
        _name(native): {n for n, v in enumerate(extreme_values.POSTGRES[native]) if v in bad}
        for native, bad in NO_PLACE_IN_SQLITE.items()
    }  # fmt: skip
    found = _quarantined(move)
    assert {t: set(rows) for t, rows in found.items()} == expected
    for native, bad in NO_PLACE_IN_SQLITE.items() if expected else ():
        for row in found[_name(native)].values():
            assert row["reason"]
            assert row["row"]["v"] in bad
        assert any(r["table"] == f"public.{_name(native)}" and r["column"] == "v" for r in move.plan["risks"])
    _all_else_is_equal(move, extreme_values.POSTGRES, found)


@pytest.mark.parametrize("target_engine", ["postgres", "sqlite"])
def test_extreme_values_of_sqlite_arrive_exactly(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path, target_engine: str
) -> None:
    source = tmp_path / "source.db"
    _fill_sqlite(source, extreme_values.SQLITE)
    target: moves.End = tmp_path / "target.db"
    if target_engine == "postgres":
        target = make_pg_db()
        target.set_defaults(servers.AWKWARD_DEFAULTS)
    move = moves.plan_move(sensei, source, target)
    move.start()
    assert _quarantined(move) == {}
    _all_else_is_equal(move, extreme_values.SQLITE, {})
    if target_engine == "postgres":
        told = {r["table"]: r["reason"] for r in move.plan["risks"]}
        assert "longer than" in told["v_varchar_3"]


def _stored(path: Path, native: str) -> dict[int, Any]:
    """What SQLite made of the values: its affinities turn some into others."""
    connection = sqlite3.connect(path)
    found = dict(connection.execute(f"SELECT id, v FROM {_name(native)}"))
    connection.close()
    return found


def test_misfits_of_sqlite_are_announced_quarantined_and_counted(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    # One good row a table, so that it is seen to arrive among the bad ones.
    good = {native: extreme_values.SQLITE.get(native, [None])[0] for native in extreme_values.MISFITS}
    _fill_sqlite(source, {native: [good[native], *bad] for native, bad in extreme_values.MISFITS.items()})
    move = moves.plan_move(sensei, source, pg_db)
    announced = {
        r["table"]: r["reason"] for r in move.plan["risks"] if r["column"] == "v" and "quarantine" in r["reason"]
    }
    move.start()

    found = _quarantined(move)
    for native, bad in extreme_values.MISFITS.items():
        rows = found.get(_name(native), {})
        missed = [bad[n - 1] for n in range(1, len(bad) + 1) if n not in rows]
        assert missed == [], f"{native}: {missed} went through"
        assert 0 not in rows, f"{native}: {rows[0]}"
        # A NUL in a text is only seen by the server that can't hold it: no scan of the plan counts it.
        seen = sum(1 for v in bad if not (isinstance(v, str) and "\x00" in v))
        assert f"{seen} of {len(bad) + 1}" in announced[_name(native)]
        stored = _stored(source, native)
        for n, row in rows.items():
            assert row["reason"], row
            assert row["column"] == "v" or "\x00" in str(stored[n]), row
            shown = stored[n].hex() if isinstance(stored[n], bytes) else str(stored[n])
            assert row["row"]["v"] == shown, row
    _all_else_is_equal(move, extreme_values.MISFITS, found)

    status = move.status()
    total = sum(map(len, extreme_values.MISFITS.values()))
    assert status["errors"]["total"] == total
    assert status["errors"]["rate"] == pytest.approx(total / (total + len(extreme_values.MISFITS)))
    for table in status["progress"]["tables"]:
        native = next(n for n in extreme_values.MISFITS if _name(n) == table["name"])
        assert table["rows_quarantined"] == len(extreme_values.MISFITS[native])
        assert (table["rows_copied"], table["rows_total"]) == (1, 1 + len(extreme_values.MISFITS[native]))


def test_misfits_go_from_sqlite_to_sqlite_as_they_are(sensei: fix_sensei.Sensei, tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    _fill_sqlite(source, extreme_values.MISFITS)
    move = moves.plan_move(sensei, source, tmp_path / "target.db")
    move.start()
    assert _quarantined(move) == {}
    _all_else_is_equal(move, extreme_values.MISFITS, {})


CONSTRAINTS = """
CREATE TABLE parents (code TEXT PRIMARY KEY, note TEXT NOT NULL);
INSERT INTO parents VALUES ('a', 'x'), (NULL, 'no key'), (NULL, 'none either'), ('b', 'y');
CREATE TABLE children (id INTEGER PRIMARY KEY, parent TEXT REFERENCES parents (code), n INTEGER CHECK (n > 0));
INSERT INTO children VALUES (1, 'a', 1), (2, 'gone', 2), (3, NULL, 3), (4, 'b', 4), (5, 'away', 5);
CREATE TABLE grandchildren (id INTEGER PRIMARY KEY, child INTEGER REFERENCES children (id));
INSERT INTO grandchildren VALUES (1, 1), (2, 2), (3, 99), (4, NULL);
CREATE TABLE dates (day DATE PRIMARY KEY, v TEXT);
INSERT INTO dates VALUES ('2024-01-01', 'a'), ('2024-1-1', 'b');
"""


def test_rows_that_break_a_constraint_are_quarantined_with_all_that_hangs_on_them(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    connection = sqlite3.connect(source)
    connection.executescript(CONSTRAINTS)
    connection.close()
    move = moves.plan_move(sensei, source, pg_db)
    move.start()
    gone: dict[str, list[dict[str, Any]]] = {}
    for row in move.quarantine():
        gone.setdefault(row["table"], []).append(row)
    assert sorted(r["row"]["note"] for r in gone["parents"]) == ["no key", "none either"]
    assert sorted(int(r["row"]["id"]) for r in gone["children"]) == [2, 5]
    assert sorted(int(r["row"]["id"]) for r in gone["grandchildren"]) == [2, 3]
    assert [r["row"]["v"] for r in gone["dates"]] == ["b"]
    assert all(r["reason"] for rows in gone.values() for r in rows)
    assert pg_db.query("SELECT code FROM parents ORDER BY 1") == [("a",), ("b",)]
    assert pg_db.query("SELECT id FROM children ORDER BY 1") == [(1,), (3,), (4,)]
    assert pg_db.query("SELECT id FROM grandchildren ORDER BY 1") == [(1,), (4,)]
    unproven = pg_db.query(
        "SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace::regnamespace::text = 'public'"
    )
    assert unproven == []
    status = move.status()
    assert status["errors"]["total"] == 7
    assert {t["name"]: t["rows_quarantined"] for t in status["progress"]["tables"]} == {
        "parents": 2, "children": 2, "grandchildren": 2, "dates": 1
    }  # fmt: skip
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES


@pytest.mark.parametrize("target_engine", ["postgres", "sqlite"])
def test_orphans_and_doubles_on_the_way_to_sqlite_are_not_lost_either(
    sensei: fix_sensei.Sensei, make_pg_db: fix_postgres.MakeDatabase, tmp_path: Path, target_engine: str
) -> None:
    """A foreign key that PostgreSQL does not hold to (NOT VALID) is announced, and its rows all arrive."""
    source = make_pg_db()
    source.execute(
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);"
        "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1), (2, 7);"
        "ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID"
    )
    target: moves.End = make_pg_db() if target_engine == "postgres" else tmp_path / "target.db"
    move = moves.plan_move(sensei, source, target)
    move.start()
    assert reader.compare_databases(source, target) == []
    if target_engine == "sqlite":
        assert [(k, n) for k, n, _ in move.left()] == [("foreign key", "public.c.c_p")]
    else:
        assert move.left() == []
        assert isinstance(target, servers.Database)
        assert target.value("SELECT convalidated FROM pg_constraint WHERE conname = 'c_p'") is False


def test_stop_ends_with_6_keeps_everything_and_a_new_migration_carries_the_mended_row(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    _fill_sqlite(source, {"INTEGER": [1, 2, "three", 4]})
    before = reader.snapshot(source, file_bytes=True)
    move = moves.plan_move(sensei, source, pg_db, options={"on_row_error": "stop"})
    stopped = move.start(json=True, expect=6)
    details = stopped.data["error"]
    assert (details["details"]["key"], details["details"]["column"]) == ({"id": "2"}, "v")
    assert details["message"] == (
        'v_integer: the row {"id": "2"} can\'t be carried: v: stored as text, which does not conform to int64'
    )
    status = move.status()
    assert (status["status"], status["errors"]["total"]) == ("failed", 0)
    assert reader.snapshot(source, file_bytes=True) == before
    assert move.resume(json=True, expect=6).data["error"]["details"]["key"] == {"id": "2"}
    assert "rollback" in details["details"]["hint"]
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert reader.snapshot(source, file_bytes=True) == before
    connection = sqlite3.connect(source)
    connection.execute("UPDATE v_integer SET v = 3 WHERE id = 2")
    connection.commit()
    connection.close()
    again = moves.plan_move(sensei, source, pg_db, name="again", options={"on_row_error": "stop"})
    again.start()
    assert reader.compare_tables(source, "v_integer", pg_db, "v_integer", key=["id"]) == []


def test_a_row_mended_while_a_migration_stands_still_is_a_write_to_the_source(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    _fill_sqlite(source, {"INTEGER": [1, 2, "three", 4]})
    move = moves.plan_move(sensei, source, pg_db, options={"on_row_error": "stop"})
    move.start(expect=6)
    connection = sqlite3.connect(source)
    connection.execute("UPDATE v_integer SET v = 3 WHERE id = 2")
    connection.commit()
    connection.close()
    refused = move.resume(json=True, expect=4).data["error"]
    assert "v_integer" in refused["message"]
    assert move.status()["status"] == "failed"
