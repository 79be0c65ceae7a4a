"""Rows are summed up by every engine to the same checksum, which follows from their canonical texts alone."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import extreme_values
import pytest

import ends
import servers
from sensei import catalog, engines
from sensei.catalog import digestline, rowtext
from sensei.config import connections
from sensei.engines import base

#: Longer than what stands in a line for itself, with what could pass for a separator.
LARGE_TEXTS = ["x" * digestline.LARGE, "x" * (digestline.LARGE + 1), "é\x1f\n" * 9000, "\x1f", "1\x1fa", None]
LARGE_BYTES = [b"\x00" * digestline.LARGE, b"\x00" * (digestline.LARGE + 1), bytes(range(256)) * 100, None]


def _postgres(db: servers.Database) -> list[str]:
    values = dict(extreme_values.POSTGRES)
    values["text"] = [*values["text"], *LARGE_TEXTS]
    values["bytea"] = [*values["bytea"], *LARGE_BYTES]
    values["name"], values['"char"'] = ["a name", "", None], ["x", None]
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'tab\t')")
    values["mood"] = ["sad", "tab\t", None]
    connection = db.connect(autocommit=False)
    names = []
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public")
        for n, (native, extremes) in enumerate(values.items()):
            names.append(f"t{n}")
            cursor.execute(f"CREATE TABLE t{n} (id integer PRIMARY KEY, v {native}, k text NOT NULL, w char(3))")
            for at, value in enumerate(extremes):
                cursor.execute(f"INSERT INTO t{n} VALUES (%s, %s::{native}, %s, %s)", [at, value, f"k\x1f{at}", "a"])
        wide = ", ".join(f"c{n} text" for n in range(150))
        cursor.execute(f"CREATE TABLE wide (id integer PRIMARY KEY, {wide})")
        cursor.execute("INSERT INTO wide (id, c3, c149) VALUES (1, 'a', 'b'), (2, '', NULL)")
        cursor.execute(
            "CREATE TABLE bare (a text, b integer); INSERT INTO bare VALUES ('x', 1), ('x', 1), (NULL, NULL)"
        )
        cursor.execute("CREATE TABLE nobody (id integer PRIMARY KEY)")
    connection.commit()
    connection.close()
    return [*names, "wide", "bare", "nobody"]


def _sqlite(path: Path, encoding: str) -> list[str]:
    values: dict[str, list[Any]] = {**extreme_values.SQLITE}
    for native, misfits in extreme_values.MISFITS.items():
        values[native] = [*values[native], *misfits]
    values["TEXT"] = [*values["TEXT"], *LARGE_TEXTS]
    values["BLOB"] = [*values["BLOB"], *LARGE_BYTES]
    values[""] = [1, "1", 1.5, b"1", None, "a\x1fb"]
    names = []
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    for n, (native, extremes) in enumerate(values.items()):
        names.append(f"t{n}")
        connection.execute(f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, v {native}, k TEXT NOT NULL)")
        rows = [(at, value, f"k\x1f{at}") for at, value in enumerate(extremes)]
        connection.executemany(f"INSERT INTO t{n} VALUES (?, ?, ?)", rows)
    wide = ", ".join(f"c{n} TEXT" for n in range(100))
    connection.execute(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {wide})")
    connection.execute("INSERT INTO wide (id, c3, c99) VALUES (1, 'a', 'b'), (2, '', NULL)")
    connection.execute("CREATE TABLE bare (a TEXT, b INTEGER)")
    connection.executemany("INSERT INTO bare VALUES (?, ?)", [("x", 1), ("x", 1), (None, None)])
    connection.execute("CREATE TABLE nobody (id INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    return [*names, "wide", "bare", "nobody"]


#: MariaDB: type -> literals. Floats beyond what its SQL spells canonically are not among them: those are looked at.
MYSQL: dict[str, list[str]] = {
    "tinyint": ["-128", "127"],
    "tinyint(1)": ["0", "1"],
    "int(5) unsigned zerofill": ["7", "4294967295"],
    "bigint unsigned": ["0", "18446744073709551615"],
    "decimal(30,6)": ["-1.5", "123456789012345678901234.123456"],
    "double": ["0", "1.5", "-0.001", "123456789012345"],
    "float": ["0", "0.1", "-12345.5"],
    "bit(9)": ["b'101'"],
    "varchar(60)": ["''", "'tab\\t and \\\\N'", "'é𝄞  '"],
    "varchar(60) CHARACTER SET latin1": ["'é'", "''"],
    "char(5)": ["'ab  '", "''"],
    "longtext": ["''", f"REPEAT('x', {digestline.LARGE})", f"REPEAT('é', {digestline.LARGE})", "'1\\x1fa'"],
    "json": ["'{\"a\": 1}'"],
    "enum('a','b')": ["'a'"],
    "set('a','b')": ["'a,b'", "''"],
    "longblob": ["''", "x'00ff0a'", f"REPEAT(x'00', {digestline.LARGE + 1})", f"REPEAT(x'00', {digestline.LARGE})"],
    "binary(4)": ["x'01'"],
    "date": ["'0001-01-01'", "'9999-12-31'"],
    "time(6)": ["'23:59:59.500000'", "'-01:00:00'", "'100:00:00'"],
    "datetime(6)": ["'2016-02-29 01:02:03.5'", "'1000-01-01 00:00:00'"],
    "timestamp(3) NULL": ["'2016-02-29 01:02:03.120'"],
    "year": ["2016"],
    "uuid": ["'ffffffff-0000-0000-0000-00000000000a'"],
}


def _mysql(db: servers.MysqlDatabase) -> None:
    for n, (native, literals) in enumerate(MYSQL.items()):
        db.execute(
            f"CREATE TABLE t{n} (id int PRIMARY KEY, v {native}, k varchar(40) CHARACTER SET utf8mb4 NOT NULL)"
            " ENGINE=InnoDB"
        )
        rows = ", ".join(f"({at}, {v}, 'k{at}')" for at, v in enumerate([*literals, "NULL"]))
        db.execute(f"INSERT INTO t{n} VALUES {rows}")
    db.execute("CREATE TABLE bare (a varchar(9), b int) ENGINE=InnoDB")
    db.execute("INSERT INTO bare VALUES ('x', 1), ('x', 1), (NULL, NULL)")
    db.execute("CREATE TABLE nobody (id int PRIMARY KEY) ENGINE=InnoDB")


@pytest.fixture(params=["postgres", "sqlite", "sqlite in UTF-16", "mysql"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[base.Engine, base.Session]]:
    end: ends.End
    if request.param == "postgres":
        end = request.getfixturevalue("make_pg_db")()
        assert isinstance(end, servers.Database)
        _postgres(end)
    elif request.param == "mysql":
        end = request.getfixturevalue("make_mysql_db")()
        assert isinstance(end, servers.MysqlDatabase)
        _mysql(end)
    else:
        end = tmp_path / "filled.db"
        _sqlite(end, "UTF-16" if "UTF-16" in request.param else "UTF-8")
    url = connections.expand(ends.url(end), {servers.PASSWORD_ENV: servers.password()})
    engine = engines.for_url(url)
    session = engine.connect(url, base.Purpose.SOURCE)
    yield engine, session
    session.close()


def _spec(engine: base.Engine, table: catalog.Table) -> base.ReadSpec:
    guard = not engine.capabilities.enforced_types
    columns = tuple(base.ReadColumn(c.name, c.type, guard) for c in table.columns)
    key = base.ChunkKey("columns", ("id",), (table.columns[0].native,)) if table.primary else base.ChunkKey("whole")
    return base.ReadSpec(table.name, columns, key)


def _lines(
    engine: base.Engine, session: base.Session, spec: base.ReadSpec, positions: range | list[int]
) -> list[bytes]:
    blocks = list(engine.rows.read(session, spec, base.Form.TEXT))
    raw = b"".join(b for b in blocks if isinstance(b, bytes)).split(b"\n")[:-1]
    found = []
    for line in raw:
        texts = rowtext.split_line(line)
        if len(texts) > len(spec.columns):  # a misfit made loud by one field too many: it ends in a separator there
            at = next(n for n, t in enumerate(texts) if t is not None and t.startswith(rowtext.MISFIT.encode()))
            texts[at : at + 2] = [(texts[at] or b"") + digestline.FIELD]
        found.append(digestline.line([texts[n] for n in positions], [spec.columns[n].type for n in positions]))
    return found


def test_a_block_is_the_md5_of_its_rows_canonical_texts(filled: tuple[base.Engine, base.Session]) -> None:
    engine, session = filled
    assert engine.digests is not None
    wrong = []
    for table in engine.introspect.catalog(session, None).tables:
        if table.primary is None:
            continue
        spec = _spec(engine, table)
        lines = _lines(engine, session, spec, range(len(spec.columns)))
        found = engine.digests.block(session, spec, base.Form.TEXT, 10_000)
        expected = hashlib.md5(b"\n".join(lines)).hexdigest() if lines else ""
        if (found.rows, found.checksum) != (len(lines), expected):
            wrong.append((str(table.name), table.columns[-1 if len(table.columns) < 3 else 1].native))
        if len(lines) < 1:
            continue
        first = engine.digests.block(session, spec, base.Form.TEXT, 1)
        assert (first.rows, first.last) == (1, (int(lines[0].split(b"\x1f")[0]),))
    assert wrong == []


def test_buckets_hold_each_row_once_by_the_hash_of_its_key(filled: tuple[base.Engine, base.Session]) -> None:
    engine, session = filled
    assert engine.digests is not None
    for table in engine.introspect.catalog(session, None).tables:
        spec = _spec(engine, table)
        whole = range(len(spec.columns))
        for key in ([0], list(whole)):
            expected: dict[int, tuple[int, int]] = {}
            lines, keys = _lines(engine, session, spec, whole), _lines(engine, session, spec, key)
            for line, named in zip(lines, keys, strict=True):
                at = digestline.bucket(named, 16)
                rows, total = expected.get(at, (0, 0))
                expected[at] = (rows + 1, total + digestline.weight(line))
            assert engine.digests.buckets(session, spec, base.Form.TEXT, key, 16) == expected, table.name


def test_no_two_different_rows_make_one_line() -> None:
    text = catalog.types.LogicalType(catalog.types.Kind.TEXT)
    whole = catalog.types.LogicalType(catalog.types.Kind.INTEGER, bits=64)
    rows = [
        (None, b""),
        (b"", None),
        (None, None),
        (b"", b""),
        (b"\x1f0\x1f", b""),
        (b"a\x1f1\x1fb", b"c"),
        (b"a", b"b"),
    ]
    assert len({digestline.line(r, [text, text]) for r in rows}) == len(rows)
    mixed = [(b"1", b""), (None, b"1"), (b"1", None), (None, b"\x1f")]
    assert len({digestline.line(r, [whole, text]) for r in mixed}) == len(mixed)
