"""What the MySQL engine promises of chunks, of rows of any size, and of who else wrote to a table."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

import mysql_rows
import servers
from fix_mysql import MakeMysqlDatabase
from mysql_rows import INT, ROWS, SOURCE, TEXT, Connect, Kind, Logical
from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.mysql import facts, introspect, read, session, wire

connect = pytest.fixture(mysql_rows.connecting)


# -- chunks


@pytest.mark.parametrize(
    ("definition", "insert", "kind"),
    [
        ("a int PRIMARY KEY", "seq", "columns"),
        ("a bigint unsigned PRIMARY KEY", "18446744073709551615 - seq", "columns"),
        ("a decimal(20,5) PRIMARY KEY", "seq / 7", "columns"),
        ("a double PRIMARY KEY", "SQRT(seq)", "columns"),
        ("a varchar(50) PRIMARY KEY", "CONCAT('\\\\a\\t''%?é', seq)", "columns"),
        ("a varchar(50) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY", "CONCAT('Ä', seq)", "columns"),
        ("a char(9) UNIQUE NOT NULL", "seq", "columns"),
        ("a varchar(9) CHARACTER SET greek PRIMARY KEY", "CONCAT(x'c1', seq)", "columns"),
        ("a varbinary(40) PRIMARY KEY", "UNHEX(SHA1(seq))", "columns"),
        ("a uuid PRIMARY KEY", "UUID()", "columns"),
        ("a timestamp(6) PRIMARY KEY", "'2024-01-01' + INTERVAL seq MICROSECOND", "columns"),
        ("a date PRIMARY KEY", "'0001-01-01' + INTERVAL seq DAY", "columns"),
        ("a text, b int NOT NULL, c date NOT NULL, UNIQUE (b, c)",
         "seq, seq % 5, '2026-01-01' + INTERVAL seq DAY", "columns"),
        ("a int, b int, c varchar(9), d int, PRIMARY KEY (b, c, d)", "seq, seq % 3, seq % 7, seq", "columns"),
        ("a int NOT NULL", "seq", "whole"),
        ("a int UNIQUE", "NULLIF(seq, 3)", "whole"),
        ("a float PRIMARY KEY", "seq", "whole"),
        ("a varchar(50) NOT NULL, UNIQUE (a(5))", "LPAD(seq, 5, '0')", "whole"),
    ],
)  # fmt: skip
def test_chunks_hold_every_row_once_along_every_kind_of_key(
    mysql_db: servers.MysqlDatabase, connect: Connect, definition: str, insert: str, kind: str
) -> None:
    filler = connect(mysql_db)
    filler.run(f"CREATE TABLE t ({definition}, filler varchar(900) DEFAULT (REPEAT('x', 900)))")
    count = len(_top(definition))
    names = ", ".join("abcd"[:count])
    filler.run(f"INSERT INTO t ({names}) SELECT {insert} FROM seq_1_to_100")
    source = connect(mysql_db, SOURCE)
    table = next(iter(introspect.Introspect().catalog(source, None).tables))
    key = ROWS.key(table)
    assert key.kind == kind
    bounds: list[base.KeyValue | None] = [None]
    while (bound := ROWS.boundary(source, table.name, key, bounds[-1], 9)) is not None:
        bounds.append(base.key_value(base.key_text(bound)))  # as it goes through the ledger
    bounds.append(None)
    assert len(bounds) > 5 or kind == "whole"
    columns = {c.name: c.type for c in table.columns}
    parts = [
        mysql_rows.read(source, table.name, columns, key=key, lower=a, upper=b) for a, b in itertools.pairwise(bounds)
    ]
    assert [line for part in parts for line in part] == mysql_rows.read(source, table.name, columns, key=key)
    assert sum(map(len, parts)) == 100
    assert ROWS.count(source, table.name) == 100
    for lower, upper in itertools.pairwise(bounds[1:-1]):
        plan = _explain(source, table.name, key, lower, upper)
        assert (plan[3], "filesort" in str(plan[-1])) == ("range", False), plan


def _top(definition: str) -> list[str]:
    """Column definitions: what stands between commas outside of brackets and begins with one letter and a blank."""
    depth, parts = 0, [""]
    for c in definition:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p for p in parts if p.strip()[1:2] == " "]


def _explain(
    source: session.MysqlSession, table: catalog.TableName, key: base.ChunkKey, lower: Any, upper: Any
) -> base.Row:
    known = facts.of(source, table)
    return source.rows("EXPLAIN SELECT *" + read._tail(source, known, base.ReadSpec(table, (), key, lower, upper)))[0]


@pytest.mark.parametrize("nasty", ["wide", "long"])
def test_rows_that_can_not_be_joined_are_read_field_by_field(
    mysql_server: servers.MysqlServer, make_mysql_db: MakeMysqlDatabase, connect: Connect, nasty: str
) -> None:
    db = make_mysql_db()
    filler = connect(db)
    filler.run("CREATE TABLE t (id int PRIMARY KEY, a longtext, b longblob, c longtext CHARACTER SET latin1)")
    value = {"wide": "x" * 700_000, "long": "y" * 17_000_000}[nasty]
    packet = filler.rows("SELECT @@global.max_allowed_packet")[0][0]
    rows = [(n, "plain\t" * 2000, b"\x00\xff", "é") for n in range(200)]
    for row in rows:
        filler.run("INSERT INTO t VALUES (?, ?, ?, ?)", row)
    try:
        filler.run(f"SET GLOBAL max_allowed_packet = {1 << 20 if nasty == 'wide' else 1 << 26}")
        writer = connect(db)
        writer.run("UPDATE t SET a = ? WHERE id = 150", [value])
        if nasty == "wide":
            writer.run("UPDATE t SET b = ? WHERE id = 150", [b"z" * 300_000])
        if nasty == "long":
            writer.run("SET GLOBAL max_allowed_packet = 33554432")
        source = connect(db, SOURCE)
        columns = {"id": INT, "a": Logical(Kind.TEXT), "b": Logical(Kind.BYTES), "c": Logical(Kind.TEXT)}
        found = mysql_rows.read(source, catalog.TableName(db.name, "t"), columns)
        assert source.rows("SELECT 1") == [(1,)]
        assert [line.split("\t")[0] for line in found] == [str(n) for n in range(200)]
        fields = found[150].split("\t")
        blob = "7a" * 300_000 if nasty == "wide" else "00ff"
        assert fields == ["150", value, f"\\\\x{blob}", "é"]
        assert found[199].split("\t")[1:] == ["plain\\t" * 2000, "\\\\x00ff", "é"]
        target = connect(db)
        target.run("CREATE TABLE copy LIKE t")
        data = ("\n".join(found) + "\n").encode()
        assert mysql_rows.load(target, catalog.TableName(db.name, "copy"), columns, data) == 200
        (same,) = target.rows("SELECT COUNT(*) FROM t JOIN copy USING (id, a, b, c)")[0]
        assert same == 200
    finally:
        filler.run(f"SET GLOBAL max_allowed_packet = {packet}")


@pytest.mark.parametrize("charset", ["ascii", "greek", "cp932"])
@pytest.mark.parametrize("columns", [2, 1])
def test_bytes_that_are_no_characters_are_refused_and_the_rows_beside_them_are_not(
    mysql_db: servers.MysqlDatabase, connect: Connect, charset: str, columns: int
) -> None:
    """The server shows them as question marks: a value that nobody wrote."""
    filler = connect(mysql_db)
    filler.run(f"CREATE TABLE t (v varchar(20) CHARACTER SET {charset} PRIMARY KEY, w varchar(20) NOT NULL)")
    filler.run("SET SESSION sql_mode = ''")
    bad = {"ascii": "61ff62fe", "greek": "61ae62", "cp932": "618740eefd81ad"}[charset]
    filler.run(f"INSERT INTO t VALUES ('a1', ''), (x'{bad}', ''), ('z9', '')")
    names = ("v", "w")[:columns]
    spec = base.ReadSpec(
        catalog.TableName(mysql_db.name, "t"),
        tuple(base.ReadColumn(n, Logical(Kind.TEXT)) for n in names),
        base.ChunkKey("columns", ("v",), ("varchar(20)",)),
    )
    text = b"".join(b for b in ROWS.read(connect(mysql_db, SOURCE), spec, TEXT) if isinstance(b, bytes))
    target = connect(mysql_db)
    target.run("CREATE TABLE copy (v varchar(20) CHARACTER SET utf8mb4, w varchar(20) CHARACTER SET utf8mb4)")
    table, kinds = catalog.TableName(mysql_db.name, "copy"), dict.fromkeys(names, Logical(Kind.TEXT))
    arrived = 0
    for line in text[:-1].split(b"\n"):
        try:
            arrived += mysql_rows.load(target, table, kinds, line + b"\n")
        except errors.DataRejected:
            continue
    assert target.rows("SELECT v FROM copy ORDER BY v") == [("a1",), ("z9",)]
    assert arrived == 2


def test_a_chunk_does_not_end_at_a_key_that_is_no_characters(mysql_db: servers.MysqlDatabase, connect: Connect) -> None:
    filler = connect(mysql_db)
    filler.run("CREATE TABLE t (v varchar(20) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY)")
    filler.run("SET SESSION sql_mode = ''")
    filler.run("INSERT INTO t SELECT CONCAT(IF(seq % 5, 'k', x'ff'), LPAD(seq, 4, '0')) FROM seq_1_to_100")
    source = connect(mysql_db, SOURCE)
    table, key = catalog.TableName(mysql_db.name, "t"), base.ChunkKey("columns", ("v",), ("varchar(20)",))
    bounds: list[base.KeyValue | None] = [None]
    while (bound := ROWS.boundary(source, table, key, bounds[-1], 30)) is not None:
        bounds.append(bound)
    spec = [
        base.ReadSpec(table, (base.ReadColumn("v", Logical(Kind.TEXT)),), key, a, b)
        for a, b in itertools.pairwise([*bounds, None])
    ]
    lines = b"".join(b for s in spec for b in ROWS.read(source, s, TEXT) if isinstance(b, bytes)).splitlines()
    assert len(bounds) == 3
    assert len(lines) == len(set(lines)) == 100


def test_a_read_that_is_given_up_leaves_the_session_fit_for_the_next(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    filler = connect(mysql_db)
    filler.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    filler.run("INSERT INTO t SELECT seq, REPEAT('x', 1000) FROM seq_1_to_50000")
    source = connect(mysql_db, SOURCE)
    table, columns = catalog.TableName(mysql_db.name, "t"), {"id": INT, "v": Logical(Kind.TEXT)}
    spec = base.ReadSpec(
        table,
        tuple(base.ReadColumn(n, t) for n, t in columns.items()),
        base.ChunkKey("columns", ("id",), ("int",)),
    )
    for _ in range(3):
        reading = ROWS.read(source, spec, TEXT)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        assert not source.in_transaction
        assert len(mysql_rows.read(source, table, columns, upper=(9,))) == 9


def test_only_what_was_handed_in_is_sent_whatever_file_is_asked_for(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    target = connect(mysql_db)
    target.run("CREATE TABLE t (v text)")
    with pytest.raises(errors.Refused, match="nobody spoke of"):
        wire.load(target, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t", [b"mine\n"])
    assert target.rows("SELECT * FROM t") == []


# -- who else wrote


@pytest.mark.parametrize("privileged", [True, False])
def test_tables_that_others_wrote_are_suspects_and_certainly_written(
    mysql_db: servers.MysqlDatabase, connect: Connect, privileged: bool
) -> None:
    filler, long_one, late_one = connect(mysql_db), connect(mysql_db), connect(mysql_db)
    for name in ("quiet", "written", "altered", "child", "overlapped"):
        filler.run(f"CREATE TABLE {name} (id int PRIMARY KEY, v int)")
        filler.run(f"INSERT INTO {name} VALUES (1, 1), (2, 2)")
    filler.run("ALTER TABLE child ADD FOREIGN KEY (v) REFERENCES written (id) ON DELETE CASCADE")
    filler.run("INSERT INTO child VALUES (3, 1)")
    tables = [catalog.TableName(mysql_db.name, n) for n in ("quiet", "written", "altered", "child", "overlapped")]
    time.sleep(1.1)
    # Of a transaction that is open at the mark the server only tells when it began.
    long_one.begin()
    long_one.run("UPDATE overlapped SET v = 3 WHERE id = 1")
    time.sleep(1.1)
    if privileged:
        source = connect(mysql_db, SOURCE)
    else:
        filler.run(f"GRANT SELECT ON {mysql_db.name}.* TO reader@'%' IDENTIFIED BY 'pw'")
        url = f"mysql://reader:pw@127.0.0.1:{mysql_db.server.port}/{mysql_db.name}"
        source = session.connect(url, SOURCE)
    mark = ROWS.marker(source)
    quiet = {t.name for t in ROWS.suspects(source, mark, tables)}
    assert quiet == (set() if privileged else {t.name for t in tables})  # too many, where nobody may tell
    assert ROWS.written(source, mark, tables) == []
    time.sleep(1.1)
    late_one.begin()
    late_one.run("DELETE FROM written WHERE id = 1")  # and, by cascade, from child
    assert "written" not in {t.name for t in ROWS.written(source, mark, tables)}
    late_one.commit()
    long_one.commit()
    filler.run("ALTER TABLE altered ADD w int")
    changed = {"written", "child", "overlapped"}
    suspects = {t.name for t in ROWS.suspects(source, mark, tables)}
    assert suspects == ({*changed, "altered"} if privileged else {t.name for t in tables})
    assert {t.name for t in ROWS.written(source, mark, tables)} in (changed, {*changed, "altered"})
    gone = catalog.TableName(mysql_db.name, "gone")
    assert ROWS.suspects(source, mark, [gone]) == [gone]
    source.close()
    if not privileged:
        filler.run("DROP USER reader@'%'")


def test_after_a_restart_of_the_server_every_table_is_a_suspect(
    mysql_server: servers.MysqlServer, mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    filler = connect(mysql_db)
    filler.run("CREATE TABLE t (id int PRIMARY KEY)")
    filler.run("INSERT INTO t VALUES (1)")
    table = catalog.TableName(mysql_db.name, "t")
    time.sleep(1.1)
    mark = ROWS.marker(connect(mysql_db, SOURCE))
    assert ROWS.suspects(connect(mysql_db, SOURCE), mark, [table]) == []
    mysql_server.stop()
    mysql_server.start()
    source = connect(mysql_db, SOURCE)
    assert ROWS.suspects(source, mark, [table]) == [table]
    assert ROWS.written(source, mark, [table]) == []
