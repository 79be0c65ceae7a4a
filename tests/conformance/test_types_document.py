"""docs/types.md says of every type what the engines choose for it; the servers say what the types are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import pytest

import documents
import ends
import servers
from sensei import catalog, engines
from sensei.catalog import types
from sensei.config import connections
from sensei.engines import base
from sensei.plan import own_types

DOCUMENT = documents.ROOT / "docs" / "types.md"

#: Every built-in type that a column of PostgreSQL 15 can have, and some made from them.
POSTGRES = (
    "smallint", "integer", "bigint", "numeric(12,2)", "numeric(38,10)", "numeric(5,-2)", "numeric", "real",
    "double precision", "boolean", "text", "character varying(80)", "character varying", "character(3)", "bpchar",
    '"char"', "name", "bytea", "date", "time(0)", "time", "time with time zone", "timestamp(3)", "timestamp",
    "timestamp with time zone", "interval", "uuid", "json", "jsonb", "money", "bit(8)", "bit varying", "inet", "cidr",
    "macaddr", "macaddr8", "xml", "jsonpath", "tsvector", "tsquery", "point", "line", "lseg", "box", "path", "polygon",
    "circle", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange",
    "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange", "oid", "oidvector",
    "int2vector", "xid", "xid8", "cid", "tid", "pg_lsn", "pg_snapshot", "txid_snapshot", "refcursor", "aclitem",
    "gtsvector", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator",
    "regproc", "regprocedure", "regrole", "regtype", "integer[]", "text[]", "timestamp with time zone[]",
    "kind_of_colour", "pair_of_numbers", "short_text", "hstore",
)  # fmt: skip
#: What else pg_type lists: nothing that a table made by anybody could have.
_NO_COLUMN = {
    "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
}  # fmt: skip
MARIADB = (
    "tinyint(1)", "tinyint", "tinyint unsigned", "smallint", "smallint unsigned", "mediumint", "mediumint unsigned",
    "int", "int unsigned", "int(10) unsigned zerofill", "bigint", "bigint unsigned", "decimal(12,2)", "decimal(65,30)",
    "decimal(12,2) unsigned", "float", "double", "bit(1)", "bit(8)", "bit(64)", "boolean", "char(3)", "varchar(80)",
    "varchar(80) character set latin1", "tinytext", "text", "mediumtext", "longtext", "enum('a','b')", "set('a','b')",
    "binary(16)", "varbinary(80)", "tinyblob", "blob", "mediumblob", "longblob", "date", "time", "time(6)", "datetime",
    "datetime(6)", "timestamp null", "timestamp(6) null", "year", "json", "uuid", "inet4", "inet6", "geometry",
    "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
)  # fmt: skip
SQLITE = (
    "INTEGER", "INT", "TINYINT", "SMALLINT", "MEDIUMINT", "BIGINT", "UNSIGNED BIG INT", "DECIMAL(10,2)", "NUMERIC",
    "REAL", "FLOAT", "DOUBLE", "DOUBLE PRECISION", "BOOLEAN", "TEXT", "CLOB", "VARCHAR(80)", "NVARCHAR(80)", "CHAR(3)",
    "BLOB", "DATE", "TIME", "TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "UUID", "JSON", "JSONB", "MONEY", "no type",
)  # fmt: skip

_TITLES = {"postgres": "PostgreSQL", "mysql": "MariaDB and MySQL", "sqlite": "SQLite"}

_HEAD = """\
# Types

What becomes of each type on the way to another engine and home again. Made from the code, and from what real servers
say of these types, by

```
SENSEI_REWRITE_DOCS=1 make unit ARGS="tests/conformance/test_types_document.py"
```

*There* is the verdict on the way to the target, *back* that on the way home, for the values that came from there:
**exact**, the same values and limits; **widening**, the same values, and the target would take others too; **lossy**,
some would change, so that nothing starts until `options.accept_lossy` names the column; **none**, not carried: the plan
lists the table or the column by name. [Planning](planning.md#read-the-plan) explains verdicts,
[engines](engines.md) what stands behind single remarks. A plan says the same of each column of yours, with the number
of values that don't fit where it can count them.

Within one engine a column keeps its type, exact both ways, if the target has it: what extensions and the database
itself define has to be there first ([more](engines.md#from-postgresql)).
"""


@contextlib.contextmanager
def _read(end: ends.End) -> Iterator[tuple[base.Engine, Mapping[str, catalog.Column]]]:
    """Give what the product reads of the columns of the table `every`."""
    engine = engines.by_name(ends.engine(end))
    url = connections.expand(ends.url(end), {servers.PASSWORD_ENV: servers.password()})
    session = engine.connect(url, base.Purpose.SOURCE)
    try:
        found = engine.introspect.catalog(session, None)
        (table,) = (t for t in found.tables if t.name.name == "every")
        yield engine, {c.name: c for c in table.columns}
    finally:
        session.close()


def _make(end: ends.End, declared: tuple[str, ...]) -> None:
    columns = ", ".join(f"c{i} {'' if t == 'no type' else t}" for i, t in enumerate(declared))
    ends.run(end, f"CREATE TABLE every ({columns})")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(
    source: base.Engine, target: base.Engine, declared: tuple[str, ...], read: Mapping[str, catalog.Column]
) -> str:
    lines = [
        f"| {_TITLES[source.name]} | {_TITLES[target.name]} | there | back | remark |",
        "| --- | --- | --- | --- | --- |",
    ]
    for i, said in enumerate(declared):
        column = read[f"c{i}"]
        mapped = own_types.mapped(column.type, column.native, source, target, None)
        native = f"`{mapped.native}`" if mapped.native else "not carried"
        lines.append(_cell_row(said, native, mapped))
    return "\n".join(lines)


def _cell_row(said: str, native: str, mapped: types.Mapped) -> str:
    shown = said if said == "no type" else f"`{said}`"
    return f"| {_cell(shown)} | {_cell(native)} | {mapped.there} | {mapped.back} | {_cell(mapped.reason)} |"


def test_the_document_of_types_says_what_the_engines_choose(
    pg_db: servers.Database, mysql_db: servers.MysqlDatabase, maker: ends.Maker
) -> None:
    file = maker("sqlite")()
    pg_db.execute(
        "CREATE TYPE kind_of_colour AS ENUM ('red', 'blue'); CREATE TYPE pair_of_numbers AS (a integer, b numeric);"
        " CREATE DOMAIN short_text AS varchar(10) CHECK (VALUE <> ''); CREATE EXTENSION hstore"
    )
    known = {n for (n,) in pg_db.query(
        "SELECT format_type(oid, NULL) FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
        " AND typtype IN ('b', 'r', 'm') AND typelem = 0 AND oid < 10000"
    )}  # fmt: skip
    bare = {t.partition("(")[0] for t in POSTGRES} | {"character", "bit"}
    if pg_db.query("SHOW server_version_num")[0][0].startswith("15"):
        spelled = {n.removesuffix(" without time zone") for n in known}
        assert spelled - bare - _NO_COLUMN == set(), "types of the server that the document lacks"
    ours: dict[str, tuple[ends.End, tuple[str, ...]]] = {
        "postgres": (pg_db, POSTGRES), "mysql": (mysql_db, MARIADB), "sqlite": (file, SQLITE)
    }  # fmt: skip
    for end, declared in ours.values():
        _make(end, declared)
    text = ""
    for name in ("postgres", "mysql", "sqlite"):
        end, declared = ours[name]
        with _read(end) as (source, read):
            assert len(read) == len(declared)
            for other in ("postgres", "mysql", "sqlite"):
                if other != name:
                    target = engines.by_name(other)
                    text += f"\n## {_TITLES[name]} to {_TITLES[other]}\n\n{_rows(source, target, declared, read)}\n"
    expected = _HEAD + text
    if os.environ.get("SENSEI_REWRITE_DOCS"):
        DOCUMENT.write_text(expected, encoding="utf-8")
    if "MariaDB" not in str(mysql_db.query("SELECT version()")[0][0]):
        pytest.skip("the document shows what MariaDB says of its types")
    assert DOCUMENT.read_text(encoding="utf-8") == expected, "SENSEI_REWRITE_DOCS=1 writes it anew"
