"""What a rollback leaves of the migrated tables: set aside, exported or dropped, and never less than was asked for."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

import ends
import fix_sensei
import moves
import reader
import servers
from fix_postgres import MakeDatabase
from sensei.demo import look, shop

#: All rows of the sample shop: small, and with every awkward value.
ROWS = 1_500


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    shop.write(path, ROWS)
    return path


def moved(sensei: fix_sensei.Sensei, source: moves.End, target: moves.End, evidence: str, **more: Any) -> moves.Move:
    move = moves.plan_move(sensei, source, target, options={"evidence": evidence, "chunk_rows": 400}, **more)
    move.start()
    return move


def kept_by(sensei: fix_sensei.Sensei, move: moves.Move) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sensei("evidence", "list", move.id, json=True).data["evidence"]
    return found


def tables_of(database: servers.Database) -> list[str]:
    return [
        str(row[0])
        for row in database.query(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'sensei_')"
            " ORDER BY 1"
        )
    ]


def exported(path: Path, shape: list[tuple[str, str]]) -> look.Content:
    """Digest a Parquet file as the sample shop's own reader digests a table."""
    table = parquet.read_table(path)
    assert table.column_names == [name for name, _ in shape]
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return look._content(rows, shape)


# -- keep


def test_kept_tables_hold_every_row_until_purge_drops_them(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    move = moved(sensei, source, pg_db, "keep")
    assert move.plan["estimate"]["rollback_bytes"] > 0
    move.rollback("--verify")
    place = f"sensei_evidence_{move.id}"
    assert tables_of(pg_db) == sorted(f"{place}.{table}" for table in shop.TABLES)
    with closing(pg_db.connect()) as connection:
        for table in shop.TABLES:
            shape = look.columns(source, table)
            assert look.in_postgres(connection, f'"{place}"."{table}"', shape) == look.in_sqlite(source, table)
    listed = kept_by(sensei, move)
    assert sorted(e["object"] for e in listed) == sorted(f"public.{table}" for table in shop.TABLES)
    assert {e["place"] for e in listed} == {place} and not any(e["purged_at"] for e in listed)

    sensei("evidence", "purge", move.id, expect=3)
    assert len(tables_of(pg_db)) == len(shop.TABLES), "without a yes nothing goes"

    sensei("evidence", "purge", move.id, "--yes")
    assert tables_of(pg_db) == []
    assert all(e["purged_at"] for e in kept_by(sensei, move))
    move.verify()


def test_kept_tables_of_an_sqlite_target_hold_every_row_until_purge_drops_them(
    sensei: fix_sensei.Sensei, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target.db"
    move = moved(sensei, source, target, "keep")
    move.rollback("--verify")
    for table in shop.TABLES:
        aside = f"sensei_evidence_{move.id}_{table}"
        with closing(sqlite3.connect(target)) as connection:
            shape = look.columns(source, table)
            names = ", ".join(name for name, _ in shape)
            rows = connection.execute(f'SELECT {names} FROM "{aside}"').fetchall()
        assert look._content(rows, shape) == look.in_sqlite(source, table)
    sensei("evidence", "purge", move.id, "--yes")
    with closing(sqlite3.connect(target)) as connection:
        left = connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'sensei_evidence%'").fetchall()
    assert left == []
    move.verify()


def test_kept_tables_of_a_mariadb_target_hold_every_row_until_purge_drops_them(
    sensei: fix_sensei.Sensei, source: Path, mysql_db: servers.MysqlDatabase
) -> None:
    move = moved(sensei, source, mysql_db, "keep")
    assert reader.compare_databases(source, mysql_db) == []
    move.rollback("--verify")
    place = f"sensei_evidence_{move.id}"
    aside = mysql_db.server.database(place)
    assert reader.compare_databases(source, aside) == []
    assert {e["place"] for e in kept_by(sensei, move)} == {place}
    sensei("evidence", "purge", move.id, "--yes")
    assert mysql_db.server.databases("sensei_evidence") == []
    move.verify()


# -- drop


def test_drop_leaves_nothing_on_a_target_that_was_empty(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    move = moved(sensei, source, pg_db, "drop")
    assert move.plan["estimate"]["rollback_bytes"] == 0
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    assert tables_of(pg_db) == []
    assert kept_by(sensei, move) == []


def test_drop_leaves_nothing_on_a_mariadb_target_that_was_empty(
    sensei: fix_sensei.Sensei, source: Path, mysql_db: servers.MysqlDatabase
) -> None:
    move = moved(sensei, source, mysql_db, "drop")
    assert move.rollback("--verify").data["rollback_verification"] == moves.LINES
    left = {name for (name,) in mysql_db.query("SHOW TABLES")}
    assert left and all(name.startswith("sensei_") for name in left)
    assert mysql_db.server.databases("sensei_evidence") == [] and kept_by(sensei, move) == []


def test_on_a_target_with_tables_of_its_own_nothing_is_ever_dropped(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    pg_db.execute("CREATE TABLE own (id int PRIMARY KEY); INSERT INTO own VALUES (1), (2)")
    move = moved(sensei, source, pg_db, "export")
    move.rollback("--verify")
    assert tables_of(pg_db) == sorted(["public.own", *(f"sensei_evidence_{move.id}.{table}" for table in shop.TABLES)])
    assert {e["kind"] for e in kept_by(sensei, move)} == {"table"}


# -- export


def test_exported_files_hold_every_value_and_are_proven_before_the_drop(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database
) -> None:
    move = moved(sensei, source, pg_db, "export")
    move.rollback("--verify")
    assert tables_of(pg_db) == []
    listed = {e["object"].removeprefix("public."): e for e in kept_by(sensei, move)}
    assert sorted(listed) == sorted(shop.TABLES)
    for table, entry in listed.items():
        path = Path(entry["place"])
        before = look.in_sqlite(source, table)
        assert exported(path, look.columns(source, table)) == before
        assert entry["rows"] == before.rows
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stat().st_mode & 0o777 == 0o600
        facts = {k.decode(): v.decode() for k, v in parquet.read_schema(path).metadata.items()}
        assert facts["sensei.migration"] == move.id
        assert [c["name"] for c in json.loads(facts["sensei.columns"])] == [c for c, _ in look.columns(source, table)]
    types = {f.name: str(f.type) for f in parquet.read_schema(listed["products"]["place"])}
    assert types["id"] == "int64" and types["weight_kg"] == "double" and types["image"] == "binary"
    assert types["is_discontinued"] == "bool" and types["price"] == "string"

    sensei("evidence", "purge", move.id, "--yes")
    assert not any(Path(e["place"]).exists() for e in listed.values())
    assert all(e["purged_at"] for e in kept_by(sensei, move))


def test_a_table_of_an_sqlite_target_is_exported_with_what_others_wrote_into_it_since(
    sensei: fix_sensei.Sensei, pg_db: servers.Database, tmp_path: Path
) -> None:
    pg_db.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, amount numeric(30,10), small real, seen timestamptz, note text);"
        "INSERT INTO t VALUES (1, 1.5, 0.1, '2024-05-01 12:00+02', E'tab\\tline\\nback\\\\slash'),"
        " (2, 12345678901234567890.0123456789, 1e-30, 'infinity', NULL), (3, NULL, NULL, NULL, '')"
    )
    target = tmp_path / "target.db"
    move = moved(sensei, pg_db, target, "export")
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("INSERT INTO t (id, note) VALUES (4, 'written by somebody')")
        connection.commit()
    move.rollback("--verify")
    (entry,) = kept_by(sensei, move)
    found = parquet.read_table(entry["place"]).to_pydict()
    assert found["id"] == [1, 2, 3, 4] and entry["rows"] == 4
    assert found["note"] == ["tab\tline\nback\\slash", None, "", "written by somebody"]
    assert found["amount"] == ["1.5000000000", "12345678901234567890.0123456789", None, None]
    assert found["seen"] == ["2024-05-01 10:00:00+00", "infinity", None, None]
    assert [repr(x) for x in found["small"]] == ["0.1", "1e-30", "None", "None"]
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 't'").fetchall() == []


def test_a_table_of_a_mariadb_target_is_exported_as_it_is(
    sensei: fix_sensei.Sensei, mysql_db: servers.MysqlDatabase, tmp_path: Path
) -> None:
    source = tmp_path / "source.db"
    note = "tab\tback\\slash 'quoted'"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, amount NUMERIC(30,10), small DOUBLE, seen TIMESTAMP, note TEXT,"
            " image BLOB)"
        )
        connection.execute("INSERT INTO t VALUES (1, '1.5', 0.1, '2024-05-01 10:00:00', ?, x'00ff')", [note])
        connection.execute("INSERT INTO t VALUES (2, NULL, 1e-30, NULL, '', NULL)")
        connection.commit()
    move = moved(sensei, source, mysql_db, "export")
    mysql_db.execute("INSERT INTO t (id, note) VALUES (4, 'written by somebody')")
    move.rollback("--verify")
    (entry,) = kept_by(sensei, move)
    found = parquet.read_table(entry["place"]).to_pydict()
    assert found["id"] == [1, 2, 4] and entry["rows"] == 3
    assert found["note"] == [note, "", "written by somebody"]
    assert found["amount"] == ["1.5000000000", None, None]
    assert [repr(x) for x in found["small"]] == ["0.1", "1e-30", "None"]
    assert found["image"] == [b"\x00\xff", None, None]
    assert str(found["seen"][0]).startswith("2024-05-01 10:00:00")
    assert mysql_db.query("SHOW TABLES LIKE 't'") == []


def test_a_large_table_is_exported_in_several_row_groups(sensei: fix_sensei.Sensei, make_pg_db: MakeDatabase) -> None:
    source, target = make_pg_db(), make_pg_db()
    source.execute("CREATE TABLE t AS SELECT n, 'row ' || n AS text FROM generate_series(1, 70000) n")
    source.execute("ALTER TABLE t ADD PRIMARY KEY (n)")
    move = moved(sensei, source, target, "export")
    move.rollback()
    (entry,) = kept_by(sensei, move)
    file = parquet.ParquetFile(entry["place"])
    assert file.num_row_groups > 1 and file.metadata.num_rows == entry["rows"] == 70_000
    found = file.read().to_pydict()
    assert found["n"] == list(range(1, 70_001)) and found["text"][69_999] == "row 70000"


@pytest.mark.parametrize(
    ("engine", "point"),
    [
        ("postgres", "evidence:written:2"),
        ("postgres", "evidence:renamed:3"),
        ("mysql", "evidence:renamed:2"),
        ("mysql", "rollback:statement:4"),
    ],
)
def test_an_export_that_is_cut_off_is_finished_by_the_same_command(
    point: str, engine: str, sensei: fix_sensei.Sensei, source: Path, maker: ends.Maker
) -> None:
    target = maker(engine)()
    move = moved(sensei, source, target, "export")
    sensei("migrations", "rollback", move.id, "--full", crash_at=point)
    if point.startswith("evidence"):
        assert reader.compare_databases(source, target) == [], "nothing may be dropped yet"
    move.rollback("--verify")
    assert not any(name.startswith("rows ") for name in reader.snapshot(target))
    places = {e["object"].rpartition(".")[2]: Path(e["place"]) for e in kept_by(sensei, move)}
    assert sorted(places) == sorted(shop.TABLES)
    for table, path in places.items():
        assert exported(path, look.columns(source, table)) == look.in_sqlite(source, table)
    folder = next(iter(places.values())).parent
    assert sorted(folder.iterdir()) == sorted(places.values()), "nothing half-written may stay"


def test_an_export_that_can_not_be_done_leaves_everything_as_it_was(
    sensei: fix_sensei.Sensei, source: Path, pg_db: servers.Database, tmp_path: Path
) -> None:
    move = moved(sensei, source, pg_db, "export")
    without = tmp_path / "without"
    without.mkdir()
    (without / "pyarrow.py").write_text("raise ImportError('no such package')")
    path = f"{without}:{sensei.environment()['PYTHONPATH']}"
    refused = move.rollback(expect=3, env={"PYTHONPATH": path})
    assert "pip install 'sensei-migrations[parquet]'" in refused.data["error"]["details"]["hint"]

    obstacle = sensei.home / "artifacts" / move.id / "evidence"
    obstacle.write_text("in the way")
    refused = move.rollback(expect=5)
    assert str(obstacle) in refused.data["error"]["message"]
    assert "nothing was dropped" in refused.data["error"]["details"]["hint"]
    assert obstacle.read_text() == "in the way"

    with closing(pg_db.connect()) as connection:
        for table in shop.TABLES:
            shape = look.columns(source, table)
            assert look.in_postgres(connection, f'public."{table}"', shape) == look.in_sqlite(source, table)

    obstacle.unlink()
    assert move.rollback("--verify").data["passed"] is True
