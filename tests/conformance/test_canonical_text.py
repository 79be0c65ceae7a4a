"""Golden lines of the canonical text: what each engine gives for floats, numerics, JSON and moments, byte by byte."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest

import fix_postgres
import moves
import servers
from sensei import catalog, engines
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base

Kind, Logical = types.Kind, types.LogicalType

#: name -> (logical type, PostgreSQL's type, SQLite's declared type,
#:          [(PostgreSQL's literal or None where it has none, SQLite's value or None likewise, the canonical field)])
NONE = object()
GOLDEN: dict[str, tuple[Logical, str, str, list[tuple[Any, Any, str]]]] = {
    "float8": (Logical(Kind.FLOAT, bits=64), "double precision", "REAL", [
        ("0", 0.0, "0"),
        ("1", 1.0, "1"),
        ("-1.5", -1.5, "-1.5"),
        ("0.1", 0.1, "0.1"),
        ("0.30000000000000004", 0.1 + 0.2, "0.30000000000000004"),
        ("5e-324", 5e-324, "5e-324"),
        ("2.2250738585072014e-308", 2.2250738585072014e-308, "2.2250738585072014e-308"),
        ("1.7976931348623157e308", 1.7976931348623157e308, "1.7976931348623157e+308"),
        ("123456789012345", 123456789012345.0, "123456789012345"),
        ("1e15", 1e15, "1e+15"),
        ("1e22", 1e22, "1e+22"),
        ("0.0001", 0.0001, "0.0001"),
        ("0.00001", 0.00001, "1e-05"),
        ("3.141592653589793", 3.141592653589793, "3.141592653589793"),
        ("9007199254740993", 9007199254740993.0, "9.007199254740992e+15"),
        ("Infinity", float("inf"), "Infinity"),
        ("-Infinity", float("-inf"), "-Infinity"),
        ("NaN", NONE, "NaN"),
        ("-0", NONE, "-0"),
    ]),
    "float4": (Logical(Kind.FLOAT, bits=32), "real", "FLOAT", [
        ("16777217", 16777216.0, "1.6777216e+07"),
        ("0.1", 0.10000000149011612, "0.1"),
        ("1e-45", 1.401298464324817e-45, "1e-45"),
        ("3.4028235e38", 3.4028234663852886e38, "3.4028235e+38"),
        ("100000", 100000.0, "100000"),
        ("1000000", 1000000.0, "1e+06"),
        ("NaN", NONE, "NaN"),
    ]),
    "numeric": (Logical(Kind.DECIMAL), "numeric", "NUMERIC TEXT", [
        ("0", "0", "0"),
        ("0.00", "0.00", "0.00"),
        ("1.50", "1.50", "1.50"),
        ("-7", "-7", "-7"),
        ("0.000000000000000000000000000001", "0.000000000000000000000000000001", "0.000000000000000000000000000001"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        ("1e10", "1e10", "10000000000"),
        ("NaN", "NaN", "NaN"),
        ("Infinity", "Infinity", "Infinity"),
    ]),
    "numeric_10_2": (Logical(Kind.DECIMAL, precision=10, scale=2), "numeric(10,2)", "DECIMAL(10,2)", [
        ("19.99", 19.99, "19.99"),
        ("5", 5, "5.00"),
        ("-0.1", -0.1, "-0.10"),
        ("99999999.99", 99999999.99, "99999999.99"),
        ("0", 0, "0.00"),
        ("NaN", NONE, "NaN"),
    ]),
    "date": (Logical(Kind.DATE), "date", "DATE", [
        ("0001-01-01", "0001-01-01", "0001-01-01"),
        ("9999-12-31", "9999-12-31", "9999-12-31"),
        ("0044-03-15 BC", "0044-03-15 BC", "0044-03-15 BC"),
        ("12345-06-07", "12345-06-07", "12345-06-07"),
        ("infinity", "infinity", "infinity"),
    ]),
    "time": (Logical(Kind.TIME), "time", "TIME", [
        ("00:00", "00:00", "00:00:00"),
        ("24:00:00", "24:00:00", "24:00:00"),
        ("23:59:59.999999", "23:59:59.999999", "23:59:59.999999"),
        ("01:02:03.500", "01:02:03.500", "01:02:03.5"),
    ]),
    "timestamp": (Logical(Kind.TIMESTAMP), "timestamp", "DATETIME", [
        ("2016-02-29 01:02:03", "2016-02-29 01:02:03", "2016-02-29 01:02:03"),
        ("2016-02-29T01:02:03.120", "2016-02-29T01:02:03.120", "2016-02-29 01:02:03.12"),
        ("2016-02-29", "2016-02-29", "2016-02-29 00:00:00"),
        ("0001-01-01 00:00:00", "0001-01-01 00:00:00", "0001-01-01 00:00:00"),
        ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
        ("0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"),
        ("-infinity", "-infinity", "-infinity"),
    ]),
    "timestamptz": (Logical(Kind.TIMESTAMPTZ), "timestamptz", "TIMESTAMPTZ", [
        ("2016-02-29 01:02:03+00", "2016-02-29 01:02:03Z", "2016-02-29 01:02:03+00"),
        ("2011-03-27 02:30:00.5+05:45", "2011-03-27 02:30:00.5+05:45", "2011-03-26 20:45:00.5+00"),
        ("2016-06-30 12:00:00-12", "2016-06-30T12:00:00-12:00", "2016-07-01 00:00:00+00"),
        ("infinity", "infinity", "infinity"),
    ]),
    "json": (Logical(Kind.JSON), "json", "JSON TEXT", [
        ('{"b": 1,  "a": 2}', '{"b": 1,  "a": 2}', '{"b": 1,  "a": 2}'),
        ('{"k": 1, "k": 2}', '{"k": 1, "k": 2}', '{"k": 1, "k": 2}'),
        ("1e400", "1e400", "1e400"),
        ("-0", "-0", "-0"),
        (" [1, 2.50] ", " [1, 2.50] ", " [1, 2.50] "),
        ('"tab\\t \\\\ ü"', '"tab\\t \\\\ ü"', '"tab\\\\t \\\\\\\\ ü"'),
        ("null", "null", "null"),
    ]),
    "jsonb": (Logical(Kind.JSONB), "jsonb", "JSONB TEXT", [
        ('{"b": 1,  "a": 2}', '{"a": 2, "b": 1}', '{"a": 2, "b": 1}'),
        ('{"k": 1, "k": 2}', '{"k": 2}', '{"k": 2}'),
        ("[1, 2.50, 1e5]", "[1, 2.50, 100000]", "[1, 2.50, 100000]"),
        ("12345678901234567890123456789.10", "12345678901234567890123456789.10", "12345678901234567890123456789.10"),
    ]),
    "text": (Logical(Kind.TEXT), "text", "TEXT", [
        ("", "", ""),
        ("\\N", "\\N", "\\\\N"),
        ("\\.", "\\.", "\\\\."),
        ("a\tb\nc\rd\\e\bf\x0bg\x0ch", "a\tb\nc\rd\\e\bf\x0bg\x0ch", "a\\tb\\nc\\rd\\\\e\\bf\\vg\\fh"),
        ("\x01\x1d\x1e\x1f\x7f", "\x01\x1d\x1e\x1f\x7f", "\x01\x1d\x1e\x1f\x7f"),
        ("𝄞 e\u0301 ", "𝄞 e\u0301 ", "𝄞 e\u0301 "),
    ]),
    "bytes": (Logical(Kind.BYTES), "bytea", "BLOB", [
        (b"", b"", "\\\\x"),
        (b"\x00\xff\n\\", b"\x00\xff\n\\", "\\\\x00ff0a5c"),
    ]),
    "boolean": (Logical(Kind.BOOLEAN), "boolean", "BOOLEAN", [("true", 1, "t"), ("false", 0, "f")]),
    "uuid": (Logical(Kind.UUID), "uuid", "UUID", [
        ("FFFFFFFF-0000-0000-0000-00000000000a", "FFFFFFFF-0000-0000-0000-00000000000a",
         "ffffffff-0000-0000-0000-00000000000a"),
    ]),
    "integer": (Logical(Kind.INTEGER, bits=64), "bigint", "BIGINT", [
        ("-9223372036854775808", -(2**63), "-9223372036854775808"),
        ("9223372036854775807", 2**63 - 1, "9223372036854775807"),
    ]),
}  # fmt: skip


def _expected(golden: list[tuple[Any, Any, str]], at: int) -> list[str]:
    """The lines: id, value; a last row is NULL."""
    fields = [field for *values, field in golden if values[at] is not NONE]
    return [f"{n}\t{field}" for n, field in enumerate([*fields, "\\N"])]


def _read(end: moves.End, name: str, logical: Logical, native: str, guard: bool) -> list[str]:
    url = connections.expand(moves.url(end), {servers.PASSWORD_ENV: servers.password()})
    engine = engines.for_url(url)
    schema = "public" if isinstance(end, servers.Database) else ""
    spec = base.ReadSpec(
        catalog.TableName(schema, name),
        (
            base.ReadColumn("id", Logical(Kind.INTEGER, bits=64, native="INTEGER")),
            base.ReadColumn("v", types.LogicalType(**{**logical.__dict__, "native": native}), guard=guard),
        ),
        base.ChunkKey("columns", ("id",), ("integer",)),
    )
    session = engine.connect(url, base.Purpose.SOURCE)
    try:
        blocks = list(engine.rows.read(session, spec, base.Form.TEXT))
    finally:
        session.close()
    text = b"".join(b for b in blocks if isinstance(b, bytes)).decode()
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.fixture(scope="module")
def postgres(pg_server: servers.PostgresServer) -> Any:
    db = pg_server.create_db()
    db.set_defaults(servers.AWKWARD_DEFAULTS)
    connection = db.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = public; SET datestyle = 'ISO'; SET timezone = 'UTC'")
        for name, (_, native, _, golden) in GOLDEN.items():
            cursor.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, v {native})")
            values = [v for v, _, _ in golden if v is not NONE]
            for n, value in enumerate([*values, None]):
                cursor.execute(f"INSERT INTO {name} VALUES (%s, %s::{native})", [n, value])
    connection.commit()
    connection.close()
    yield db
    pg_server.drop_db(db.name)


@pytest.mark.parametrize("name", GOLDEN)
def test_postgresql_gives_the_golden_lines(postgres: servers.Database, name: str) -> None:
    logical, native, _, golden = GOLDEN[name]
    assert _read(postgres, name, logical, native, False) == _expected(golden, 0)


@pytest.mark.parametrize("guard", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_sqlite_gives_the_golden_lines_guarded_or_not(tmp_path: Path, name: str, guard: bool) -> None:
    logical, _, declared, golden = GOLDEN[name]
    path = tmp_path / "golden.db"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v {declared})")
    values = [v for _, v, _ in golden if v is not NONE]
    connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", list(enumerate([*values, None])))
    connection.commit()
    connection.close()
    assert _read(path, name, logical, declared, guard) == _expected(golden, 1)


def test_the_goldens_do_not_depend_on_the_databases_own_settings(
    make_pg_db: fix_postgres.MakeDatabase,
) -> None:
    """The shared database of this module has awkward defaults; one without them gives the same text."""
    plain = make_pg_db()
    plain.execute("CREATE TABLE timestamptz (id integer PRIMARY KEY, v timestamptz)")
    logical, native, _, golden = GOLDEN["timestamptz"]
    connection: psycopg2.extensions.connection = plain.connect()
    with connection.cursor() as cursor:
        for n, value in enumerate([*(v for v, _, _ in golden), None]):
            cursor.execute("INSERT INTO timestamptz VALUES (%s, %s)", [n, value])
    connection.close()
    assert _read(plain, "timestamptz", logical, native, False) == _expected(golden, 0)
