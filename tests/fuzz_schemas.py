"""Random databases out of every engine's types: hostile names, values from the ends of each type, keys of all sorts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import hypothesis.strategies as st

import ends

#: Bare words that some engine reserves, and names that no statement survives unquoted.
_HOSTILE = [
    *("select", "order", "Group", "user", "table", "rowid", "oid", "key", "index", "null", "x%s", "a:b", "c?d", "$1"),
    *("tab\tle", "no;--x", "/*y*/z", "q'q", 'd"d', "b`b", "s\\s", "ü", "ñandú", "日本", "İ", "ß", "two words", "_"),
    *("1st", "{x}", "new\nline", "-", "#h"),
]
_TEXTS = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "é",
    "e\u0301",
    "\\N",
    "\\.",
    "tab\tand\nline\r",
    'it\'s "q" `b` \\ %s ? :x',
    "日本語🜁",
    "\x01\x1d\x1f",
    "NULL",
    "0",
    "sensei-misfit",
    "\U0010ffff",
]
_BYTES = ["", "00", "5c", "ff00", "5c784e", "0a0d09", "27225c"]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column; its values are SQL literals of the engine."""

    name: str
    native: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with its rows; ``key`` counts columns from the left, 0 for none."""

    name: str
    columns: tuple[Column, ...]
    key: int
    unique: bool  #: the columns of the key are a unique index instead
    parent: int | None  #: number of the table that the last column points at
    rows: tuple[tuple[str, ...], ...]


def _quoted(engine: str, text: str) -> str:
    doubled = text.replace("'", "''")
    if engine == "sqlite":
        return f"'{doubled}'"
    return ("E'" if engine == "postgres" else "'") + doubled.replace("\\", "\\\\") + "'"


def _strings(engine: str, found: Iterable[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([_quoted(engine, t) for t in found])


def _texts(engine: str, longest: int) -> st.SearchStrategy[str]:
    any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=longest)
    return st.one_of(st.sampled_from([t for t in _TEXTS if len(t) <= longest]), any_text).map(
        lambda t: _quoted(engine, t)
    )


def _bytes(engine: str, longest: int) -> st.SearchStrategy[str]:
    some = st.one_of(st.sampled_from(_BYTES), st.binary(max_size=longest).map(bytes.hex))
    return some.map(lambda h: f"'\\x{h}'::bytea" if engine == "postgres" else f"x'{h}'")


def _integers(bits: int, unsigned: bool = False) -> st.SearchStrategy[str]:
    low, high = (0, (1 << bits) - 1) if unsigned else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    return st.one_of(st.sampled_from([low, high, 0, 1]), st.integers(low, high)).map(str)


def _decimals(digits: int, scale: int) -> st.SearchStrategy[str]:
    whole = st.one_of(
        st.sampled_from([0, 1, -1, 10**digits - 1, 1 - 10**digits]), st.integers(1 - 10**digits, 10**digits - 1)
    )

    def shown(n: int) -> str:
        text = str(abs(n)).rjust(scale + 1, "0")
        return ("-" if n < 0 else "") + (f"{text[:-scale]}.{text[-scale:]}" if scale else text)

    return whole.map(shown)


def _floats(engine: str) -> st.SearchStrategy[str]:
    if engine == "postgres":
        return st.floats().map(lambda f: f"'{f!r}'")
    finite = st.floats(allow_nan=False, allow_infinity=engine == "sqlite")
    return finite.map(lambda f: {"inf": "9e999", "-inf": "-9e999"}.get(repr(f), repr(f)))


def _moments(engine: str, *, day: bool, fraction: int) -> st.SearchStrategy[str]:
    if day:
        usual = st.dates().map(str)
    else:
        usual = (
            st.datetimes()
            .map(lambda d: f"{d:%H:%M:%S.%f}"[: 8 + (fraction and fraction + 1)])
            .flatmap(lambda t: st.dates().map(lambda d: f"{d} {t}"))
        )
    odd = {
        "postgres": ["infinity", "-infinity", "0044-03-15 BC", "12345-06-07"],
        "mysql": ["0000-00-00", "2026-00-00", "0000-01-01"],
        "sqlite": [],
    }[engine]
    if engine == "sqlite":
        # There, a moment is a text, which goes home in one spelling: without zeros at the end of its fraction.
        usual = usual.map(lambda v: v.rstrip("0").rstrip(".") if "." in v else v)
    return (st.one_of(usual, st.sampled_from(odd)) if odd else usual).map(lambda v: _quoted(engine, v))


def _values(engine: str) -> dict[str, st.SearchStrategy[str]]:
    """Return each type of an engine with a strategy of its values as SQL."""
    shared = {
        "decimal(12,2)": _decimals(12, 2),
        "varchar(12)": _texts(engine, 12),
        "smallint": _integers(16),
        "date": _moments(engine, day=True, fraction=0),
    }
    times = ["00:00:00", "23:59:59", "12:34:56"]
    documents = ['{"b": 1, "a": [2.50, null]}', "[]", '{"k": "é\\"\\\\"}', "12345678901234567890.10", "null"]
    uuids = [
        "00000000-0000-0000-0000-000000000000",
        "c4ca4238-a0b9-8382-0dcc-509a6f75849b",
        "cfcd2084-95d5-65ef-66e7-dff9f98764da",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
    ]
    if engine == "postgres":
        return shared | {
            "integer": _integers(32),
            "bigint": _integers(64),
            "real": _strings(engine, ["0.1", "-0", "NaN", "3.4028235e38"]),
            "double precision": _floats(engine),
            "numeric": st.one_of(_decimals(60, 20), st.just("'NaN'")),
            "boolean": st.sampled_from(["true", "false"]),
            "text": _texts(engine, 30),
            "character(5)": _texts(engine, 5),
            "bytea": _bytes(engine, 20),
            "time": _strings(engine, [*times, "24:00:00", "01:02:03.000004"]),
            "timestamp": _moments(engine, day=False, fraction=6),
            "timestamptz": _moments(engine, day=False, fraction=6),
            "uuid": _strings(engine, uuids),
            "json": _strings(engine, documents),
            "jsonb": _strings(engine, documents),
            "interval": _strings(engine, ["1 mon -3 days 04:05:06.7", "-838:59:59", "0"]),
            "integer[]": _strings(engine, ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}"]),
            "text[]": _strings(engine, ["{}", '{"a,b",NULL,"\\"q\\"","NULL"}']),
            "inet": _strings(engine, ["10.0.0.1/8", "::1", "fe80::1/64"]),
            "bit(5)": _strings(engine, ["00000", "10101"]),
            "int4range": _strings(engine, ["empty", "[1,5)", "(,)"]),
            "money": _strings(engine, ["0", "-12.34"]),
            "timetz": _strings(engine, ["12:00:00+05:45", "00:00:00-12"]),
            "xml": _strings(engine, ["<a>é</a>", ""]),
            "tsvector": _strings(engine, ["'a':1 'b':2", ""]),
            "point": _strings(engine, ["(1.5,-2)"]),
        }
    if engine == "mysql":
        return shared | {
            "tinyint(1)": _integers(8),
            "int unsigned": _integers(32, True),
            "bigint": _integers(64),
            "bigint unsigned": _integers(64, True),
            "mediumint": _integers(24),
            "float": st.sampled_from(["0.1", "-0e0", "1e-30", "3.4e38"]),
            "double": _floats(engine),
            "decimal(65,30)": _decimals(65, 30),
            "bit(1)": st.sampled_from(["b'0'", "b'1'"]),
            "bit(64)": _integers(64, True),
            "char(5)": _texts(engine, 5),
            "text": _texts(engine, 30),
            "longtext": _texts(engine, 30),
            "varchar(9) character set latin1": _strings(engine, ["", "é", "€", "a "]),
            "binary(4)": _bytes(engine, 4),
            "varbinary(20)": _bytes(engine, 20),
            "blob": _bytes(engine, 20),
            "time(6)": _strings(engine, [*times, "-838:59:59", "24:00:00", "01:02:03.000004"]),
            "datetime(6)": _moments(engine, day=False, fraction=6),
            "datetime": _moments(engine, day=False, fraction=0),
            "timestamp(3) null": _strings(engine, ["1970-01-01 00:00:01", "2038-01-19 03:14:07.999", "0000-00-00"]),
            "year": st.sampled_from(["0", "1901", "2155"]),
            "enum('a','B','c d')": st.sampled_from(["'a'", "'B'", "'c d'", "99"]),
            "set('x','y','z')": st.sampled_from(["''", "'x'", "'x,z'", "7"]),
            "json": _strings(engine, documents),
            "uuid": _strings(engine, uuids[:1] + uuids[3:]),
            "inet6": _strings(engine, ["::1", "fe80::1"]),
            "point": st.just("ST_GeomFromText('POINT(1.5 -2)')"),
        }
    return {
        "INTEGER": _integers(64),
        "BIGINT": _integers(64),
        "REAL": _floats(engine),
        "DOUBLE": _floats(engine),
        "DECIMAL(10,2)": _decimals(10, 2),
        "NUMERIC TEXT": _decimals(40, 10).map(lambda d: f"'{d}'"),
        "TEXT": _texts(engine, 30),
        "VARCHAR(12)": _texts(engine, 12),
        "NVARCHAR(4)": _texts(engine, 12),
        "BLOB": _bytes(engine, 20),
        "BOOLEAN": st.sampled_from(["0", "1", "2", "'yes'"]),
        "DATE": _moments(engine, day=True, fraction=0),
        "DATETIME": _moments(engine, day=False, fraction=6),
        "TIME": _strings(engine, [*times, "24:00:00", "now"]),
        "UUID": _strings(engine, [*uuids, "none"]),
        "JSON": _strings(engine, [*documents[:3], "{"]),
        "TIMESTAMPTZ": _strings(engine, ["2011-03-26 20:45:00.123456+00", "1850-01-01 00:00:00+00"]),
        "SMALLINT": st.sampled_from(["1", "70000", "'x'", "1.5", "x'01'"]),
        "": st.sampled_from(["1", "'a'", "x'00'", "1.5"]),
    }


def _names(draw: st.DrawFn, prefix: str, count: int) -> list[str]:
    """Names that no server takes for the same, whatever it does to letters."""
    found = []
    for n in range(count):
        word = draw(st.one_of(st.sampled_from(_HOSTILE), st.just("")))
        found.append(f"{prefix}{n} {word} {prefix}" if word else f"{prefix}{n}")
    return found


@st.composite
def databases(draw: st.DrawFn, engine: str) -> tuple[Table, ...]:
    """Draw a database of one to four tables."""
    values = _values(engine)
    count = draw(st.integers(1, 4))
    tables: list[Table] = []
    for name in _names(draw, "t", count):
        natives = draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=6))
        key = draw(st.sampled_from([0, 1, 2]))
        parents = [i for i, t in enumerate(tables) if t.key == 1 and not t.unique]
        parent = draw(st.sampled_from([None, *parents])) if parents else None
        keyed = ["integer", "varchar(20)" if engine != "mysql" else "varchar(20) collate utf8mb4_nopad_bin"][:key]
        natives = [*keyed, *natives, *(["integer"] if parent is not None else [])]
        columns = tuple(Column(c, t) for c, t in zip(_names(draw, "c", len(natives)), natives, strict=True))
        rows = []
        for i in range(draw(st.integers(0, 8))):
            row = [str(i), _quoted(engine, draw(st.sampled_from([t for t in _TEXTS if len(t) <= 20])))][:key]
            for native in natives[key : len(natives) - (parent is not None)]:
                row.append(draw(st.one_of(st.just("NULL"), values[native], values[native])))
            if parent is not None:
                there = range(len(tables[parent].rows))
                row.append(draw(st.sampled_from(["NULL", *map(str, there)])))
            rows.append(tuple(row))
        if rows and not key and draw(st.booleans()):
            rows.append(rows[0])
        tables.append(Table(name, columns, key, bool(key) and draw(st.booleans()), parent, tuple(rows)))
    return tuple(tables)


def statements(engine: str, found: tuple[Table, ...]) -> list[str]:
    """Return the SQL that makes the database."""

    def q(name: str) -> str:
        mark = "`" if engine == "mysql" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    result = ["SET SESSION sql_mode = ''"] if engine == "mysql" else []
    for table in found:
        lines = [f"{q(c.name)} {c.native}{' NOT NULL' if i < table.key else ''}" for i, c in enumerate(table.columns)]
        listed = ", ".join(q(c.name) for c in table.columns[: table.key])
        if table.key:
            lines.append(f"{'UNIQUE' if table.unique else 'PRIMARY KEY'} ({listed})")
        if table.parent is not None:
            other = found[table.parent]
            lines.append(
                f"FOREIGN KEY ({q(table.columns[-1].name)}) REFERENCES {q(other.name)} ({q(other.columns[0].name)})"
            )
        result.append(
            f"CREATE TABLE {q(table.name)} ({', '.join(lines)})" + (" ENGINE=InnoDB" if engine == "mysql" else "")
        )
        for row in table.rows:
            result.append(f"INSERT INTO {q(table.name)} VALUES ({', '.join(row)})")
    return result


def make(end: ends.End, sql: list[str]) -> None:
    """Run the statements in one session; raises what the server says of them."""
    if ends.engine(end) == "sqlite":
        ends.run(end, ";\n".join(sql))
        return
    connection: Any = end.connect()  # type: ignore[union-attr]
    try:
        with connection.cursor() as cursor:
            for statement in sql:
                cursor.execute(statement)
        connection.commit()
    finally:
        connection.close()
