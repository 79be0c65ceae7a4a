"""What only SQLite has: storage classes that no declared type rules, stored definitions, one file, one writer."""

from __future__ import annotations

import os
import random
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

import servers
from sensei import catalog, engines, errors
from sensei.catalog import floattext, rowtext, types
from sensei.catalog.types import Kind, LogicalType
from sensei.engines import base

ENGINE = engines.for_url("sqlite:///x")
TABLE = catalog.TableName("", "t")
Open = Callable[..., base.Session]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some file?#%.db"


def url(path: Path) -> str:
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F').replace('#', '%23')}"


@pytest.fixture
def connect(path: Path) -> Iterator[Open]:
    opened: list[base.Session] = []

    def make(purpose: base.Purpose = base.Purpose.SOURCE, at: Path | None = None, query: str = "") -> base.Session:
        opened.append(ENGINE.connect(url(at or path) + query, purpose))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


def write(path: Path, script: str, *rows: tuple[str, Any]) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(script)
        for sql, values in rows:
            db.execute(sql, values)
    db.close()


def table_of(session: base.Session, name: str = "t") -> catalog.Table:
    found = ENGINE.introspect.catalog(session, None).table(catalog.TableName("", name))
    assert found is not None
    return found


def read_spec(table: catalog.Table, guard: bool = True, *columns: str) -> base.ReadSpec:
    wanted = [c for c in table.columns if not columns or c.name in columns]
    return base.ReadSpec(
        table.name, tuple(base.ReadColumn(c.name, c.type, guard) for c in wanted), ENGINE.rows.key(table)
    )


def text_of(session: base.Session, table: catalog.Table, guard: bool = True) -> bytes:
    blocks = ENGINE.rows.read(session, read_spec(table, guard), base.Form.TEXT)
    return b"".join(b for b in blocks if isinstance(b, bytes))


def load_spec(table: catalog.Table) -> base.LoadSpec:
    return base.LoadSpec(table.name, tuple((c.name, c.type) for c in table.columns))


# -- session


def test_a_missing_source_is_refused_and_never_made(path: Path, connect: Open) -> None:
    with pytest.raises(errors.ConnectFailed, match="there is no such file"):
        connect()
    assert not path.exists()


def test_connecting_to_a_missing_target_and_reading_it_makes_no_file(path: Path, connect: Open) -> None:
    target = connect(base.Purpose.TARGET)
    assert target.rows("SELECT name FROM sqlite_schema") == []
    assert ENGINE.introspect.catalog(target, None).tables == ()
    ENGINE.introspect.identity(target)
    ENGINE.rows.marker(target)
    assert not path.exists()
    with base.transaction(target):
        target.run("CREATE TABLE t (a)")
    assert path.exists()
    assert connect().rows("SELECT name FROM sqlite_schema") == [("t",)]


def test_a_stand_in_notices_that_another_process_made_the_file(path: Path, connect: Open) -> None:
    target = connect(base.Purpose.TARGET)
    write(path, "CREATE TABLE t (a)")
    assert target.rows("SELECT name FROM sqlite_schema") == [("t",)]


def test_a_source_can_not_be_written(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a)")
    with pytest.raises(errors.MissingPrivilege):
        connect().run("INSERT INTO t VALUES (1)")


def test_a_file_that_is_no_database_is_said_at_once(path: Path, connect: Open) -> None:
    path.write_bytes(b"this is some text, long enough to be taken for a header" * 40)
    with pytest.raises(errors.ConnectFailed, match="not an SQLite database"):
        connect()


@pytest.mark.parametrize("bad", ["sqlite://host/file", "sqlite:///", "sqlite:///a%00b"])
def test_a_url_without_a_file_is_bad_input(bad: str) -> None:
    with pytest.raises(errors.BadInput):
        ENGINE.connect(bad, base.Purpose.SOURCE)


def test_a_misspelt_quoted_column_is_an_error_and_not_a_string(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a)")
    with pytest.raises(errors.ServerFailed):
        connect().rows('SELECT "b" FROM t')


def test_a_second_writer_is_told_to_come_again(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a)")
    first = connect(base.Purpose.TARGET)
    first.begin()
    second = connect(base.Purpose.TARGET, query="?timeout=0.05")
    with pytest.raises(errors.Transient) as caught:
        second.begin()
    assert caught.value.retryable and caught.value.side == "target"
    first.rollback()
    second.begin()
    second.rollback()


def test_violations_arrive_as_rejected_data_with_their_names(path: Path, connect: Open) -> None:
    write(
        path,
        "CREATE TABLE t (a INT CONSTRAINT positive CHECK (a > 0), b INT NOT NULL, c UNIQUE);"
        "INSERT INTO t VALUES (1, 1, 1)",
    )
    target = connect(base.Purpose.TARGET)
    for sql, constraint, duplicate in (
        ("INSERT INTO t VALUES (0, 1, 2)", "positive", False),
        ("INSERT INTO t VALUES (1, NULL, 2)", "NOT NULL", False),
        ("INSERT INTO t VALUES (1, 1, 1)", "UNIQUE", True),
    ):
        with pytest.raises(errors.DataRejected) as caught:
            target.run(sql)
        assert (caught.value.details["constraint"], caught.value.duplicate) == (constraint, duplicate)
    with pytest.raises(errors.UnknownName):
        target.rows("SELECT 1 FROM nobody")


def test_a_full_disk_says_how_to_go_on(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a)")
    target = connect(base.Purpose.TARGET)
    target.rows("PRAGMA max_page_count = 3")
    with pytest.raises(errors.OutOfSpace) as caught, base.transaction(target):
        target.run("INSERT INTO t VALUES (zeroblob(100000))")
    assert "resume" in caught.value.hint
    assert target.rows("SELECT count(*) FROM t") == [(0,)]


def test_a_replaced_file_is_noticed(path: Path, connect: Open, tmp_path: Path) -> None:
    write(path, "CREATE TABLE t (a)")
    session = connect()
    session.confirm_pinned()
    write(tmp_path / "other.db", "CREATE TABLE t (a)")
    (tmp_path / "other.db").replace(path)
    with pytest.raises(errors.Refused):
        session.confirm_pinned()


def test_rows_affected_are_counted(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
    target = connect(base.Purpose.TARGET)
    assert target.run("UPDATE t SET a = a + ?", [1]) == 2
    assert target.run("UPDATE t SET a = 0 WHERE a = 99") == 0
    assert target.run("CREATE TABLE u (a)") == 0


# -- definitions

HOSTILE = "a\"b'c;--\n]`?%s (x, y) é/*"

DEFINITIONS = """
CREATE TABLE "par;ent" ("i""d" INTEGER PRIMARY KEY AUTOINCREMENT, [co de] TEXT COLLATE NOCASE NOT NULL,
  CONSTRAINT "the code" UNIQUE ([co de]));
CREATE TABLE child (
  id INT /* a comment, with ( and , */ CONSTRAINT pk PRIMARY KEY, -- CHECK (not this)
  `par` INTEGER DEFAULT -7 REFERENCES "par;ent" ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED,
  "check" TEXT DEFAULT 'it''s, (a) "text"' CHECK ("check" <> ')' AND length("check") < 10),
  amount DECIMAL(10, 2) NOT NULL DEFAULT 0.50,
  made DATETIME DEFAULT CURRENT_TIMESTAMP,
  day DATE DEFAULT (date('now')),
  odd DEFAULT (abs(-1) + 1),
  flag BOOLEAN DEFAULT TRUE,
  raw BLOB DEFAULT x'AB01',
  double INTEGER GENERATED ALWAYS AS (id * 2) STORED,
  triple INTEGER AS (id * 3),
  nil TEXT DEFAULT NULL,
  CONSTRAINT "sane, really" CHECK (amount >= 0 AND (flag OR 1)),
  UNIQUE (amount, made),
  FOREIGN KEY (day, odd) REFERENCES pair (x, y)
);
CREATE TABLE pair (y, x, z INT, PRIMARY KEY (x, y)) WITHOUT ROWID;
CREATE TABLE "selfish" (a INTEGER PRIMARY KEY, b INTEGER REFERENCES selfish);
CREATE TABLE exact (a INTEGER PRIMARY KEY, b TEXT, c ANY) STRICT;
CREATE INDEX "by;name" ON child ("check" COLLATE NOCASE DESC, amount) WHERE amount > 1 AND "check" <> ' WHERE ';
CREATE UNIQUE INDEX by_expression ON child (lower("check"), abs(amount) DESC);
CREATE VIEW v AS SELECT * FROM child;
CREATE TRIGGER tr AFTER INSERT ON child BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE search USING fts5(words);
CREATE TABLE sensei_objects (a);
CREATE TABLE sensei_evidence_mig_1_t (a);
CREATE VIEW stays AS SELECT 1;
"""


def test_a_stored_definition_is_read_to_its_last_clause(path: Path, connect: Open) -> None:
    write(path, DEFINITIONS)
    found = ENGINE.introspect.catalog(connect(), None)
    assert [t.name.name for t in found] == ["child", "exact", "pair", "par;ent", "search", "selfish"]
    child = found.table(catalog.TableName("", "child"))
    assert child is not None
    assert child.primary == catalog.Key("pk", ("id",))
    assert [(c.name, c.sql) for c in child.checks] == [
        ("child_check", '"check" <> \')\' AND length("check") < 10'),
        ("sane, really", "amount >= 0 AND (flag OR 1)"),
    ]
    assert [(u.name, u.columns) for u in child.uniques] == [("child_amount_made_key", ("amount", "made"))]
    first, second = child.foreign_keys
    assert (first.table.name, first.references, first.on_delete, first.on_update) == (
        "par;ent",
        ('i"d',),
        "SET NULL",
        "CASCADE",
    )
    assert (first.deferrable, first.deferred, second.deferrable) == (True, True, False)
    assert (second.columns, second.references) == (("day", "odd"), ("x", "y"))
    defaults = {c.name: (c.default.kind, c.default.value, c.default.sql) for c in child.columns if c.default}
    assert defaults == {
        "par": ("literal", "-7", "-7"),
        "check": ("literal", 'it\'s, (a) "text"', "'it''s, (a) \"text\"'"),
        "amount": ("literal", "0.50", "0.50"),
        "made": ("current_timestamp", "utc", "CURRENT_TIMESTAMP"),
        "day": ("current_date", "utc", "(date('now'))"),
        "odd": ("other", None, "(abs(-1) + 1)"),
        "flag": ("literal", "t", "TRUE"),
        "raw": ("literal", "\\xab01", "x'AB01'"),
        "nil": ("null", None, "NULL"),
    }
    assert {c.name: c.generated for c in child.columns if c.generated} == {"double": "id * 2", "triple": "id * 3"}
    parent = found.table(catalog.TableName("", "par;ent"))
    assert parent is not None
    assert (parent.columns[0].identity, parent.columns[0].nullable) == ("autoincrement", False)
    assert (parent.columns[1].collation, parent.uniques[0].name) == ("NOCASE", "the code")
    by_name, by_expression = child.indexes
    assert by_name.columns == (
        catalog.IndexColumn("check", descending=True, collation="NOCASE"),
        catalog.IndexColumn("amount"),
    )
    assert by_name.where == "amount > 1 AND \"check\" <> ' WHERE '"
    assert by_expression.columns == (
        catalog.IndexColumn(None, 'lower("check")'),
        catalog.IndexColumn(None, "abs(amount)", descending=True),
    )
    pair = found.table(catalog.TableName("", "pair"))
    assert pair is not None and pair.rowid is None and pair.primary is not None
    assert pair.primary.columns == ("x", "y")
    assert {(o.kind, o.name) for o in found.others if o.kind != "shadow table"} == {
        ("view", "v"),
        ("view", "stays"),
        ("trigger", "tr"),
        ("virtual table", "search"),
    }
    assert [(s.name.name, s.last_value, s.owner) for s in found.sequences] == [
        ("par;ent", None, (catalog.TableName("", "par;ent"), 'i"d'))
    ]


def test_clauses_that_a_copy_would_lack_are_listed(path: Path, connect: Open) -> None:
    write(
        path,
        "CREATE TABLE t (a TEXT UNIQUE ON CONFLICT REPLACE, b TEXT, c INT NOT NULL ON CONFLICT FAIL,"
        " PRIMARY KEY (b COLLATE NOCASE DESC, c) ON CONFLICT IGNORE)",
    )
    assert [(o.kind, o.name) for o in ENGINE.introspect.catalog(connect(), None).others] == [
        ("clause", "t: ON CONFLICT REPLACE"),
        ("clause", "t: ON CONFLICT FAIL"),
        ("clause", "t: COLLATE NOCASE of the key column b"),
        ("clause", "t: ON CONFLICT IGNORE"),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "sql"),
    [
        (Kind.TEXT, "it's", "'it''s'"),
        (Kind.INTEGER, "-7", "-7"),
        (Kind.FLOAT, "NaN", None),
        (Kind.DECIMAL, "1.50", "'1.50'"),
        (Kind.BOOLEAN, "t", "1"),
        (Kind.BYTES, "\\xab", "x'ab'"),
        (Kind.DATE, "2024-01-01", "'2024-01-01'"),
    ],
)
def test_a_portable_default_is_said_in_sqlite_or_not_at_all(
    connect: Open, kind: Kind, value: str, sql: str | None
) -> None:
    found = ENGINE.ddl.translate_default(catalog.Default("literal", "", value), LogicalType(kind))
    assert found == sql
    if found is not None:
        connect(base.Purpose.TARGET).run(f"CREATE TABLE t (a DEFAULT {found})")


def test_a_copy_made_from_the_catalog_has_the_same_catalog(path: Path, connect: Open, tmp_path: Path) -> None:
    write(path, DEFINITIONS)
    source = ENGINE.introspect.catalog(connect(), None)
    copy = connect(base.Purpose.TARGET, tmp_path / "copy.db")
    with base.transaction(copy):
        for table in source:
            if table.kind == "table":
                for sql in ENGINE.ddl.create(table):
                    copy.run(sql)
        for table in source:
            if table.kind == "table":
                for built in ENGINE.ddl.finish(table):
                    for sql in built.statements:
                        copy.run(sql)
    for table in source:
        if table.kind != "table":
            continue
        made = table_of(copy, table.name.name)
        for part in ("columns", "primary", "uniques", "foreign_keys", "checks", "rowid"):
            assert getattr(made, part) == getattr(table, part), (table.name, part)
        plain = [(i.name, i.columns, i.unique, i.where) for i in made.indexes]
        assert plain == [(i.name, i.columns, i.unique, i.where) for i in table.indexes]
    sql = dict(copy.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'table'"))
    assert sql["pair"].endswith("WITHOUT ROWID") and sql["exact"].endswith("STRICT")
    assert " STORED" in sql["child"] and " VIRTUAL" in sql["child"]


def test_a_hostile_name_is_only_a_name_everywhere(path: Path, connect: Open, tmp_path: Path) -> None:
    q = ENGINE.ddl.quote
    name = catalog.TableName("", HOSTILE)
    write(
        path,
        f"CREATE TABLE {q(HOSTILE)} ({q(HOSTILE + '1')} INTEGER PRIMARY KEY AUTOINCREMENT,"
        f" {q(HOSTILE + '2')} TEXT NOT NULL);"
        f"CREATE UNIQUE INDEX {q(HOSTILE + 'i')} ON {q(HOSTILE)} ({q(HOSTILE + '2')});"
        f"INSERT INTO {q(HOSTILE)} VALUES (5, 'x'), (7, '?')",
    )
    source = connect()
    table = table_of(source, HOSTILE)
    target = connect(base.Purpose.TARGET, tmp_path / "copy.db")
    with base.transaction(target):
        for sql in ENGINE.ddl.create(table):
            target.run(sql)
        blocks = ENGINE.rows.read(source, read_spec(table), base.Form.TEXT)
        assert ENGINE.rows.load(target, load_spec(table), base.Form.TEXT, blocks) == 2
        for built in ENGINE.ddl.finish(table):
            for sql in built.statements:
                target.run(sql)
            if built.violators:
                assert target.rows(f"SELECT 1 FROM {ENGINE.ddl.qualified(name)} AS c WHERE {built.violators}") == []
        for sql in ENGINE.ddl.prime(table, []):
            target.run(sql)
    assert target.rows(f"SELECT * FROM {q(HOSTILE)} WHERE {q(HOSTILE + '2')} = ?", ["?"]) == [(7, "?")]
    assert ENGINE.introspect.content(source, name) == ENGINE.introspect.content(target, name)
    assert ENGINE.rows.profile(source, table)[HOSTILE + "2"].misfits == 0
    assert target.rows("SELECT * FROM sqlite_sequence") == [(HOSTILE, 7)]
    assert ENGINE.rows.boundary(source, name, ENGINE.rows.key(table), None, 2) == (7,)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_a_name_that_sqlite_can_not_have_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput):
        ENGINE.ddl.quote(name)


def test_a_declared_type_of_any_text_can_be_written_again(path: Path, connect: Open, tmp_path: Path) -> None:
    write(path, 'CREATE TABLE t (a "my \'type; NOT NULL", b "primary key", c unsigned  big int, d varchar ( 10 ), e)')
    table = table_of(connect())
    target = connect(base.Purpose.TARGET, tmp_path / "copy.db")
    with base.transaction(target):
        target.run(ENGINE.ddl.create(table)[0])
    assert [(c.name, c.native, c.nullable) for c in table_of(target).columns] == [
        (c.name, c.native, True) for c in table.columns
    ]


@pytest.mark.parametrize(
    ("declared", "kind", "limits"),
    [
        ("INTEGER", Kind.INTEGER, (64, None, None, None)),
        ("UNSIGNED BIG INT", Kind.INTEGER, (64, None, None, None)),
        ("VARCHAR(20)", Kind.TEXT, (None, None, None, 20)),
        ("NATIVE CHARACTER(70)", Kind.TEXT, (None, None, None, 70)),
        ("TEXT(5)", Kind.TEXT, (None, None, None, None)),
        ("CLOB", Kind.TEXT, (None, None, None, None)),
        ("DOUBLE PRECISION", Kind.FLOAT, (64, None, None, None)),
        ("DECIMAL(10, 2)", Kind.DECIMAL, (None, 10, 2, None)),
        ("NUMERIC TEXT(38,10)", Kind.DECIMAL, (None, 38, 10, None)),
        ("numeric", Kind.DECIMAL, (None, None, None, None)),
        ("Boolean", Kind.BOOLEAN, (None, None, None, None)),
        ("DATETIME", Kind.TIMESTAMP, (None, None, None, None)),
        ("timestamp with time zone", Kind.TIMESTAMPTZ, (None, None, None, None)),
        ("UUID", Kind.UUID, (None, None, None, None)),
        ("JSON TEXT", Kind.JSON, (None, None, None, None)),
        ("JSONB", Kind.JSONB, (None, None, None, None)),
        ("BYTEA", Kind.BYTES, (None, None, None, None)),
        ("", Kind.ANY, (None, None, None, None)),
        ("STRANGE", Kind.DECIMAL, (None, None, None, None)),
    ],
)
def test_the_words_of_a_declared_type_say_what_it_means(
    path: Path, connect: Open, declared: str, kind: Kind, limits: tuple[int | None, ...]
) -> None:
    write(path, f"CREATE TABLE t (a {declared})")
    found = table_of(connect()).columns[0].type
    assert (found.kind, (found.bits, found.precision, found.scale, found.length)) == (kind, limits)


def test_dependents_are_views_triggers_and_foreign_keys_from_outside(path: Path, connect: Open) -> None:
    write(
        path,
        """CREATE TABLE t (a INTEGER PRIMARY KEY); CREATE TABLE u (a REFERENCES T); CREATE TABLE w (a REFERENCES u);
        CREATE VIEW v AS SELECT * FROM "t"; CREATE TRIGGER tr AFTER INSERT ON w BEGIN DELETE FROM [t]; END;""",
    )
    session = connect()
    assert ENGINE.introspect.dependents(session, [TABLE]) == ["foreign key of table u to T", "trigger tr", "view v"]
    both = [TABLE, catalog.TableName("", "u")]
    assert ENGINE.introspect.dependents(session, both) == ["foreign key of table w to u", "trigger tr", "view v"]


def test_a_word_that_only_looks_like_the_table_is_no_dependent(path: Path, connect: Open) -> None:
    write(
        path,
        """CREATE TABLE t (t INTEGER PRIMARY KEY); CREATE TABLE u (t TEXT DEFAULT 't', u);
        CREATE VIEW inner_view AS SELECT t FROM u WHERE t <> 't' -- t
        ; CREATE VIEW outer_view AS SELECT count(*) AS t FROM inner_view;
        CREATE TRIGGER tr AFTER UPDATE OF u ON u BEGIN UPDATE u SET t = 't'; END;""",
    )
    assert ENGINE.introspect.dependents(connect(), [TABLE]) == []
    write(path, "CREATE VIEW deep AS SELECT 1 WHERE 1 IN (SELECT x FROM (SELECT count(*) AS x FROM T))")
    assert ENGINE.introspect.dependents(connect(), [TABLE]) == ["view deep"]


def test_the_catalog_of_a_thousand_tables_takes_no_time(path: Path, connect: Open) -> None:
    write(
        path,
        "BEGIN;"
        + "".join(f"CREATE TABLE t{i} (a INTEGER PRIMARY KEY, b TEXT UNIQUE, c REFERENCES t0);" for i in range(1000))
        + "COMMIT",
    )
    session = connect()
    before = os.times().user
    assert len(ENGINE.introspect.catalog(session, None).tables) == 1000
    assert os.times().user - before < 5


# -- values

#: One column of each kind; what stands in it, and its canonical text; None in the place of text: it must be rejected.
VALUES: list[tuple[str, Any, str | None]] = [
    ("INTEGER", 2**63 - 1, "9223372036854775807"),
    ("INTEGER", 1.5, None),
    ("INTEGER", "many", None),
    ("DECIMAL(10,2)", 1, "1.00"),
    ("DECIMAL(10,2)", 19.99, "19.99"),
    ("DECIMAL(10,2)", -0.05, "-0.05"),
    ("DECIMAL(10,2)", 99999999.99, "99999999.99"),
    ("DECIMAL(10,2)", 100000000, None),
    ("DECIMAL(10,2)", 0.999, None),
    ("DECIMAL(10,2)", 0.1 + 0.2, None),
    ("DECIMAL(10,2)", "NaN", None),
    ("DECIMAL(10,2)", "12 apples", None),
    ("DECIMAL(10,2)", b"1", None),
    ("DECIMAL(20,2)", 10**17, "100000000000000000.00"),
    ("DECIMAL(20,2)", 0.25, "0.25"),
    ("NUMERIC TEXT(30,3)", "123456789012345678901234567.890", "123456789012345678901234567.890"),
    ("NUMERIC TEXT(30,3)", "-1.5", "-1.500"),
    ("NUMERIC TEXT(30,3)", "007.500", "7.500"),
    ("NUMERIC TEXT(30,3)", "1.2345", None),
    ("NUMERIC TEXT", "1.500", "1.500"),
    ("NUMERIC TEXT", "NaN", "NaN"),
    ("NUMERIC", 0.1, "0.1"),
    ("NUMERIC", 1e20, "100000000000000000000"),
    ("REAL", 0.1, "0.1"),
    ("REAL", 1 / 3, "0.3333333333333333"),
    ("REAL", 5.0, "5"),
    ("REAL", -1234.0, "-1234"),
    ("REAL", 0.0, "0"),
    ("REAL", 1e15, "1e+15"),
    ("REAL", 999999999999999.0, "999999999999999"),
    ("REAL", 1e-5, "1e-05"),
    ("REAL", 0.0001, "0.0001"),
    ("REAL", 5e-324, "5e-324"),
    ("REAL", float("inf"), "Infinity"),
    ("REAL", "wide", None),
    ("BOOLEAN", 1, "t"),
    ("BOOLEAN", 0, "f"),
    ("BOOLEAN", 2, None),
    ("BOOLEAN", "yes", None),
    ("TEXT", "tab\tnew\nline\\back\rslash\b\v\f", "tab\\tnew\\nline\\\\back\\rslash\\b\\v\\f"),
    ("TEXT", "\\N", "\\\\N"),
    ("TEXT", "", ""),
    ("TEXT", "sep\x1farators\x1e and \x1dmarks", "sep\x1farators\x1e and \x1dmarks"),
    ("TEXT", "sensei-misfit: not at all", "sensei-misfit: not at all"),
    ("TEXT", "e\u0301 \N{PILE OF POO} \u2028", "e\u0301 \N{PILE OF POO} \u2028"),
    ("TEXT", b"bytes", None),
    ("VARCHAR(3)", "longer ", "longer "),
    ("BLOB", b"\x00\xff\\\t", "\\\\x00ff5c09"),
    ("BLOB", b"", "\\\\x"),
    ("BLOB", "text", None),
    ("DATE", "2024-02-29", "2024-02-29"),
    ("DATE", "9999-12-31", "9999-12-31"),
    ("DATE", "infinity", "infinity"),
    ("DATE", "2023-02-29", None),
    ("DATE", "0000-00-00", None),
    ("DATE", "now", None),
    ("DATE", 2009, None),
    ("DATE", "2024-01-01 00:00:00", None),
    ("TIME", "12:34:56", "12:34:56"),
    ("TIME", "12:34:56.500", "12:34:56.5"),
    ("TIME", "12:34", "12:34:00"),
    ("TIME", "25:00:00", None),
    ("DATETIME", "2024-01-02 03:04:05", "2024-01-02 03:04:05"),
    ("DATETIME", "2024-01-02T03:04:05", "2024-01-02 03:04:05"),
    ("DATETIME", "2024-01-02 03:04:05.120", "2024-01-02 03:04:05.12"),
    ("DATETIME", "2024-01-02 03:04:05.123456", "2024-01-02 03:04:05.123456"),
    ("DATETIME", "2024-01-02", "2024-01-02 00:00:00"),
    ("DATETIME", "2024-01-02 03:04:05Z", None),
    ("DATETIME", "2024-01-02 03:04:05.1234567", None),
    ("DATETIME", 1700000000, None),
    ("TIMESTAMPTZ", "2024-01-02 03:04:05+00", "2024-01-02 03:04:05+00"),
    ("TIMESTAMPTZ", "2024-01-02T03:04:05.5+02:00", "2024-01-02 01:04:05.5+00"),
    ("TIMESTAMPTZ", "2024-01-02 03:04:05", None),
    ("UUID", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("UUID", "a0eebc99-9c0b-4ef8-bb6d", None),
    ("JSON TEXT", '{"b": 1,  "a": "\\n"}', '{"b": 1,  "a": "\\\\n"}'),
    ("JSON TEXT", "{not json", None),
    ("JSON", 12, "12"),
    ("", 7, "7"),
    ("", "7", "7"),
    ("", b"\x07", "\\\\x07"),
    ("", -0.0, "-0"),
]


@pytest.mark.parametrize(("declared", "value", "text"), VALUES)
def test_every_storage_class_is_rendered_right_or_rejected(
    path: Path, connect: Open, declared: str, value: Any, text: str | None
) -> None:
    write(
        path,
        f"CREATE TABLE t (before TEXT, a {declared}, after INTEGER)",
        ("INSERT INTO t VALUES ('b', ?, 1)", [value]),
    )
    session = connect()
    table = table_of(session)
    facts = ENGINE.rows.profile(session, table)["a"]
    guarded = text_of(session, table)
    if text is None:
        assert facts.misfits == 1 and "rowid 1" in facts.sample
        if table.columns[1].type.kind in (Kind.TEXT, Kind.BYTES):
            assert guarded.count(b"\t") == 3
        else:
            assert guarded.startswith(b"b\tsensei-misfit: ") and guarded.endswith(b"\t1\n")
    else:
        assert facts.misfits == 0
        assert guarded == f"b\t{text}\t1\n".encode()
        # What a scan found clean needs no guard.
        assert text_of(session, table, guard=False) == guarded


def test_null_is_null_and_nothing_else_is(path: Path, connect: Open) -> None:
    write(
        path,
        "CREATE TABLE t (a TEXT, b BLOB, c INT PRIMARY KEY);"
        "INSERT INTO t VALUES (NULL, NULL, NULL), ('\\N', x'5c4e', 1)",
    )
    session = connect()
    table = table_of(session)
    for guard in (True, False):
        assert text_of(session, table, guard) == b"\\N\t\\N\t\\N\n\\\\N\t\\\\x5c4e\t1\n"
    facts = ENGINE.rows.profile(session, table)
    assert [facts[c].nulls for c in "abc"] == [1, 1, 1]


def test_blocks_join_to_the_same_text_however_awkward_the_rows_between(path: Path, connect: Open) -> None:
    rng = random.Random(5)
    texts = ["plain", "a\tb", "x\x1fy", "\\N", None, "\x1e", "é" * 400, "", "n\nn"]
    rows = [(i, rng.choice(texts) if i > 30_000 else "clean" * 5) for i in range(1, 40_001)]
    write(path, "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO t VALUES (?, ?)", rows)
    db.close()
    session = connect()
    expected = "".join(rowtext.join_line([str(a), b]) for a, b in rows).encode()
    assert text_of(session, table_of(session), guard=False) == expected


def test_text_that_is_not_utf8_reaches_the_target_as_it_is(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a TEXT NOT NULL); INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT))")
    session = connect()
    assert text_of(session, table_of(session)) == b"a\xffb\n"
    assert ENGINE.introspect.content(session, TABLE)[0] == 1
    target = connect(base.Purpose.TARGET)
    with pytest.raises(errors.DataRejected, match="UTF-8"), base.transaction(target):
        ENGINE.rows.load(target, load_spec(table_of(target)), base.Form.TEXT, [b"a\xffb\n"])


def test_a_date_that_is_not_even_utf8_is_a_misfit(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a DATE, b REAL); INSERT INTO t VALUES (CAST(x'ff' AS TEXT), CAST(x'fe' AS TEXT))")
    session = connect()
    table = table_of(session)
    assert [f.misfits for f in ENGINE.rows.profile(session, table).values()] == [1, 1]
    assert text_of(session, table) == b"sensei-misfit: blob ff\tsensei-misfit: blob fe\n"


def test_a_large_value_passes_in_both_forms(path: Path, connect: Open, tmp_path: Path) -> None:
    write(
        path,
        "CREATE TABLE t (a BLOB, b TEXT)",
        ("INSERT INTO t VALUES (?, ?)", [os.urandom(100) * 100_000, "é" * 5_000_000]),
    )
    source = connect()
    table = table_of(source)
    for form in (base.Form.TEXT, base.Form.VALUES):
        target = connect(base.Purpose.TARGET, tmp_path / f"{form}.db")
        with base.transaction(target):
            target.run(ENGINE.ddl.create(table)[0])
            ENGINE.rows.load(target, load_spec(table), form, ENGINE.rows.read(source, read_spec(table), form))
        assert ENGINE.introspect.content(target, TABLE) == ENGINE.introspect.content(source, TABLE)


def test_values_keep_every_storage_class_misfits_included(path: Path, connect: Open, tmp_path: Path) -> None:
    write(
        path,
        "CREATE TABLE t (a INTEGER, b DECIMAL(5,2), c TEXT, d DATE, e)",
        *[("INSERT INTO t VALUES (?, ?, ?, ?, ?)", row) for row in [
            (1, 1.5, "x", "2024-01-01", -0.0), ("one", 0.999, b"\xff", 5, None), (1.5, "a", "\0", b"", "1"),
        ]],
    )  # fmt: skip
    source = connect()
    table = table_of(source)
    target = connect(base.Purpose.TARGET, tmp_path / "copy.db")
    with base.transaction(target):
        target.run(ENGINE.ddl.create(table)[0])
        blocks = ENGINE.rows.read(source, read_spec(table, False), base.Form.VALUES)
        assert ENGINE.rows.load(target, load_spec(table), base.Form.VALUES, blocks) == 3
    shown = (
        "SELECT typeof(a), quote(a), typeof(b), quote(b), typeof(c), quote(c), typeof(d), quote(d), typeof(e) FROM t"
    )
    assert target.rows(shown) == source.rows(shown)
    assert struct.pack(">d", target.rows("SELECT e FROM t")[0][0]) == struct.pack(">d", -0.0)


# -- loading canonical text

#: As PostgreSQL's columns are carried: logical type, canonical text, and what must be read back (None: rejected).
LOADED: list[tuple[LogicalType, str, bool]] = [
    (LogicalType(Kind.INTEGER, bits=64), "-9223372036854775808", True),
    (LogicalType(Kind.INTEGER, bits=16), "32767", True),
    (LogicalType(Kind.DECIMAL, precision=15, scale=2), "9999999999999.99", True),
    (LogicalType(Kind.DECIMAL, precision=15, scale=2), "0.10", True),
    (LogicalType(Kind.DECIMAL, precision=15, scale=2), "100.00", True),
    (LogicalType(Kind.DECIMAL, precision=15, scale=15), "0.000000000000001", True),
    (LogicalType(Kind.DECIMAL, precision=15, scale=2), "NaN", False),
    (LogicalType(Kind.DECIMAL, precision=16, scale=2), "99999999999999.99", True),
    (LogicalType(Kind.DECIMAL, precision=38, scale=9), "-12345678901234567890123456789.123456789", True),
    (LogicalType(Kind.DECIMAL), "1.5000", True),
    (LogicalType(Kind.DECIMAL), "NaN", True),
    (LogicalType(Kind.DECIMAL), "Infinity", True),
    (LogicalType(Kind.FLOAT, bits=64), "0.30000000000000004", True),
    (LogicalType(Kind.FLOAT, bits=64), "1e+300", True),
    (LogicalType(Kind.FLOAT, bits=64), "5e-324", True),
    (LogicalType(Kind.FLOAT, bits=64), "-Infinity", True),
    (LogicalType(Kind.FLOAT, bits=64), "NaN", False),
    (LogicalType(Kind.FLOAT, bits=64), "-0", False),
    (LogicalType(Kind.FLOAT, bits=32), "0.1", True),
    (LogicalType(Kind.FLOAT, bits=32), "3.4028235e+38", True),
    (LogicalType(Kind.BOOLEAN), "t", True),
    (LogicalType(Kind.BOOLEAN), "f", True),
    (LogicalType(Kind.TEXT), "2009", True),
    (LogicalType(Kind.TEXT), "1e5", True),
    (LogicalType(Kind.TEXT, length=5), " 007 ", True),
    (LogicalType(Kind.TEXT, length=5, fixed=True), "1    ", True),
    (LogicalType(Kind.TEXT), "a\\tb\\\\N\\n", True),
    (LogicalType(Kind.BYTES), "\\\\x00ff", True),
    (LogicalType(Kind.BYTES), "\\\\x", True),
    (LogicalType(Kind.DATE), "2009-01-01", True),
    (LogicalType(Kind.DATE), "0044-03-15 BC", True),
    (LogicalType(Kind.DATE), "infinity", True),
    (LogicalType(Kind.DATE), "sensei-misfit: integer 5", False),
    (LogicalType(Kind.TIME), "24:00:00", True),
    (LogicalType(Kind.TIMESTAMP), "20000-01-01 00:00:00.000001", True),
    (LogicalType(Kind.TIMESTAMPTZ), "1999-12-31 23:59:59.5+00", True),
    (LogicalType(Kind.UUID), "12345678-1234-1234-1234-123456789012", True),
    (LogicalType(Kind.JSON), "1.10", True),
    (LogicalType(Kind.JSON), '{"a":  1}', True),
    (LogicalType(Kind.JSONB), "123456789012345678901234567890", True),
]


@pytest.mark.parametrize(("type", "text", "held"), LOADED)
def test_canonical_text_is_held_unchanged_or_rejected(
    path: Path, connect: Open, type: LogicalType, text: str, held: bool
) -> None:
    mapped = ENGINE.ddl.map_type(type, "postgresql", None)
    assert mapped.there in (types.Verdict.EXACT, types.Verdict.WIDENING)
    table = catalog.Table(
        TABLE,
        (catalog.Column("k", LogicalType(Kind.INTEGER, bits=64), "BIGINT"), catalog.Column("a", type, mapped.native)),
    )
    target = connect(base.Purpose.TARGET)
    line = f"1\t{text}\n2\t\\N\n".encode()
    with base.transaction(target):
        target.run(ENGINE.ddl.create(table)[0])
        if not held:
            with pytest.raises(errors.DataRejected):
                ENGINE.rows.load(target, load_spec(table), base.Form.TEXT, [line])
            assert ENGINE.rows.count(target, TABLE) == 0
            return
        # Blocks have any boundaries.
        pieces = [line[i : i + 3] for i in range(0, len(line), 3)]
        assert ENGINE.rows.load(target, load_spec(table), base.Form.TEXT, pieces) == 2
    spec = base.ReadSpec(
        TABLE,
        tuple(base.ReadColumn(n, t, True) for n, t in load_spec(table).columns),
        base.ChunkKey("rowid", ("rowid",)),
    )
    assert b"".join(b for b in ENGINE.rows.read(target, spec, base.Form.TEXT) if isinstance(b, bytes)) == line


@pytest.mark.parametrize("text", ["2009", "1e5", " 12 ", ".5", "0x1"])
def test_text_is_never_turned_into_a_number_by_an_existing_column(path: Path, connect: Open, text: str) -> None:
    write(path, "CREATE TABLE t (a NUMERIC)")
    target = connect(base.Purpose.TARGET)
    spec = base.LoadSpec(TABLE, (("a", LogicalType(Kind.TEXT)),))
    try:
        with base.transaction(target):
            ENGINE.rows.load(target, spec, base.Form.TEXT, [f"{text}\n".encode()])
    except errors.DataRejected:
        assert target.rows("SELECT count(*) FROM t") == [(0,)]
    else:
        assert target.rows("SELECT typeof(a), a FROM t") == [("text", text)]


def test_a_refused_row_leaves_none_of_its_load_and_the_transaction_usable(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a INTEGER CHECK (a < 3))")
    target = connect(base.Purpose.TARGET)
    spec = load_spec(table_of(target))
    with base.transaction(target):
        with pytest.raises(errors.DataRejected):
            ENGINE.rows.load(target, spec, base.Form.TEXT, [b"1\n2\n3\n"])
        assert ENGINE.rows.load(target, spec, base.Form.TEXT, [b"1\n"]) == 1
    assert target.rows("SELECT a FROM t") == [(1,)]


@pytest.mark.parametrize("line", [b"1\n", b"1\t2\t3\n", b"1\t2\n1\t2\t3\n1\n"])
def test_a_row_with_the_wrong_number_of_fields_is_rejected(path: Path, connect: Open, line: bytes) -> None:
    write(path, "CREATE TABLE t (a TEXT, b TEXT)")
    target = connect(base.Purpose.TARGET)
    with base.transaction(target), pytest.raises(errors.DataRejected, match="field"):
        ENGINE.rows.load(target, load_spec(table_of(target)), base.Form.TEXT, [line])


# -- chunks, counts, marks


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
        "CREATE TABLE t (a TEXT, b TEXT)",
        "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT) WITHOUT ROWID",
        "CREATE TABLE t (a TEXT, b TEXT, PRIMARY KEY (b COLLATE NOCASE, a)) WITHOUT ROWID",
        "CREATE TABLE t (rowid TEXT, oid TEXT)",
        "CREATE TABLE t (rowid TEXT, oid TEXT, _rowid_ TEXT DEFAULT 'x')",
    ],
)
def test_chunks_cover_each_row_once(path: Path, connect: Open, definition: str) -> None:
    write(
        path,
        definition,
        *[
            (
                "INSERT INTO t VALUES (?, ?" + (", 'x')" if "DEFAULT" in definition else ")"),
                (i if "INTEGER" in definition else f"{i:03}", "xX"[i % 2]),
            )
            for i in range(-7, 30)
        ],
    )
    session = connect()
    table = table_of(session)
    key = ENGINE.rows.key(table)
    assert (key.kind == "whole") is ("DEFAULT" in definition)
    seen, lower, chunks = [], None, 0
    while True:
        upper = ENGINE.rows.boundary(session, TABLE, key, lower, 10)
        columns = tuple(base.ReadColumn(c.name, c.type) for c in table.columns)
        upper = base.key_value(base.key_text(upper))
        for block in ENGINE.rows.read(session, base.ReadSpec(TABLE, columns, key, lower, upper), base.Form.VALUES):
            seen += list(block)
        chunks += 1
        if upper is None:
            break
        lower = upper
    assert len(seen) == len(set(seen)) == 37
    assert chunks == (1 if key.kind == "whole" else 4)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_mark_tells_a_write_and_is_not_moved_by_reading(path: Path, connect: Open, journal: str) -> None:
    write(path, f"PRAGMA journal_mode = {journal}; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    session = connect()
    mark = ENGINE.rows.marker(session)
    again = connect()
    again.begin()
    again.rows("SELECT * FROM t")
    ENGINE.rows.profile(again, table_of(again))
    again.commit()
    again.close()
    assert ENGINE.rows.suspects(session, mark, [TABLE]) == []
    write(path, "UPDATE t SET a = 2")
    assert ENGINE.rows.suspects(session, mark, [TABLE]) == [TABLE]


def test_any_changed_bit_changes_the_checksum(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y')")
    session = connect()
    seen = {ENGINE.introspect.content(session, TABLE)}
    for sql in (
        "UPDATE t SET b = 'x ' WHERE a = 1",
        "UPDATE t SET a = 1.0 WHERE a = 1",
        "UPDATE t SET a = '1' WHERE a = 1",
        "UPDATE t SET b = x'79' WHERE a = 2",
        "UPDATE t SET a = b, b = a WHERE a = 2",
        "UPDATE t SET b = NULL WHERE rowid = 1",
        "DELETE FROM t WHERE rowid = 1",
    ):
        write(path, sql)
        seen.add(ENGINE.introspect.content(session, TABLE))
    assert len(seen) == 8
    before = ENGINE.introspect.content(session, TABLE)
    write(path, "INSERT INTO t SELECT * FROM t WHERE rowid = 2; DELETE FROM t WHERE rowid = 2")
    assert ENGINE.introspect.content(session, TABLE) == before


def test_autoincrement_goes_on_past_the_source_and_past_the_data(path: Path, connect: Open) -> None:
    write(path, "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b)")
    target = connect(base.Purpose.TARGET)
    table = table_of(target)

    def prime(last: int | None) -> list[tuple[Any, ...]]:
        owner = (TABLE, "a")
        for sql in ENGINE.ddl.prime(table, [catalog.Sequence(TABLE, last_value=last, owner=owner)]):
            target.run(sql)
        return target.rows("SELECT name, seq FROM sqlite_sequence")

    assert prime(None) == []
    assert prime(5) == [("t", 5)]
    target.run("INSERT INTO t VALUES (9, 0)")
    assert prime(7) == [("t", 9)]
    assert prime(100) == [("t", 100)]
    target.run("INSERT INTO t (b) VALUES (1)")
    assert target.rows("SELECT max(a) FROM t") == [(101,)]


def test_a_primary_key_of_postgresql_becomes_the_rowid(path: Path, connect: Open) -> None:
    big = LogicalType(Kind.INTEGER, bits=64)
    column = catalog.Column("id", big, "BIGINT", nullable=False, identity="by default")
    table = catalog.Table(TABLE, (column,), primary=catalog.Key("t_pkey", ("id",)))
    sql = ENGINE.ddl.create(table)[0]
    assert '"id" INTEGER CONSTRAINT "t_pkey" PRIMARY KEY AUTOINCREMENT' in sql
    connect(base.Purpose.TARGET).run(sql)


def test_violators_are_all_but_one_of_duplicates_and_all_orphans(path: Path, connect: Open) -> None:
    write(
        path,
        """CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);
        CREATE TABLE t (a TEXT, b INT REFERENCES p);
        INSERT INTO t VALUES ('x', 1), ('X', 1), (NULL, NULL), (NULL, 2), ('y', 3);""",
    )
    target = connect(base.Purpose.TARGET)
    table = table_of(target)
    index = catalog.Index("u", (catalog.IndexColumn("a", collation="NOCASE"),), unique=True)
    unique, orphans = ENGINE.ddl.finish(catalog.Table(**{**table.__dict__, "indexes": (index,)}))
    with pytest.raises(errors.DataRejected):
        target.run(unique.statements[0])
    assert len(target.rows(orphans.proof)) == 2
    for built in (unique, orphans):
        target.run(f'DELETE FROM "t" WHERE rowid IN (SELECT c.rowid FROM "t" AS c WHERE {built.violators})')
    assert target.rows("SELECT a, b FROM t") == [("x", 1), (None, None)]
    assert target.rows(orphans.proof) == []
    target.run(unique.statements[0])


# -- beside PostgreSQL


def test_canonical_text_is_what_postgresql_prints(path: Path, connect: Open, pg_db: servers.Database) -> None:
    rng = random.Random(11)
    floats = [struct.unpack(">d", rng.randbytes(8))[0] for _ in range(2000)]
    floats += [rng.uniform(-1, 1) * 10 ** rng.randint(-8, 18) for _ in range(2000)]
    floats += [round(rng.uniform(0, 10**6), rng.randint(0, 6)) for _ in range(2000)] + [1e14, 1e15, 1e-4, 1e-5]
    floats = [f for f in floats if f == f and f != 0]
    narrow = [struct.unpack(">f", rng.randbytes(4))[0] for _ in range(2000)] + [123456.0, 1234567.0, 1e5, 1e6]
    narrow = [f for f in narrow if f == f]
    texts = ["".join(chr(rng.choice([*range(1, 128), 0xE9, 0x1F4A9])) for _ in range(12)) for _ in range(300)]
    with pg_db.connect() as db, db.cursor() as cursor:
        cursor.execute("SELECT x::text FROM unnest(%s::float8[]) WITH ORDINALITY AS u(x, n) ORDER BY n", [floats])
        assert [floattext.text(f) for f in floats] == [t for (t,) in cursor.fetchall()]
        cursor.execute("SELECT x::text FROM unnest(%s::float4[]) WITH ORDINALITY AS u(x, n) ORDER BY n", [narrow])
        assert [floattext.text(f, 32) for f in narrow] == [t for (t,) in cursor.fetchall()]
        cursor.execute("CREATE TABLE words (n int, t text)")
        for at, text in enumerate(texts):
            cursor.execute("INSERT INTO words VALUES (%s, %s)", [at, text])
        out = path.with_name("out.txt")
        with out.open("wb") as file:
            cursor.copy_expert("COPY (SELECT t FROM words ORDER BY n) TO STDOUT", file)
        assert out.read_bytes().decode() == "".join(rowtext.join_line([t]) for t in texts)
    db.close()
    write(path, "CREATE TABLE t (f REAL NOT NULL, w TEXT NOT NULL)")
    with sqlite3.connect(path) as lite:
        lite.executemany("INSERT INTO t VALUES (?, ?)", [(f, texts[i % 300]) for i, f in enumerate(floats)])
    lite.close()
    session = connect()
    expected = "".join(rowtext.join_line([floattext.text(f), texts[i % 300]]) for i, f in enumerate(floats))
    for guard in (True, False):
        assert text_of(session, table_of(session), guard).decode() == expected


def test_no_misfit_gets_into_postgresql(path: Path, connect: Open, pg_db: servers.Database) -> None:
    natives = {
        Kind.INTEGER: "bigint", Kind.DECIMAL: "numeric(20,2)", Kind.FLOAT: "float8", Kind.BOOLEAN: "boolean",
        Kind.TEXT: "text", Kind.BYTES: "bytea", Kind.DATE: "date", Kind.TIME: "time", Kind.TIMESTAMP: "timestamp",
        Kind.TIMESTAMPTZ: "timestamptz", Kind.UUID: "uuid", Kind.JSON: "json", Kind.JSONB: "jsonb",
    }  # fmt: skip
    misfits = [(declared, value) for declared, value, text in VALUES if text is None]
    columns = ", ".join(f"c{i} {declared}" for i, (declared, _) in enumerate(misfits))
    marks = ", ".join("?" * len(misfits))
    write(path, f"CREATE TABLE t ({columns})", (f"INSERT INTO t VALUES ({marks})", [v for _, v in misfits]))
    session = connect()
    table = table_of(session)
    db = pg_db.connect()
    with db.cursor() as cursor:
        for column in table.columns:
            cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (a {natives[column.type.kind]})")
            blocks = ENGINE.rows.read(session, read_spec(table, True, column.name), base.Form.TEXT)
            out = path.with_name("one.txt")
            out.write_bytes(b"".join(b for b in blocks if isinstance(b, bytes)))
            with out.open("rb") as file, pytest.raises(psycopg2.DataError):
                cursor.copy_expert("COPY t FROM STDIN", file)
    db.close()
