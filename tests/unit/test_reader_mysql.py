"""The independent reader of MariaDB can fail: each kind of damage that it must see, done on purpose."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fix_mysql
import reader
import reader_rows
import servers
from reader import Kind

TABLE = """
CREATE TABLE t (
    id bigint unsigned PRIMARY KEY, a longtext, b varchar(20) COLLATE utf8mb4_bin, c char(5), n decimal(12,2),
    f double, r float, yes tinyint(1), raw longblob, d date, clock time(6), naive datetime(6),
    aware timestamp(6) NULL, u char(36), doc json, plain json, y year, bits bit(12), mood enum('ok', 'bad'),
    things set('x', 'y'), old varchar(20) CHARACTER SET latin1
) DEFAULT CHARSET utf8mb4
"""
ROWS = r"""
INSERT INTO t VALUES
(1, 'Edinburgh ', 'x', 'ab', 12.50, 0.0, 0.1, 1, x'00ff', '2024-02-29', '23:59:59.000001',
 '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.000001', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
 '{"b": [1, 2.50, true, null], "a": "é"}', '{"b":1}', 2024, b'101', 'bad', 'y,x', 'Grüße'),
(2, '', 'y', '', -0.01, 1e20, 3.4028234663852886e38, 0, '', '1000-01-01', '00:00', '9999-12-31 23:59:59.999999',
 '1970-01-01 00:00:01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '1', 'null', 0, 0, 'ok', '', ''),
(18446744073709551615, 'tab\tline\nback\\slash', 'á', '  x', 0, 5e-324, 16777217, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, 'null', NULL, NULL, NULL, NULL, NULL, NULL)
"""
POSTGRES = """
CREATE TABLE t (
    id numeric(20,0) PRIMARY KEY, a text, b varchar(20), c char(5), n numeric(12,2), f float8, r real, yes boolean,
    raw bytea, d date, clock time, naive timestamp, aware timestamptz, u uuid, doc jsonb, plain json, y smallint,
    bits integer, mood text, things text, old text
)
"""
POSTGRES_ROWS = """
INSERT INTO t VALUES
(1, 'Edinburgh ', 'x', 'ab', 12.50, 0.0, 0.1, true, '\\x00ff', '2024-02-29', '23:59:59.000001',
 '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.000001+00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
 '{"a": "é", "b": [1, 2.50, true, null]}', '{"b":1}', 2024, 5, 'bad', 'x,y', 'Grüße'),
(2, '', 'y', '', -0.01, 1e20, 3.4028235e38, false, '', '1000-01-01', '00:00', '9999-12-31 23:59:59.999999',
 '1970-01-01 00:00:01+00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '1', 'null', 0, 0, 'ok', '', ''),
(18446744073709551615, E'tab\\tline\\nback\\\\slash', 'á', '  x', 0, 5e-324, 16777217, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, 'null', NULL, NULL, NULL, NULL, NULL, NULL)
"""
LITE = """
CREATE TABLE t (id TEXT, a TEXT, b TEXT, c TEXT, n TEXT, f REAL, r REAL, yes INTEGER, raw BLOB, d TEXT, clock TEXT,
    naive TEXT, aware TEXT, u TEXT, doc TEXT, plain TEXT, y INTEGER, bits INTEGER, mood TEXT, things TEXT, old TEXT);
INSERT INTO t VALUES ('1', 'Edinburgh ', 'x', 'ab', '12.50', 0.0, 0.10000000149011612, 1, x'00ff', '2024-02-29',
 '23:59:59.000001', '2024-02-29 01:02:03.000001', '2024-02-29 01:02:03.000001Z',
 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b": [1, 2.50, true, null], "a": "é"}', '{"b":1}', 2024, 5, 'bad', 'x,y',
 'Grüße');
INSERT INTO t VALUES ('2', '', 'y', '', '-0.01', 1e20, 3.4028234663852886e38, 0, x'', '1000-01-01', '00:00:00',
 '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01+00:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', '1', 'null', 0, 0,
 'ok', '', '');
INSERT INTO t (id, a, b, c, n, f, r, doc) VALUES ('18446744073709551615',
 'tab' || char(9) || 'line' || char(10) || 'back\\slash', 'á', '  x', '0.00', 5e-324, 16777216.0, 'null');
"""
#: SQLite has no unsigned 64-bit integers: the key is compared as text of an exact number.
KEY = {"id": Kind("decimal", 0)}


@pytest.fixture(scope="module")
def shared(mysql_server: servers.MysqlServer) -> Iterator[servers.MysqlDatabase]:
    """The table twice, t and twin, for the tests that repair what they damage."""
    database = mysql_server.create_db()
    database.execute(f"{TABLE}; {ROWS}; CREATE TABLE twin LIKE t; INSERT INTO twin SELECT * FROM t")
    yield database
    fix_mysql.tidy([database])


@pytest.fixture(scope="module")
def postgres(pg_server: servers.PostgresServer) -> Iterator[servers.Database]:
    database = pg_server.create_db()
    database.execute(f"{POSTGRES}; {POSTGRES_ROWS}")
    yield database
    pg_server.start()
    pg_server.drop_db(database.name)


@pytest.fixture
def lite(tmp_path: Path) -> Path:
    path = tmp_path / "lite.db"
    connection = sqlite3.connect(path)
    connection.executescript(LITE.replace("\\\\", "\\"))
    connection.close()
    return path


def test_equal_tables_have_no_differences_whatever_the_servers_defaults(shared: servers.MysqlDatabase) -> None:
    assert reader.compare_tables(shared, "t", shared, "twin", key=["id"]) == []
    assert reader.table_digest(shared, "t") == reader.table_digest(shared, (shared.name, "twin"))
    assert reader.count(shared, "t") == 3
    assert reader.tables(shared) == ["t", "twin"]


def test_a_faithful_copy_in_the_other_engines_has_no_differences(
    shared: servers.MysqlDatabase, postgres: servers.Database, lite: Path
) -> None:
    assert reader.compare_tables(shared, "t", postgres, "t", key=["id"]) == []
    assert reader.compare_tables(postgres, "t", shared, "t", key=["id"]) == []
    assert reader.compare_tables(shared, "t", lite, "t", key=["id"], kinds=KEY) == []


DAMAGE = {
    "one blank less": "a = 'Edinburgh' WHERE id = 1",
    "one blank more": "b = 'x ' WHERE id = 1",
    "another case": "b = 'X' WHERE id = 1",
    "empty for null": "raw = '' WHERE a LIKE 'tab%'",
    "null for empty": "a = NULL WHERE id = 2",
    "the other normal form": "b = 'a\u0301' WHERE a LIKE 'tab%'",
    "a letter for a tab": "a = REPLACE(a, '\t', 't') WHERE a LIKE 'tab%'",
    "a backslash less": "a = REPLACE(a, '\\\\', '') WHERE a LIKE 'tab%'",
    "one bit of a float": "f = 1.0000000000000002e20 WHERE id = 2",
    "the smallest float": "f = 0 WHERE a LIKE 'tab%'",
    "one bit of a single float": "r = 0.10000001 WHERE id = 1",
    "a float that prints the same": "r = 16777218 WHERE a LIKE 'tab%'",
    "swapped columns": "a = (@x := a), a = b, b = @x WHERE id = 1",
    "a cent": "n = 12.51 WHERE id = 1",
    "the last of many digits": "id = 18446744073709551614 WHERE a LIKE 'tab%'",
    "a microsecond": "naive = '2024-02-29 01:02:03.000002' WHERE id = 1",
    "a microsecond of an instant": "aware = '2024-02-29 01:02:03' WHERE id = 1",
    "a zone": "aware = '2024-02-29 06:47:03.000001' WHERE id = 1",
    "a microsecond of the day": "clock = '23:59:59' WHERE id = 1",
    "more than a day": "clock = '24:00:00' WHERE id = 2",
    "a zero date": "d = '0000-00-00' WHERE id = 2",
    "true for false": "yes = 1 WHERE id = 2",
    "two for true": "yes = 2 WHERE id = 1",
    "a byte": "raw = x'00fe' WHERE id = 1",
    "a JSON true for 1": "doc = 'true' WHERE id = 2",
    "JSON null for NULL": "doc = NULL WHERE a LIKE 'tab%'",
    "a blank in json": "plain = '{\"b\": 1}' WHERE id = 1",
    "another uuid": "u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13' WHERE id = 1",
    "a year": "y = 2023 WHERE id = 1",
    "a bit": "bits = 4 WHERE id = 1",
    "another label": "mood = 'ok' WHERE id = 1",
    "a member": "things = 'x' WHERE id = 1",
    "a letter of an older character set": "old = 'Gruße' WHERE id = 1",
    "a key": "id = 4 WHERE id = 2",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_against_every_engine(
    what: str, shared: servers.MysqlDatabase, postgres: servers.Database, lite: Path
) -> None:
    connection = shared.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")  # damage may be what a strict session refuses
            assert cursor.execute(f"UPDATE twin SET {DAMAGE[what]}") == 1
        assert reader.compare_tables(shared, "t", shared, "twin", key=["id"]) != []
        assert reader.compare_tables(postgres, "t", shared, "twin", key=["id"]) != []
        assert reader.compare_tables(shared, "twin", postgres, "t", key=["id"]) != []
        assert reader.compare_tables(shared, "twin", lite, "t", key=["id"], kinds=KEY) != []
        assert reader.table_digest(shared, "t") != reader.table_digest(shared, "twin")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM twin")
            cursor.execute("INSERT INTO twin SELECT * FROM t")
        connection.close()
    assert reader.compare_tables(shared, "t", shared, "twin") == []


def test_missing_doubled_and_additional_rows_are_told_apart(mysql_db: servers.MysqlDatabase) -> None:
    mysql_db.execute(
        "CREATE TABLE a (x int, y text); CREATE TABLE b LIKE a;"
        "INSERT INTO a VALUES (1, 'a'), (1, 'a'), (2, NULL), (2, NULL); INSERT INTO b SELECT * FROM a"
    )
    assert reader.compare_tables(mysql_db, "a", mysql_db, "b") == []
    mysql_db.execute("DELETE FROM b; INSERT INTO b VALUES (3, 'a'), (3, 'a'), (4, NULL), (4, NULL)")
    assert len(reader.compare_tables(mysql_db, "a", mysql_db, "b")) == 8
    mysql_db.execute("TRUNCATE b; INSERT INTO b VALUES (1, 'a')")
    assert reader.compare_tables(mysql_db, "a", mysql_db, "b")[0] == "4 rows in the source, 1 in the target"


def test_types_that_cannot_mean_the_same_are_a_difference(
    mysql_db: servers.MysqlDatabase, pg_db: servers.Database
) -> None:
    mysql_db.execute("CREATE TABLE t (a double, b int, c varchar(9), d datetime(6), e int)")
    pg_db.execute("CREATE TABLE t (a numeric, b text, c bytea, d timestamptz, e boolean)")
    found = reader.compare_tables(mysql_db, "t", pg_db, "t")
    assert [line.split()[1] for line in found] == ["a", "b", "c"]


def test_the_reader_writes_nothing_and_sees_one_moment(mysql_db: servers.MysqlDatabase) -> None:
    mysql_db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    opened = reader_rows.open_reader(mysql_db)
    try:
        mysql_db.execute("INSERT INTO t VALUES (2)")
        assert opened.query("SELECT count(*) FROM t") == [("1",)]
        with pytest.raises(Exception, match="READ ONLY"):
            opened.query("DELETE FROM t")
    finally:
        opened.close()


CHANGES = {
    "an index dropped": ("DROP INDEX orders_at ON orders", "index orders.orders_at: gone"),
    "an index of fewer letters": (
        "DROP INDEX orders_note ON orders; CREATE INDEX orders_note ON orders (note(5))",
        "index orders.orders_note: parts",
    ),
    "a counter moved": ("ALTER TABLE orders AUTO_INCREMENT = 1000", "table orders: auto_increment"),
    "a comment changed": ("ALTER TABLE orders COMMENT 'other'", "table orders: table_comment"),
    "a column's comment": (
        "ALTER TABLE orders MODIFY note varchar(50) COMMENT 'x'",
        "column orders.note: column_comment",
    ),
    "a collation": (
        "ALTER TABLE orders MODIFY note varchar(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "column orders.note: collation_name",
    ),
    "a default changed": ("ALTER TABLE orders ALTER note SET DEFAULT 'x'", "column orders.note: column_default"),
    "an engine": ("ALTER TABLE plain ENGINE = Aria", "table plain: engine"),
    "a row changed": ("UPDATE orders SET note = CONCAT(note, ' ')", "rows orders: digest"),
    "a row deleted": ("DELETE FROM orders", "rows orders: count"),
    "a trigger changed": (
        "DROP TRIGGER tr; CREATE TRIGGER tr BEFORE UPDATE ON orders FOR EACH ROW SET NEW.note = 'y'",
        "trigger tr: action_statement",
    ),
    "a foreign key's action": (
        "ALTER TABLE items DROP FOREIGN KEY items_order;"
        "ALTER TABLE items ADD CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders (id)",
        "constraint items.items_order FOREIGN KEY: rules",
    ),
    "a check dropped": ("ALTER TABLE items DROP CONSTRAINT positive", "check items.positive: gone"),
    "a view changed": ("CREATE OR REPLACE VIEW v AS SELECT 2 AS one", "view v: view_definition"),
    "a function changed": (
        "DROP FUNCTION f; CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 2",
        "routine FUNCTION f: routine_definition",
    ),
    "an event switched off": ("ALTER EVENT e DISABLE", "event e: status"),
    "a sequence moved": ("DO NEXTVAL(s)", "table s: next_not_cached_value"),
    "a partition added": (
        "ALTER TABLE parts ADD PARTITION (PARTITION p2 VALUES LESS THAN (20))",
        "partition parts.p2: new",
    ),
    "a grant on a table": ("GRANT SELECT ON orders TO snapshot_user", "grant on a table orders snapshot_user@%: new"),
    "a grant on the database": (
        "DELIMITED",
        "grant on the database snapshot_user@%: new",
    ),
    "a table added": ("CREATE TABLE more (a int)", "table more: new"),
    "a database left behind": ("CREATE DATABASE left_behind", "beside `left_behind`: new"),
    "a database's character set": ("ALTER DATABASE CHARACTER SET latin1", "database: default_character_set_name"),
}


def test_a_snapshot_shows_every_kind_of_change(mysql_db: servers.MysqlDatabase) -> None:
    mysql_db.execute(
        """
        CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, note varchar(50), at datetime,
            INDEX orders_at (at), INDEX orders_note (note(10)));
        CREATE TABLE items (id int PRIMARY KEY, order_id int, n int, CONSTRAINT positive CHECK (n > 0),
            CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);
        CREATE TABLE plain (a int);
        CREATE TABLE parts (a int) PARTITION BY RANGE (a) (PARTITION p1 VALUES LESS THAN (10));
        CREATE SEQUENCE s NOCACHE;
        CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1;
        CREATE TRIGGER tr BEFORE UPDATE ON orders FOR EACH ROW SET NEW.at = '2024-01-01';
        CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
        CREATE VIEW v AS SELECT 1 AS one;
        INSERT INTO orders (note) VALUES ('a');
        """
    )
    mysql_db.server.create_user(name="snapshot_user")
    try:
        before = reader.snapshot(mysql_db)
        assert reader.diff_snapshots(before, reader.snapshot(mysql_db)) == []
        for what, (sql, expected) in CHANGES.items():
            if sql == "DELIMITED":
                sql = f"GRANT SELECT ON `{mysql_db.name}`.* TO snapshot_user"
            mysql_db.execute(sql)
            after = reader.snapshot(mysql_db)
            found = reader.diff_snapshots(before, after)
            assert [line for line in found if line.startswith(expected)], (what, found)
            before = after
    finally:
        mysql_db.server.drop_user("snapshot_user")
        mysql_db.server.drop_db("left_behind")


def test_dropping_and_making_again_the_same_is_no_change(mysql_db: servers.MysqlDatabase) -> None:
    trigger = "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW SET NEW.a = 1"
    mysql_db.execute(f"CREATE TABLE t (a int, INDEX t_a (a)); {trigger}")
    before = reader.snapshot(mysql_db)
    mysql_db.execute(f"DROP TRIGGER tr; {trigger}; DROP INDEX t_a ON t; CREATE INDEX t_a ON t (a); ANALYZE TABLE t")
    assert reader.diff_snapshots(before, reader.snapshot(mysql_db)) == []


def test_a_snapshot_leaves_out_what_is_named_and_only_that(mysql_db: servers.MysqlDatabase) -> None:
    before = reader.snapshot(mysql_db)
    mysql_db.execute(
        "CREATE TABLE sensei_ledger (id int AUTO_INCREMENT PRIMARY KEY); CREATE DATABASE sensei_evidence_x"
    )
    assert reader.diff_snapshots(before, reader.snapshot(mysql_db)) == []
    assert len(reader.diff_snapshots(before, reader.snapshot(mysql_db, ignore_prefixes=("nothing",)))) >= 3


@pytest.mark.parametrize("name", ["chinook", "sakila"])
def test_two_copies_of_a_real_database_have_the_same_snapshot(
    name: str, mysql_dataset: Callable[[str], servers.MysqlDatabase]
) -> None:
    one, other = mysql_dataset(name), mysql_dataset(name)
    assert reader.compare_databases(one, other) == []
    before, after = (
        {k: v for k, v in reader.snapshot(d).items() if k.startswith(("rows", "column", "index", "check"))}
        for d in (one, other)
    )
    assert len(before) > 80
    assert reader.diff_snapshots(before, after) == []
