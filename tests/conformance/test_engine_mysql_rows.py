"""What the MySQL engine promises of values: canonical text, and loads that refuse rather than change one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from test_canonical_text import GOLDEN

import mysql_rows
import servers
from fix_mysql import MakeMysqlDatabase
from mysql_rows import INT, NATIVE, ROWS, SOURCE, TEXT, Connect, Kind, Logical
from sensei import catalog, errors
from sensei.engines import base
from sensei.engines.mysql import facts, typemap

connect = pytest.fixture(mysql_rows.connecting)


# -- canonical text

MOMENT = "2024-02-29 23:59:59"
#: native type -> (what it means, [(literal, canonical field)]); a last row is NULL.
GIVEN: dict[str, tuple[Logical, list[tuple[str, str]]]] = {
    "tinyint": (Logical(Kind.INTEGER, bits=8), [("-128", "-128"), ("127", "127"), ("0", "0")]),
    "int(5) zerofill": (Logical(Kind.INTEGER, bits=32, unsigned=True), [("42", "42"), ("4294967295", "4294967295")]),
    "bigint": (Logical(Kind.INTEGER, bits=64), [("-9223372036854775808", "-9223372036854775808")]),
    "bigint unsigned": (
        Logical(Kind.INTEGER, bits=64, unsigned=True),
        [("18446744073709551615", "18446744073709551615"), ("0", "0")],
    ),
    "year": (Logical(Kind.INTEGER, bits=16), [("2024", "2024"), ("0", "0")]),
    "bit(1)": (Logical(Kind.BOOLEAN), [("b'1'", "t"), ("b'0'", "f")]),
    "bit(64)": (
        Logical(Kind.INTEGER, bits=64, unsigned=True),
        [("b'0'", "0"), ("18446744073709551615", "18446744073709551615"), ("9", "9")],
    ),
    "tinyint(1)": (Logical(Kind.BOOLEAN), [("1", "t"), ("0", "f"), ("2", "sensei-misfit: integer 2")]),
    "decimal(10,2)": (
        Logical(Kind.DECIMAL, precision=10, scale=2),
        [("5", "5.00"), ("-0.1", "-0.10"), ("99999999.99", "99999999.99"), ("-0.001", "0.00")],
    ),
    "decimal(8,3) zerofill": (Logical(Kind.DECIMAL, precision=8, scale=3), [("1.5", "1.500")]),
    "decimal(65,30)": (
        Logical(Kind.DECIMAL, precision=65, scale=30),
        [("12345678901234567890123456789012345.123456789012345678901234567890",
          "12345678901234567890123456789012345.123456789012345678901234567890")],
    ),
    "double": (
        Logical(Kind.FLOAT, bits=64),
        [(v, f) for v, _, f in GOLDEN["float8"][3] if f not in ("NaN", "Infinity", "-Infinity", "-0")]
        + [("-1.5e-7", "-1.5e-07"), ("999999999999999", "999999999999999"), ("1e5", "100000")],
    ),
    "float": (
        Logical(Kind.FLOAT, bits=32),
        [("16777217", "1.6777216e+07"), ("0.1", "0.1"), ("1.4e-45", "1e-45"), ("100000", "100000"), ("1e6", "1e+06"),
         ("3.4028234663852886e38", "3.4028235e+38"), ("-19.99", "-19.99"), ("123456.789", "123456.79"), ("0", "0"),
         ("0.00001", "1e-05"), ("1.17549435e-38", "1.1754944e-38")],
    ),
    "date": (
        Logical(Kind.DATE),
        [("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31"), ("'2000-02-29'", "2000-02-29"),
         ("'0000-00-00'", "sensei-misfit: date 0000-00-00"), ("'2024-00-10'", "sensei-misfit: date 2024-00-10"),
         ("'2024-02-31'", "2024-02-31"), ("'2024-02-00'", "sensei-misfit: date 2024-02-00"),
         ("'0000-05-05'", "sensei-misfit: date 0000-05-05")],
    ),
    "time(6)": (
        Logical(Kind.TIME, precision=6),
        [("'00:00:00'", "00:00:00"), ("'24:00:00'", "24:00:00"), ("'01:02:03.5'", "01:02:03.5"),
         ("'23:59:59.999999'", "23:59:59.999999"), ("'10:20:00.100000'", "10:20:00.1"),
         ("'-01:00:00'", "sensei-misfit: duration -01:00:00.000000"),
         ("'838:59:59'", "sensei-misfit: duration 838:59:59.000000")],
    ),
    "time": (Logical(Kind.TIME, precision=0), [("'10:20:30'", "10:20:30"), ("'10:20:00'", "10:20:00")]),
    "datetime": (
        Logical(Kind.TIMESTAMP, precision=0),
        [(f"'{MOMENT}'", MOMENT), ("'2024-01-01'", "2024-01-01 00:00:00")],
    ),
    "datetime(6)": (
        Logical(Kind.TIMESTAMP, precision=6),
        [(f"'{MOMENT}.120000'", f"{MOMENT}.12"), ("'0001-01-01'", "0001-01-01 00:00:00"),
         ("'0000-00-00'", "sensei-misfit: datetime 0000-00-00 00:00:00.000000")],
    ),
    "timestamp(3) null": (
        Logical(Kind.TIMESTAMPTZ, precision=3),
        [(f"'{MOMENT}.120'", f"{MOMENT}.12+00"), ("'1970-01-01 00:00:01'", "1970-01-01 00:00:01+00"),
         ("'0000-00-00'", "sensei-misfit: timestamp 0000-00-00 00:00:00.000")],
    ),
    "longtext": (
        Logical(Kind.TEXT),
        [("''", ""), ("'\\\\N'", "\\\\N"), ("'a\\tb\\nc\\rd\\\\\\\\e\\bf'", "a\\tb\\nc\\rd\\\\\\\\e\\bf"),
         ("x'610b620c63'", "a\\vb\\fc"), ("x'1d1e1f7f'", "\x1d\x1e\x1f\x7f"), ("'𝄞 é '", "𝄞 é "),
         ("x'610062'", "a\0b")],
    ),
    "varchar(20) character set latin1": (Logical(Kind.TEXT, length=20), [("'é€ü'", "é€ü"), ("'x '", "x ")]),
    "varchar(20) character set ucs2": (Logical(Kind.TEXT, length=20), [("'éŁü'", "éŁü")]),
    "char(5)": (Logical(Kind.TEXT, length=5), [("'ab'", "ab"), ("'ab  '", "ab")]),
    "enum('a','b,c','it''s')": (Logical(Kind.TEXT, length=4), [("'a'", "a"), ("'b,c'", "b,c"), ("'it''s'", "it's")]),
    "set('x','y')": (Logical(Kind.TEXT, length=3), [("'y,x'", "x,y"), ("''", "")]),
    "longblob": (Logical(Kind.BYTES), [("''", "\\\\x"), ("x'00ff0a5c'", "\\\\x00ff0a5c")]),
    "binary(3)": (Logical(Kind.BYTES, length=3, fixed=True), [("x'61'", "\\\\x610000")]),
    "json": (Logical(Kind.JSON), [("'{\"b\": 1,  \"a\": [1.50]}'", '{"b": 1,  "a": [1.50]}')]),
    "uuid": (Logical(Kind.UUID), [("'FFFFFFFF-0000-0000-0000-00000000000A'", "ffffffff-0000-0000-0000-00000000000a")]),
}  # fmt: skip


@pytest.mark.parametrize("native", GIVEN)
def test_mariadb_gives_the_golden_lines(mysql_db: servers.MysqlDatabase, connect: Connect, native: str) -> None:
    logical, golden = GIVEN[native]
    filler = connect(mysql_db)
    filler.run(f"CREATE TABLE g (id int PRIMARY KEY, v {native})")
    for n, (literal, _) in enumerate([*golden, ("NULL", "\\N")]):
        filler.run(f"INSERT INTO g VALUES ({n}, {literal})")
    found = mysql_rows.read(connect(mysql_db, SOURCE), catalog.TableName(mysql_db.name, "g"), {"id": INT, "v": logical})
    assert found == [f"{n}\t{field}" for n, (_, field) in enumerate([*golden, ("", "\\N")])]


# -- loading

#: What a target can't hold, by the name of the golden lines: refused, never changed.
REFUSED = {
    "float8": {"Infinity", "-Infinity", "NaN", "-0"},
    "float4": {"NaN"},
    "numeric_10_2": {"NaN"},
    "date": {"0044-03-15 BC", "12345-06-07", "infinity"},
    "timestamp": {"0044-03-15 12:00:00 BC", "-infinity"},
    "timestamptz": {"infinity"},
}


@pytest.mark.parametrize("local", [True, False], ids=["load data", "inserts"])
@pytest.mark.parametrize("name", GOLDEN)
def test_canonical_text_arrives_as_it_is_or_is_refused(
    mysql_db: servers.MysqlDatabase, connect: Connect, name: str, local: bool
) -> None:
    logical = GOLDEN[name][0]
    native = typemap.target(logical, "postgres", None).native
    target = connect(mysql_db)
    target.local_infile = target.local_infile and local
    assert target.local_infile is local
    target.run(f"CREATE TABLE l (id int PRIMARY KEY, v {native} NULL) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    columns = {"id": INT, "v": logical}
    table = catalog.TableName(mysql_db.name, "l")
    fields = dict(enumerate([*dict.fromkeys(field for _, _, field in GOLDEN[name][3]), "\\N"]))
    refused = set()
    for n, field in fields.items():
        try:
            assert mysql_rows.load(target, table, columns, f"{n}\t{field}\n".encode()) == 1
        except errors.DataRejected as error:
            assert error.details.get("column") == "v", error
            refused.add(field)
    assert refused == REFUSED.get(name, set())
    assert mysql_rows.read(target, table, columns) == [f"{n}\t{f}" for n, f in fields.items() if f not in refused]


@pytest.mark.parametrize("local", [True, False], ids=["load data", "inserts"])
@pytest.mark.parametrize(
    ("native", "logical", "fields"),
    [
        ("int", Logical(Kind.DECIMAL, precision=10, scale=1), ["1.5", "1e3"]),
        ("int", Logical(Kind.TEXT), [" 5", "5 ", "+5", "x", ""]),
        ("int", INT, ["2147483648"]),
        ("int unsigned", INT, ["-1"]),
        ("bigint unsigned", Logical(Kind.INTEGER, bits=64), ["18446744073709551616"]),
        ("decimal(10,2)", Logical(Kind.DECIMAL, precision=12, scale=4), ["1.5055", "100000000.0000"]),
        ("double", Logical(Kind.DECIMAL, precision=20, scale=2), ["12345678901234567.89"]),
        ("float", Logical(Kind.FLOAT, bits=64), ["16777217", "0.1"]),
        ("time", Logical(Kind.TIME), ["01:02:03.5"]),
        ("datetime", Logical(Kind.TIMESTAMP), ["2024-01-01 01:02:03.5"]),
        ("datetime(3)", Logical(Kind.TIMESTAMPTZ), ["2024-01-01 01:02:03.1234+00", "2024-01-01 01:02:03"]),
        ("timestamp(6) null", Logical(Kind.TIMESTAMPTZ), ["1969-12-31 23:59:59+00", "2040-01-01 00:00:00+00"]),
        ("date", Logical(Kind.TEXT), ["2024-13-01", "today", "2024-01-01 10:00:00"]),
        ("varchar(3)", Logical(Kind.TEXT), ["abcd", "abc ", "日本語字"]),
        ("char(3)", Logical(Kind.TEXT), ["ab "]),
        ("enum('a','b')", Logical(Kind.TEXT), ["1", "c", ""]),
        ("bit(8)", INT, ["256", "-1"]),
        ("tinyint(1)", Logical(Kind.BOOLEAN), ["2", "true"]),
        ("longblob", Logical(Kind.BYTES), ["abc", "\\\\xzz", "\\\\x0"]),
        ("json", Logical(Kind.JSON), ["{", "NaN"]),
        ("uuid", Logical(Kind.UUID), ["nope"]),
        ("int NOT NULL", INT, ["\\N"]),
        ("longtext", Logical(Kind.TEXT), ["sensei-misfit: blob 00\t", "a\tb"]),
        ("double", Logical(Kind.FLOAT, bits=64), ["1e400", "x"]),
    ],
)
def test_values_that_would_be_changed_are_refused(
    mysql_db: servers.MysqlDatabase, connect: Connect, native: str, logical: Logical, fields: list[str], local: bool
) -> None:
    target = connect(mysql_db)
    target.local_infile = local
    target.run(f"CREATE TABLE l (id int PRIMARY KEY, v {native})")
    table, columns = catalog.TableName(mysql_db.name, "l"), {"id": INT, "v": logical}
    for n, field in enumerate(fields):
        with pytest.raises(errors.DataRejected) as refused:
            mysql_rows.load(target, table, columns, f"{n}\t{field}\n".encode())
        assert not refused.value.duplicate
    assert ROWS.count(target, table) == 0


@pytest.mark.parametrize("local", [True, False], ids=["load data", "inserts"])
def test_a_duplicate_is_refused_as_one(mysql_db: servers.MysqlDatabase, connect: Connect, local: bool) -> None:
    target = connect(mysql_db)
    target.local_infile = local
    target.run("CREATE TABLE l (id int PRIMARY KEY)")
    table = catalog.TableName(mysql_db.name, "l")
    assert mysql_rows.load(target, table, {"id": INT}, b"1\n2\n") == 2
    with pytest.raises(errors.DataRejected) as refused:
        mysql_rows.load(target, table, {"id": INT}, b"3\n2\n")
    assert refused.value.duplicate
    assert mysql_rows.read(target, table, {"id": INT}) == ["1", "2"]


def test_an_error_of_the_source_ends_the_load_and_the_connection_goes_on(
    mysql_db: servers.MysqlDatabase, connect: Connect
) -> None:
    target = connect(mysql_db)
    target.run("CREATE TABLE l (id int PRIMARY KEY)")

    def blocks() -> Iterator[base.Block]:
        yield b"1\n"
        raise errors.Transient("the source is gone")

    table = catalog.TableName(mysql_db.name, "l")
    target.begin()
    with pytest.raises(errors.Transient, match="the source is gone"):
        ROWS.load(target, base.LoadSpec(table, (("id", INT),)), TEXT, blocks())
    target.rollback()
    assert ROWS.count(target, table) == 0


# -- between two servers of the engine


def test_the_engines_own_form_carries_what_only_it_knows(make_mysql_db: MakeMysqlDatabase, connect: Connect) -> None:
    one, two = make_mysql_db(), make_mysql_db()
    definition = """(id int PRIMARY KEY, d date, t time(3), dt datetime(6), ts timestamp(6) NULL, b1 bit(1), b9 bit(9),
        f float, g double, y year, e enum('1','2','x'), s set('a','b'), p point, bl longblob,
        l varchar(20) CHARACTER SET latin1, z int(7) zerofill, i6 inet6, bin binary(4), tx text, u bigint unsigned)"""
    source, target = connect(one), connect(two)
    for each in (source, target):
        each.run(f"CREATE TABLE t {definition}")
    source.run("""INSERT INTO t VALUES
        (1, '0000-00-00', '-838:59:59', '0000-00-00', '0000-00-00', b'1', b'101010101', 0.1, 0.1, 2024, '2', 'b,a',
         ST_GeomFromText('POINT(1 2)'), x'00ff', 'é', 42, '::1', x'01', 'a\\tb\\nc\\\\', 18446744073709551615),
        (2, '2024-02-31', '25:00:00.5', '2024-01-00 01:02:03.000004', '2024-01-01 00:00:00.5', b'0', b'0', 16777217,
         1e300, 0, 'x', '', NULL, '', '', 0, NULL, '', '', 0),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
         NULL, NULL)""")
    known = facts.of(source, catalog.TableName(one.name, "t"))
    columns = {c.name: Logical(Kind.NATIVE, native=c.full) for c in known.columns.values()}
    lines = mysql_rows.read(source, catalog.TableName(one.name, "t"), columns, NATIVE)
    assert (
        mysql_rows.load(target, catalog.TableName(two.name, "t"), columns, ("\n".join(lines) + "\n").encode(), NATIVE)
        == 3
    )
    select = "SELECT t.*, HEX(p) AS hexed, CAST(f AS DOUBLE) AS wide FROM t ORDER BY id"
    assert source.rows(select) == target.rows(select)
