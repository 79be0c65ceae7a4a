"""The independent reader can fail: each kind of damage that it must see, done on purpose."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reader
import reader_values as values
import servers
from reader import Kind

TABLE = """
CREATE TABLE t (
    id bigint PRIMARY KEY, a text, b text, c char(5), n numeric(12,2), free numeric, f float8, r real,
    yes boolean, raw bytea, d date, clock time, naive timestamp, aware timestamptz, span interval,
    u uuid, doc jsonb, plain json
)
"""
ROWS = """
INSERT INTO t VALUES
(1, 'Edinburgh ', 'x', 'ab', 12.50, 1.50, 0.0, 0.1, true, '\\x00ff', '2024-02-29', '23:59:59.000001',
 '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.000001+00', '1 mon 2 days 03:04:05.000006',
 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": [1, 2.50, true, null], "a": "é"}', '{"b":1}'),
(2, '', 'y', '', -0.01, 1e30, 1e20, 3.4028235e38, false, '', '0001-01-01', '00:00', '9999-12-31 23:59:59.999999',
 '1969-12-31 23:59:59.5+00', '-1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '1', 'null'),
(3, E'tab\\tline\\nback\\\\slash', E'a\\u0301', '  x  ', 0, 0, 'NaN', 'Infinity', NULL, NULL, 'infinity', NULL,
 NULL, '-infinity', NULL, NULL, 'null', NULL)
"""
#: As a faithful copy in SQLite holds the same rows.
LITE_TABLE = """
CREATE TABLE t (
    id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, n TEXT, free TEXT, f REAL, r REAL, yes INTEGER, raw BLOB,
    d TEXT, clock TEXT, naive TEXT, aware TEXT, span TEXT, u TEXT, doc TEXT, plain TEXT
)
"""
LITE_ROWS: list[tuple[Any, ...]] = [
    (
        *(1, "Edinburgh ", "x", "ab   ", "12.50", "1.50", 0.0, 0.1, 1, b"\x00\xff", "2024-02-29"),
        *("23:59:59.000001", "2024-02-29 01:02:03.000001", "2024-02-29T01:02:03.000001Z"),
        *("P1M2DT3H4M5.000006S", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        *('{"a":"\\u00e9","b":[1.0,2.5,true,null]}', '{"b":1}'),
    ),
    (
        *(2, "", "y", "     ", "-0.01", "1" + "0" * 30, 1e20, 3.4028235e38, 0, b"", "0001-01-01", "00:00:00"),
        *("9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5+00", "P-1D"),
        *("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12", "1", "null"),
    ),
    (
        *(3, "tab\tline\nback\\slash", "a\u0301", "  x  ", "0.00", "0", "NaN", float("inf"), None, None),
        *("infinity", None, None, "-infinity", None, None, "null", None),
    ),
]


@pytest.fixture
def table(pg_db: servers.Database) -> servers.Database:
    pg_db.execute(TABLE)
    pg_db.execute(ROWS)
    return pg_db


@pytest.fixture
def twin(pg_db2: servers.Database) -> servers.Database:
    pg_db2.execute(TABLE)
    pg_db2.execute(ROWS)
    return pg_db2


@pytest.fixture
def lite(tmp_path: Path) -> Path:
    path = tmp_path / "lite.db"
    change(path, LITE_TABLE)
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(LITE_ROWS[0]))})", LITE_ROWS)
    connection.close()
    return path


def change(path: Path, sql: str, bound: tuple[Any, ...] = ()) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, bound)
    connection.close()


def test_equal_tables_have_no_differences(table: servers.Database, twin: servers.Database) -> None:
    assert reader.compare_tables(table, "t", twin, "public.t", key=["id"]) == []
    assert reader.compare_databases(table, twin) == []
    assert reader.table_digest(table, "t") == reader.table_digest(twin, "t")
    assert reader.count(table, "t") == 3


def test_a_faithful_copy_in_the_other_engine_has_no_differences(table: servers.Database, lite: Path) -> None:
    assert reader.compare_tables(table, "t", lite, "t", key=["id"]) == []


def test_the_readers_result_does_not_hang_on_the_servers_settings(
    table: servers.Database, twin: servers.Database, lite: Path
) -> None:
    twin.set_defaults(servers.AWKWARD_DEFAULTS)
    assert reader.compare_tables(table, "t", twin, "t") == []
    assert reader.compare_tables(twin, "t", lite, "t") == []


DAMAGE = {
    "one blank less": "a = 'Edinburgh' WHERE id = 1",
    "one blank more": "b = 'x ' WHERE id = 1",
    "empty for null": "raw = '' WHERE id = 3",
    "null for empty": "a = NULL WHERE id = 2",
    "the other normal form": "b = 'á' WHERE id = 3",
    "one bit of a float": "f = 1.0000000000000002e20 WHERE id = 2",
    "minus zero": "f = '-0.0' WHERE id = 1",
    "NaN for null": "f = NULL WHERE id = 3",
    "one bit of a single float": "r = 0.10000001 WHERE id = 1",
    "swapped columns": "a = b, b = a WHERE id = 1",
    "a scale": "free = 1.5 WHERE id = 1",
    "a cent": "n = 12.51 WHERE id = 1",
    "the last of many digits": "free = 1000000000000000000000000000001 WHERE id = 2",
    "a microsecond": "naive = naive + interval '1 us' WHERE id = 1",
    "a microsecond of an instant": "aware = aware - interval '1 us' WHERE id = 2",
    "a zone": "aware = aware + interval '1 hour' WHERE id = 1",
    "days for hours": "span = '-24 hours' WHERE id = 2",
    "true for false": "yes = true WHERE id = 2",
    "a byte": "raw = '\\x00fe' WHERE id = 1",
    "a JSON true for 1": "doc = 'true' WHERE id = 2",
    "a JSON string for a number": "doc = '\"1\"' WHERE id = 2",
    "JSON null for NULL": "doc = NULL WHERE id = 3",
    "a blank in json": "plain = '{\"b\": 1}' WHERE id = 1",
    "a key": "id = 4 WHERE id = 3",
    "infinity": "d = '9999-12-31' WHERE id = 3",
}


@pytest.fixture(scope="module")
def shared(pg_server: servers.PostgresServer) -> Iterator[servers.Database]:
    """One database with the table twice, t and twin.t, for the tests that repair what they damage."""
    database = pg_server.create_db()
    database.execute(TABLE + ";" + ROWS + "; CREATE SCHEMA twin; CREATE TABLE twin.t (LIKE t INCLUDING ALL)")
    database.execute("INSERT INTO twin.t SELECT * FROM t")
    yield database
    pg_server.start()
    pg_server.drop_db(database.name)


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_in_postgres_is_found_against_postgres_and_sqlite(
    what: str, shared: servers.Database, lite: Path
) -> None:
    # As a source, the file's doubles do not fit into the column of singles: that is no damage.
    unfit = () if "single" in what else ("r",)
    shared.execute(f"UPDATE twin.t SET {DAMAGE[what]}")
    try:
        assert reader.compare_tables(shared, "t", shared, "twin.t", key=["id"]) != []
        assert reader.compare_tables(shared, "twin.t", lite, "t", key=["id"]) != []
        assert reader.compare_tables(lite, "t", shared, "twin.t", key=["id"], ignore=unfit) != []
        assert reader.table_digest(shared, "t") != reader.table_digest(shared, "twin.t")
    finally:
        shared.execute("TRUNCATE twin.t; INSERT INTO twin.t SELECT * FROM t")
    assert reader.compare_tables(shared, "t", shared, "twin.t") == []
    assert reader.compare_tables(lite, "t", shared, "twin.t", ignore=("r",)) == []


LITE_DAMAGE: dict[str, tuple[str, Any]] = {
    "a number for text": ("a", 5),
    "bytes for text": ("a", b"Edinburgh "),
    "text for bytes": ("raw", "00ff"),
    "a declared scale that does not show": ("n", "12.5"),
    "a real that is not the number": ("n", 12.500000000000002),
    "text for an integer": ("yes", "t"),
    "more than six places of a second": ("naive", "2024-02-29 01:02:03.0000011"),
    "a zone where none belongs": ("naive", "2024-02-29 01:02:03.000001+00"),
    "no zone where one belongs": ("aware", "2024-02-29 01:02:03.000001"),
    "another instant in another zone": ("aware", "2024-02-29 01:02:03.000001+05:45"),
    "broken JSON": ("doc", '{"b": [1, 2.50, true, null], "a": "é"'),
    "no uuid": ("u", "a0eebc99"),
    "blanks of a char": ("c", "ab"),
}


@pytest.mark.parametrize("what", LITE_DAMAGE)
def test_damage_in_sqlite_is_found_and_named(what: str, shared: servers.Database, lite: Path) -> None:
    column, value = LITE_DAMAGE[what]
    # A column without affinity, so that the wrong value is kept as it is.
    kept = LITE_TABLE.replace("CREATE TABLE t", "CREATE TABLE loose")
    for affinity in ("INTEGER PRIMARY KEY", "INTEGER", "TEXT", "REAL", "BLOB"):
        kept = kept.replace(f" {affinity}", "")
    change(lite, kept)
    change(lite, "INSERT INTO loose SELECT * FROM t")
    assert reader.compare_tables(shared, "t", lite, "loose", key=["id"]) == []
    change(lite, f"UPDATE loose SET {column} = ? WHERE id = 1", (value,))
    (line,) = reader.compare_tables(shared, "t", lite, "loose", key=["id"])
    assert line.startswith(f"id=1: {column}:")


def test_an_instant_is_the_same_in_every_zone(table: servers.Database, lite: Path) -> None:
    change(lite, "UPDATE t SET aware = '2024-02-29 06:47:03.000001+05:45' WHERE id = 1")
    assert reader.compare_tables(table, "t", lite, "t") == []


def test_missing_doubled_and_additional_rows_are_told_apart(table: servers.Database, twin: servers.Database) -> None:
    for database in (table, twin):
        database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey")
    twin.execute("DELETE FROM t WHERE id = 1")
    found = reader.compare_tables(table, "t", twin, "t")
    assert found[0] == "3 rows in the source, 2 in the target"
    assert found[1].startswith("only in the source: id=1, a='Edinburgh '")
    assert len(found) == 2
    # As many rows, but one doubled where another is missing: twice over, so that hashes could cancel out.
    twin.execute("INSERT INTO t SELECT * FROM t WHERE id = 2")
    found = reader.compare_tables(table, "t", twin, "t")
    assert [line.split(":")[0] for line in found] == ["only in the source", "only in the target"]
    table.execute("DELETE FROM t; INSERT INTO t (id) VALUES (1), (1), (2), (2)")
    twin.execute("DELETE FROM t; INSERT INTO t (id) VALUES (3), (3), (4), (4)")
    assert len(reader.compare_tables(table, "t", twin, "t")) == 8


def test_the_words_name_key_column_and_both_values(table: servers.Database, twin: servers.Database) -> None:
    twin.execute("UPDATE t SET a = 'Edinburgh' WHERE id = 1")
    found = reader.compare_tables(table, "t", twin, "t", key=["id"])
    assert found == ["id=1: a: 'Edinburgh ' -> 'Edinburgh'"]


def test_columns_that_are_missing_or_more_or_of_another_type_are_differences(
    table: servers.Database, twin: servers.Database
) -> None:
    twin.execute("ALTER TABLE t RENAME a TO z; ALTER TABLE t ALTER b TYPE bytea USING convert_to(b, 'UTF8')")
    found = reader.compare_tables(table, "t", twin, "t")
    assert "column a is not in the target" in found
    assert "column z is only in the target" in found
    assert "column b is text in the source, bytea in the target" in found
    assert reader.compare_tables(table, "t", twin, "t", columns={"a": "z"}, ignore=["b"]) == []


def test_a_missing_table_is_a_difference(table: servers.Database, lite: Path) -> None:
    change(lite, "ALTER TABLE t RENAME TO s")
    assert reader.compare_databases(table, lite) == ["t: not in the target"]
    assert reader.compare_databases(table, lite, rename={"t": "s"}) == []
    assert reader.compare_databases(table, lite, tables=["none"]) != []
    assert reader.compare_databases(table, lite, schema_a="empty") == ["no tables were compared"]


def test_a_source_in_sqlite_may_be_written_as_its_author_liked_but_not_rounded(
    pg_db: servers.Database, tmp_path: Path
) -> None:
    path = tmp_path / "source.db"
    change(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, price NUMERIC, size REAL, small REAL, label)")
    change(path, "INSERT INTO t VALUES (1, 0.99, 2, 0.5, 7), (2, 3, 0.1, 0.25, 'seven')")
    pg_db.execute("CREATE TABLE t (id int, price numeric(10,2), size float8, small real, label text)")
    pg_db.execute("INSERT INTO t VALUES (1, 0.99, 2, 0.5, '7'), (2, 3.00, 0.1, 0.25, 'seven')")
    assert reader.compare_tables(path, "t", pg_db, "t", key=["id"]) == []
    change(path, "UPDATE t SET price = 0.991 WHERE id = 1")
    assert reader.compare_tables(path, "t", pg_db, "t", key=["id"]) != []
    change(path, "UPDATE t SET price = 0.99, small = 0.1 WHERE id = 1")
    pg_db.execute("UPDATE t SET small = 0.1 WHERE id = 1")
    # A double does not fit into a single: the loss must show even though both print 0.1.
    (line,) = reader.compare_tables(path, "t", pg_db, "t", key=["id"])
    assert line.startswith("id=1: small:")


def test_between_two_files_storage_class_and_bits_decide(lite: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    change(other, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    mine = tmp_path / "mine.db"
    change(mine, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    pairs: list[tuple[Any, Any]] = [(1, 1.0), ("1", 1), (b"1", "1"), (0.1, 0.1 + 2**-56), (None, ""), ("a", "a ")]
    for a, b in pairs:
        for path, value in ((mine, a), (other, b)):
            change(path, "DELETE FROM t")
            change(path, "INSERT INTO t VALUES (1, ?)", (value,))
        assert reader.compare_tables(mine, "t", mine, "t") == []
        assert reader.compare_tables(mine, "t", other, "t") != [], (a, b)


def test_text_that_is_not_utf8_is_read_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    change(path, "CREATE TABLE t (v TEXT)")
    change(path, "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT))")
    change(path, "CREATE TABLE s (v TEXT)")
    change(path, "INSERT INTO s VALUES (CAST(x'fe41' AS TEXT))")
    assert reader.compare_tables(path, "t", path, "t") == []
    assert reader.compare_tables(path, "t", path, "s") != []


def test_what_a_column_means_can_be_given(table: servers.Database, lite: Path) -> None:
    change(lite, "UPDATE t SET n = '12.5' WHERE id = 1")
    assert reader.compare_tables(table, "t", lite, "t") != []
    as_source = {"n": Kind("decimal", 2)}
    assert reader.compare_tables(lite, "t", lite, "t", kinds=as_source) != []
    assert values.from_sqlite("12.5", as_source["n"], is_source=True) == ("decimal", 1250, 2)


def test_domains_enums_arrays_and_generated_columns_are_read(pg_db: servers.Database, tmp_path: Path) -> None:
    pg_db.execute(
        "CREATE DOMAIN money2 AS numeric(9,2); CREATE DOMAIN price AS money2; CREATE TYPE mood AS ENUM ('ok', 'bad');"
        "CREATE TABLE t (p price, m mood, xs int[], twice numeric GENERATED ALWAYS AS (2.0) STORED, ip inet)"
    )
    pg_db.execute("INSERT INTO t VALUES (1, 'bad', '{1,NULL,3}', DEFAULT, '10.0.0.1')")
    path = tmp_path / "t.db"
    change(path, "CREATE TABLE t (p TEXT, m TEXT, xs TEXT, twice TEXT, ip TEXT)")
    change(path, "INSERT INTO t VALUES ('1.00', 'bad', '{1,NULL,3}', '2.0', '10.0.0.1')")
    assert reader.compare_tables(pg_db, "t", path, "t") == []


CHANGES = {
    "an index dropped": ("DROP INDEX shop.orders_at", "index shop.orders_at: gone"),
    "a sequence moved": ("SELECT nextval('shop.orders_id_seq')", "sequence shop.orders_id_seq: last_value"),
    "a comment changed": ("COMMENT ON COLUMN shop.orders.note IS 'other'", "column shop.orders.note: comment"),
    "a grant given": ("GRANT SELECT ON shop.orders TO PUBLIC", "table shop.orders: grants"),
    "a column's grant": ("GRANT SELECT (note) ON shop.orders TO PUBLIC", "column shop.orders.note: grants"),
    "a grant taken": ("REVOKE EXECUTE ON FUNCTION shop.f() FROM PUBLIC", "routine shop.f(): grants"),
    "a default changed": ("ALTER TABLE shop.orders ALTER note SET DEFAULT 'x'", "column shop.orders.note: default"),
    "a row changed": ("UPDATE shop.orders SET note = note || ' '", "rows shop.orders: digest"),
    "a row deleted": ("DELETE FROM shop.orders", "rows shop.orders: count"),
    "a trigger switched off": ("ALTER TABLE shop.orders DISABLE TRIGGER USER", "trigger shop.orders.tr: tgenabled"),
    "foreign keys switched off": (
        "ALTER TABLE shop.items DISABLE TRIGGER ALL",
        "enforcement shop.items.items_order_id_fkey: enabled",
    ),
    "a constraint dropped": ("ALTER TABLE shop.items DROP CONSTRAINT positive", "constraint shop.items.positive: gone"),
    "a function changed": (
        "CREATE OR REPLACE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "routine shop.f(): definition",
    ),
    "a view changed": ("CREATE OR REPLACE VIEW shop.v AS SELECT 2 AS one", "view shop.v: definition"),
    "an enum's label added": ("ALTER TYPE shop.mood ADD VALUE 'new'", "type shop.mood: labels"),
    "a table added": ("CREATE TABLE shop.more ()", "table shop.more: new"),
    "a schema added": ("CREATE SCHEMA left_behind", "schema left_behind: new"),
    "a publication added": ("CREATE PUBLICATION p FOR ALL TABLES", "publication p: new"),
    "an owner changed": ("ALTER TABLE shop.items OWNER TO pg_monitor", "table shop.items: owner"),
    "an extension added": ("CREATE EXTENSION tablefunc", "extension tablefunc: new"),
    "a setting of the database": (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
        "database : settings",
    ),
}


def test_a_snapshot_of_postgres_shows_every_kind_of_change(pg_db: servers.Database) -> None:
    pg_db.execute(
        """
        CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('ok');
        CREATE TABLE shop.orders (id serial PRIMARY KEY, note text, at timestamptz);
        COMMENT ON COLUMN shop.orders.note IS 'free text';
        CREATE INDEX orders_at ON shop.orders (at);
        CREATE TABLE shop.items (id int GENERATED ALWAYS AS IDENTITY,
            order_id int REFERENCES shop.orders ON DELETE CASCADE, n int CONSTRAINT positive CHECK (n > 0));
        CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tr BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.f();
        CREATE VIEW shop.v AS SELECT 1 AS one;
        INSERT INTO shop.orders (note) VALUES ('a');
        """
    )
    before = reader.snapshot(pg_db)
    assert reader.diff_snapshots(before, reader.snapshot(pg_db)) == []
    for what, (sql, expected) in CHANGES.items():
        pg_db.execute(sql)
        after = reader.snapshot(pg_db)
        found = reader.diff_snapshots(before, after)
        assert [line for line in found if line.startswith(expected)], (what, found)
        before = after


def test_a_snapshot_leaves_out_what_is_named_and_only_that(pg_db: servers.Database) -> None:
    before = reader.snapshot(pg_db)
    pg_db.execute("CREATE SCHEMA sensei_ledger; CREATE TABLE sensei_ledger.t (id serial PRIMARY KEY, v text)")
    assert reader.diff_snapshots(before, reader.snapshot(pg_db)) == []
    assert reader.diff_snapshots(before, reader.snapshot(pg_db, ignore_prefixes=())) != []


def test_granting_and_revoking_again_is_no_change(pg_db: servers.Database) -> None:
    pg_db.execute("CREATE TABLE t (a int)")
    before = reader.snapshot(pg_db)
    pg_db.execute("GRANT SELECT ON t TO PUBLIC; REVOKE SELECT ON t FROM PUBLIC")
    assert reader.diff_snapshots(before, reader.snapshot(pg_db)) == []


LITE_CHANGES = {
    "an index dropped": ("DROP INDEX i", "index i: gone"),
    "a row doubled": ("INSERT INTO t (v) SELECT v FROM t LIMIT 1", "rows t: count"),
    "a value's storage class": ("UPDATE t SET v = 1.0 WHERE id = 1", "rows t: digest"),
    "a sequence moved": ("UPDATE sqlite_sequence SET seq = seq + 1", "sequence t: last"),
    "a version": ("PRAGMA user_version = 7", "file: user_version"),
    "a table's definition": ("ALTER TABLE t ADD COLUMN w", "table t: definition"),
    "a trigger added": ("CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END", "trigger tr: new"),
    "statistics": ("ANALYZE", "table sqlite_stat1: new"),
}


@pytest.mark.parametrize("what", LITE_CHANGES)
def test_a_snapshot_of_sqlite_shows(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    change(path, "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v)")
    change(path, "CREATE INDEX i ON t (v)")
    change(path, "INSERT INTO t (v) VALUES (1), (2)")
    before = reader.snapshot(path)
    change(path, "CREATE TABLE sensei_ledger (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    change(path, "INSERT INTO sensei_ledger DEFAULT VALUES")
    assert reader.diff_snapshots(before, reader.snapshot(path)) == []
    sql, expected = LITE_CHANGES[what]
    change(path, sql)
    found = reader.diff_snapshots(before, reader.snapshot(path))
    assert [line for line in found if line.startswith(expected)], found


def test_a_snapshot_can_demand_that_not_a_byte_changed(lite: Path) -> None:
    before = reader.snapshot(lite, file_bytes=True)
    assert reader.diff_snapshots(before, reader.snapshot(lite, file_bytes=True)) == []
    change(lite, "UPDATE t SET a = 'other' WHERE id = 1")
    change(lite, "UPDATE t SET a = 'Edinburgh ' WHERE id = 1")
    found = reader.diff_snapshots(before, reader.snapshot(lite, file_bytes=True))
    assert [line for line in found if not line.startswith("file: sha256")] == []
    assert len(found) == 1


@pytest.mark.parametrize("name", ["chinook", "pagila"])
def test_two_copies_of_a_real_database_have_the_same_snapshot(
    name: str, pg_dataset: Callable[[str], servers.Database]
) -> None:
    one, other = pg_dataset(name), pg_dataset(name)
    before = reader.snapshot(one)
    assert len(before) > 100
    assert reader.diff_snapshots(before, reader.snapshot(other)) == []
    assert reader.compare_databases(one, other) == []
